"""Which family of browsers somebody has, of which a study keeps no more than that."""

FAMILIES = (  # the first whose mark is in the user agent; each names those that it descends from
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)


def family_of(user_agent: str) -> str:
    """One of the families' names, or "other"."""
    return next((name for mark, name in FAMILIES if mark in user_agent), "other")
