"""The teacher that travels with this package: its weights, and the card that says what it is.

`stages/release` trains it; both files are copies of what that study leaves (tests compare them).
"""

from pathlib import Path

WEIGHTS = Path(__file__).with_name("released.safetensors")
CARD = Path(__file__).with_name("released.md")


def read_card() -> str:
    """The card, in Markdown."""
    return CARD.read_text(encoding="utf-8")
