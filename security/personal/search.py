"""Everything that is looked for in the cells of a column: as they are, read plainly, and inside of them.

Words of the column's name are context for its cells, where one of the recognisers knows them.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from security.errors import CannotTell
from security.personal.analyzer import analyzer
from security.personal.cells import Cells
from security.personal.found import UNSEEN, Found, Model
from security.personal.names import opened, unseen
from security.personal.resolve import SURE
from security.personal.unfold import unfold
from security.personal.words import cut


class Inside(NamedTuple):
    """What there is in a text: findings with their place; and entities that are in it somewhere, but not as it is
    written (`security.personal.fold`, `security.personal.unfold`)."""

    found: tuple[Found, ...]
    hidden: tuple[str, ...]


def context(name: str) -> tuple[str, ...]:
    """The words of a column's name that are context of something."""
    words: Any = analyzer().nlp_engine
    known: frozenset[str] = words.known
    parts = [each for each in cut(name, known) if each.text[0].isalpha()]
    written = [each.text.lower() for each in parts]
    return tuple(sorted(known & {*(each.plain for each in parts), *written, " ".join(written)}))


class Search:
    """Looks through texts of a column that has these words for context; with a model, if there is one."""

    def __init__(self, beside: tuple[str, ...] = (), model: Model | None = None) -> None:
        self.cells = Cells(beside, opened(model) if model else None)

    def texts(self, texts: pa.StringArray) -> Iterator[tuple[int, Inside]]:
        """Index and content of each of these texts, none of them null, in which there is something.

        `CannotTell` as `Cells.find` and `unfold` say.
        """
        found = self.cells.find(texts)
        hidden = {at: [entity for entity, *_ in some] for at, some in self.cells.disguised(texts, found).items()}
        origins, leaves = unfold(texts)
        inside = self.cells.find(leaves)
        for at, some in (*inside.items(), *self.cells.disguised(leaves, inside).items()):
            hidden.setdefault(int(origins[at]), []).extend(entity for entity, *_ in some)
        for at in sorted({*found, *hidden}):
            some = found.get(at, ())
            more = tuple(sorted(set(hidden.get(at, ())) - {entity for entity, *_ in some}))
            if some or more:
                yield at, Inside(some, more)

    def column(self, texts: pa.StringArray) -> tuple[pa.Int32Array, dict[int, tuple[Found, ...]]]:
        """For each of these texts a code, null for a null; and for each code what is in its text: what is hidden, in
        all of it."""
        coded = texts.dictionary_encode()
        return coded.indices, {
            at: (*some.found, *((entity, 0, len(coded.dictionary[at].as_py()), SURE) for entity in some.hidden))
            for at, some in self.texts(coded.dictionary)
        }


class Searches:
    """One search for each context that occurs; not more than `most`. Of each `model` says what `Search` does."""

    def __init__(self, most: int, model: Model | None = None) -> None:
        self.most, self.model = most, model
        self._by, self._made = dict[str, Search](), dict[tuple[str, ...], Search]()

    @property
    def unseen(self) -> tuple[str, ...]:
        """The entities that none of them can find."""
        return unseen(opened(self.model)) if self.model else UNSEEN

    def of(self, name: str) -> Search:
        """That of a column by its name. `CannotTell` (`columns`) where there are too many."""
        if name not in self._by:
            beside = context(name)
            if beside not in self._made and len(self._made) >= self.most:
                raise CannotTell(f"names of columns that give more than {self.most} contexts", "columns")
            self._by[name] = self._made.setdefault(beside, Search(beside, self.model))
        return self._by[name]
