"""Private keys in PEM's form and its kin: a head, and a body on the same line or soon after.

A head alone is what code that reads keys is full of. Of a body all lines count: many keys begin alike.
"""

import re
from collections.abc import Iterator
from typing import Generic, TypeVar

HEADLESS = "a head without a key"
AFTER = 8
"""Lines after a head on which its body may begin."""
LONGEST = 1 << 16
"""Letters of a body that count."""
_HEAD = re.compile(r"-----? ?BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)? ?-----?")
_ROW = r"[\s\"'>#|*,\\]*\+?[\s\"']*([A-Za-z0-9+/=]{%d,4096})(?:\\r|\\n|[\s\"'+,;)\\])*"
_BODY, _MORE = re.compile(_ROW % 24), re.compile(_ROW % 1)
_INLINE = re.compile(r"(?:\\+[rn]|[\s\"'+,])+([A-Za-z0-9+/=]{24,4096})")
S = TypeVar("S")


class Heads(Generic[S]):
    """The heads of one text, line by line."""

    def __init__(self) -> None:
        self._at: S | None = None
        self._left = 0
        self._body = ""

    def end(self) -> Iterator[tuple[S, str]]:
        """What is left at the end of a text."""
        if self._at is not None:
            yield self._at, self._body
        self._at, self._body = None, ""

    def take(self, spot: S, text: str) -> Iterator[tuple[S, str]]:
        """Where a key begins, and the first of its body; empty where none came after a head."""
        if self._at is not None:
            self._left -= 1
            more = (_MORE if self._body else _BODY).fullmatch(text)
            if more and len(self._body) < LONGEST:
                self._body += more[1]
            elif self._body or self._left <= 0:
                yield from self.end()
        for head in _HEAD.finditer(text) if "PRIVATE KEY" in text else ():
            if body := _INLINE.match(text, head.end()):
                yield spot, body[1]
            else:
                yield from self.end()
                self._at, self._left = spot, AFTER
