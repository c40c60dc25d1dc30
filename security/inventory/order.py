"""The order of versions of Debian packages (Debian Policy 5.6.12, deb-version(7)).

A version is an epoch, an upstream version and a revision. Of the latter two, parts that are no digits and parts that
are take turns: in the first, `~` comes before the end, the end before letters, letters before all else; the others are
numbers. What is not there counts as 0, so that versions of another spelling may be the same.
"""

import re
from functools import lru_cache

LONGEST = 256
"""Characters of a version."""
Key = tuple[int, tuple[object, ...], tuple[object, ...]]
_VERSION = re.compile(r"(?:(\d{1,9}):)?([A-Za-z0-9.+~][A-Za-z0-9.+~:-]*?)(?:-([A-Za-z0-9.+~]+))?")
_PARTS = re.compile(r"(\D*)(\d*)")


@lru_cache(maxsize=1 << 15)
def key(version: str) -> Key:
    """What to order a version by. `ValueError` for what is none."""
    told = _VERSION.fullmatch(version) if len(version) <= LONGEST else None
    if told is None or (told[1] is None and ":" in told[2]):
        raise ValueError("no version of a Debian package")
    return int(told[1] or 0), _part(told[2]), _part(told[3] or "0")


def _part(text: str) -> tuple[object, ...]:
    made: list[object] = []
    for letters, digits in _PARTS.findall(text)[:-1]:
        made += [(*map(_weight, letters), 0), int(digits or 0)]
    return (*made, (0,))


def _weight(letter: str) -> int:
    return -1 if letter == "~" else ord(letter) if letter.isalpha() else ord(letter) + 256


def older(one: str, other: str) -> bool:
    """Whether the first version comes before the second."""
    return key(one) < key(other)
