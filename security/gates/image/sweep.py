"""What looks like a secret in the files of layers, also of those that a later layer deletes, and in what an image says.

Only forms that secrets have count in files, and private keys; in the environment a telling name does as well.
"""

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterable

from security.engines import tokens
from security.engines.content import Closed, Opaque, views
from security.engines.tokens import CONFIG, Line

BATCH, CHARACTERS = 2000, 1 << 20
"""Lines, and characters, that are looked at together."""
_NAMED = "assigned-secret"
_HEAD = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"\s*[A-Za-z0-9+/=]{24,}\s*")
AFTER = 6
"""Lines after a head on which the body of a key may begin."""


class Sweep:
    """One look, file by file. `found`: kind and place; `opaque`: kinds of files that cannot be looked into."""

    def __init__(self) -> None:
        self.found, self.opaque, self.looked = set[str](), Counter[str](), 0
        self._lines, self._places, self._size = list[Line](), list[tuple[str, int, bool]](), 0

    def file(self, place: str, chunks: Callable[[], Iterable[bytes]]) -> None:
        """A file of a layer."""
        self.looked += 1
        try:
            for view in views(place, chunks):
                if isinstance(view, Opaque):
                    self.opaque[view.kind] += 1
                    continue
                left = 0
                for number, text in view.lines:
                    self._take(Line(view.flavour, text), view.name, number, named=False)
                    if left and _BODY.fullmatch(text):
                        self.found.add(f"private-key: {view.name}, line {number}")
                    left = AFTER if _HEAD.search(text) else max(left - 1, 0)
        except Closed as why:
            self.opaque[str(why)] += 1
        except OSError as why:
            self.opaque[f"unreadable ({type(why).__name__})"] += 1

    def text(self, place: str, text: str) -> None:
        """Something that an image says of itself: a variable, a step of its history, a label, an argument."""
        self.looked += 1
        self._take(Line(CONFIG, text[: 1 << 16]), place, 0, named=True)

    def _take(self, line: Line, place: str, number: int, *, named: bool) -> None:
        self._lines.append(line)
        self._places.append((place, number, named))
        self._size += len(line.text)
        if len(self._lines) >= BATCH or self._size >= CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Look at the lines that wait."""
        lines, places = self._lines, self._places
        self._lines, self._places, self._size = [], [], 0
        for hit in tokens.scan(lines):
            place, number, named = places[hit.line]
            if not hit.excuse and (named or hit.rule != _NAMED):
                self.found.add(f"{hit.rule}: {place}" + (f", line {number}" if number else ""))


def allowed(found: str, patterns: Iterable[str]) -> bool:
    """Whether a place is one where a policy takes what is found for none."""
    place = found.partition(": ")[2].rpartition(", line ")[0] or found.partition(": ")[2]
    path = re.sub(r"^layer \d+: ", "", place)
    return any(fnmatch.fnmatchcase(path, each) for each in patterns)
