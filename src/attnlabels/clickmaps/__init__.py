"""ClickMe: what players painted on photographs, as people have it (Linsley et al., ICLR 2019)."""
