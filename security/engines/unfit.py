"""What a reader of untrusted bytes says of bytes that are not, strictly, what they should be.

The readers beside this module (`notation`, `tensors`, `archive`, `hdf`, `wire`, `bundle`, `columns`) look at bytes and
build nothing from them. Each holds its own bounds; what passes one is refused, never cut short. `what` is of five:
`form` (not the format, or not all of it), `size` (past a bound), `outside` (it leads out of the file, or calls for
code that is not in it), `name` (a path trick) and `twice` (two formats in one file).
"""

from typing import Literal

What = Literal["form", "size", "outside", "name", "twice"]
LONGEST = 100
"""Characters of a name that are told."""


class Unfit(Exception):
    """Bytes that are refused: what is wrong, where in the file, what was found, and what is allowed."""

    def __init__(self, what: What, place: str, found: str, allowed: str) -> None:
        super().__init__(f"{place}: found {found}; allowed: {allowed}")
        self.what, self.place, self.found, self.allowed = what, place, found, allowed


def told(name: str) -> str:
    """A name out of a file, fit to be shown: printable ASCII, and no longer than `LONGEST`."""
    plain = name if name.isascii() and name.isprintable() else ascii(name)[1:-1]
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 3]}..."
