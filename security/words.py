"""What people write in signed statements, and how moments and images are told to them."""

import time
import unicodedata

WORD = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"
"""What names of models, runs and targets look like."""


def words(value: str) -> str:
    """What a person wrote, or `ValueError` where there is more in it than one sees."""
    if " ".join(unicodedata.normalize("NFKC", value).split()) != value or not value.isprintable():
        raise ValueError("words, with one space between them, and nothing that is not seen")
    return value


def letters(name: str) -> str:
    """A name as it counts: however it is spelled."""
    return "".join(each for each in unicodedata.normalize("NFKC", name).casefold() if each.isalnum())


def day(moment: float) -> str:
    """The date of a moment, as far as there is one."""
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(moment))
    except (OverflowError, ValueError, OSError):
        return "no day of the calendar"


def image(sha: str) -> str:
    """An image as people read it, by its digest; that there is none, where that is empty."""
    return f"image {sha[:12]}" if sha else "no image"


def within(sha: str) -> str:
    """That something is in an image; nothing where there is none."""
    return f" in {image(sha)}" if sha else ""
