"""What looks like a secret in the files of layers, also of those that a later layer deletes, and in what an image says.

In files only what has the form of a secret counts, and private keys; in what an image says, a telling name as well.
"""

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from security.engines import tokens
from security.engines.content import Closed, Opaque, lines, views
from security.engines.tokens import CONFIG, Hit, Line

BATCH, CHARACTERS = 2000, 1 << 20
"""Lines, and characters, that are looked at together."""
_HEAD = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"\s*[A-Za-z0-9+/=]{24,}\s*")
AFTER = 6
"""Lines after a head on which the body of a key may begin."""


class Sweep:
    """One look, file by file. `found`: kind and place; `opaque`: kinds of files that cannot be looked into."""

    def __init__(self) -> None:
        self.found, self.opaque, self.looked = set[str](), Counter[str](), 0
        self._lines, self._places, self._size = list[Line](), list[tuple[str, int]](), 0

    def file(self, place: str, chunks: Callable[[], Iterable[bytes]]) -> None:
        """A file of a layer."""
        self.looked += 1
        try:
            for view in views(place, chunks):
                if isinstance(view, Opaque):
                    self.opaque[view.kind] += 1
                    continue
                left, word = 0, _word()
                for number, text in view.lines:
                    if left and _BODY.fullmatch(text):
                        self.found.add(f"private-key: {view.name}, line {number}")
                    left = AFTER if "PRIVATE KEY" in text and _HEAD.search(text) else max(left - 1, 0)
                    if word.search(text):
                        self._take(Line(view.flavour, text), view.name, number)
        except Closed as why:
            self.opaque[str(why)] += 1
        except OSError as why:
            self.opaque[f"unreadable ({type(why).__name__})"] += 1

    def text(self, place: str, text: str) -> None:
        """Something that an image says of itself: a variable, a step of its history, a label, an argument."""
        self.looked += 1
        told = [Line(CONFIG, part) for _, part in lines([text.encode("utf-8", "replace")], "utf-8")]
        self._tell(tokens.scan(told), [(place, 0)] * len(told))

    def _take(self, line: Line, place: str, number: int) -> None:
        self._lines.append(line)
        self._places.append((place, number))
        self._size += len(line.text)
        if len(self._lines) >= BATCH or self._size >= CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Look at the lines that wait."""
        waiting, places = self._lines, self._places
        self._lines, self._places, self._size = [], [], 0
        self._tell(tokens.scan(waiting, named=False), places)

    def _tell(self, hits: Iterable[Hit], places: Sequence[tuple[str, int]]) -> None:
        for hit in hits:
            place, number = places[hit.line]
            if not hit.excuse:
                self.found.add(f"{hit.rule}: {place}" + (f", line {number}" if number else ""))


@cache
def _word() -> re.Pattern[str]:
    """The words of which one stands in every form of a secret: most lines have none, and need no closer look."""
    return re.compile("|".join(sorted({re.escape(word) for form in tokens.rules().formats for word in form.words})))


def allowed(found: str, patterns: Iterable[str]) -> bool:
    """Whether a place is one where a policy takes what is found for none."""
    place = found.partition(": ")[2].rpartition(", line ")[0] or found.partition(": ")[2]
    path = re.sub(r"^layer \d+: ", "", place)
    return any(fnmatch.fnmatchcase(path, each) for each in patterns)
