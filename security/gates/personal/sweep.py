"""Looks through every column of rows for personal data, each different text once, and counts what is found.

Columns that are not declared are looked through as text, their names too, and so are cells that stand beside each
other, as if they were one (`security.gates.personal.pairs`). Words of a column's name are context for its cells. A text
that was seen before, here or in an earlier batch, is not looked at again: of each column the keyed hashes of up to
`KNOWN` texts are kept, and no text.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.errors import CannotTell
from security.gates.personal.facts import NAMES, PLAIN, SHOWN, SPLIT, Column, Facts, Form, Hit, Place
from security.gates.personal.known import known, modelled
from security.gates.personal.limits import CERTAIN
from security.gates.personal.pairs import pairs, spanning
from security.gates.personal.tally import Known, Seen, Tally
from security.personal.found import Found, Model
from security.personal.resolve import SURE
from security.personal.shape import Shape, masked, within
from security.rows.beside import OPAQUE, beside
from security.rows.hashes import hashed, key
from security.rows.scan import Profile

if TYPE_CHECKING:
    from security.personal.search import Search

DECLARED = ("user_id", "item_id", "interaction_type")
"""The columns of text that rows must have. A time is a number by now, and nothing else can be in it."""
COLUMNS, CONTEXTS = 1_000, 64
"""The most columns that are not declared, and the most different contexts that their names may be."""
HITS = 10_000
"""The most different findings: columns, entities and forms."""

_NUMBER, _END = "[0-9](?:_?[0-9]){6}", r"(?:[^0-9A-Za-z]|\z)"
LIKE = {
    "CREDIT_CARD": rf"(?:\A|[^0-9])[0-9](?:_?[0-9]){{11,18}}{_END}",
    "MEDICAL_LICENSE": rf"(?:\A|[^0-9A-Za-z])[A-Za-z][A-Za-z9][0-9]{{7}}{_END}",
    "UK_NHS": rf"(?:\A|[^0-9])[0-9]{{10}}{_END}",
}
"""Of RE2: how a cell is written in which something looks like one, its check aside."""

Key = tuple[str, str, Form, Shape]
"""Column, entity, form and shape."""

Told = Iterator[tuple[int, tuple[Seen, ...]]]
Look = Callable[[pa.StringArray, "Search"], Told]


class Sweep(Profile):
    """The profile of personal data."""

    def __init__(self, secret: bytes) -> None:
        from security.personal.search import Searches  # Presidio takes seconds: only who looks pays

        super().__init__(secret)
        self.key = key(secret)
        self.rows, self.files = 0, dict[str, int]()
        self.columns, self.opaque = dict[str, int](), dict[str, int]()
        self.labels, self.hits = dict[str, str](), dict[Key, Tally]()
        self.like = dict[str, dict[str, int]]()
        self.names, self.known = dict[str, Place](), frozenset[str]()
        self._known, self._pairs = dict[str, Known](), Known()
        self.model: Model | None = None
        self._searches, self._halves = Searches(CONTEXTS), Searches(1)

    def __getstate__(self) -> dict[str, Any]:
        """Without what only saves time: it may be large, and whoever merges has no use for it."""
        made = type(self._searches)
        searches = {"_searches": made(CONTEXTS, self.model), "_halves": made(1)}
        return vars(self) | {"_known": {}, "_pairs": Known(), **searches}

    def add(self, batch: pa.RecordBatch) -> None:
        """Look through a batch."""
        if not batch.num_rows:
            return
        self._with(modelled(batch))
        self.rows += batch.num_rows
        self.known |= known(batch)
        column = batch.column("file")
        files = [self.files.setdefault(each, len(self.files)) for each in column.dictionary.to_pylist()]
        where = np.array(files)[column.indices.to_numpy()], batch.column("row").to_numpy()
        every = np.arange(batch.num_rows)
        for name, rows, texts in [*((each, every, batch.column(each)) for each in DECLARED), *beside(batch)]:
            here = where[0][rows], where[1][rows]
            label = self._named(name, (int(here[0][0]), int(here[1][0])))
            self._look(label, self._readable(label, texts), here, self._searches.of(name))
        for first, second, rows, texts in pairs(batch):
            label = SPLIT.join(self.labels.get(each, each) for each in (first, second))
            coded = texts.dictionary_encode()
            found = self._found(self._pairs, coded.dictionary, _split, self._halves.of(""))
            self._count(label, coded, found, (where[0][rows], where[1][rows]))

    def merge(self, other: "Sweep") -> None:
        """Count what another has counted as well, as if its rows had come after these."""
        if other.rows:
            self._with(other.model)
        files = [self.files.setdefault(name, len(self.files)) for name in other.files]
        self.rows, self.known = self.rows + other.rows, self.known | other.known
        moved = {name: (files[file], row) for name, (file, row) in other.names.items()}
        renamed = {label: self._named(name, moved[name]) for name, label in other.labels.items()}
        for mine, theirs in ((self.columns, other.columns), (self.opaque, other.opaque)):
            for name, count in theirs.items():
                name = renamed.get(name, name)
                mine[name] = mine.get(name, 0) + count
        for name, counts in other.like.items():
            mine = self.like.setdefault(renamed.get(name, name), {})
            mine.update({entity: mine.get(entity, 0) + count for entity, count in counts.items()})
        for (column, entity, form, kind), tally in other.hits.items():
            column = SPLIT.join(renamed.get(each, each) for each in column.split(SPLIT))
            own = self.hits.setdefault((column, entity, form, kind), Tally())
            own.cells, own.score = own.cells + tally.cells, max(own.score, tally.score)
            own.keep(((files[file], row), example) for (file, row), example in tally.first)

    def facts(self) -> Facts:
        """Everything that was found; it can go on."""
        names = Sweep(self.secret)
        if self.names:
            at = np.array([*self.names.values()]).T
            names._look(NAMES, pa.array([*self.names], pa.string()), (at[0], at[1]), self._searches.of(""))
        columns = [
            Column(
                name, name in DECLARED, cells, self.opaque.get(name, 0), dict(sorted(self.like.get(name, {}).items()))
            )
            for name, cells in (self.columns | names.columns).items()
        ]
        hits = [
            Hit(*which, tally.cells, tally.score, tuple(place for place, _ in tally.first), tally.first[0][1])
            for which, tally in sorted((self.hits | names.hits).items())
        ]
        unseen, used = self._searches.unseen, self.model.sha256 if self.model else ""
        return Facts(
            rows=self.rows,
            files=tuple(self.files),
            columns=tuple(columns),
            hits=tuple(hits),
            unseen=unseen,
            model=used,
        )

    def _with(self, model: Model | None) -> None:
        """Look with this model from now on, as with the rows before."""
        if model != self.model:
            if self.rows:
                raise CannotTell("the model became another while rows were handed out", "model")
            self.model, self._searches = model, type(self._searches)(CONTEXTS, model)

    def _named(self, name: str, first: Place) -> str:
        """What a column is called: one that is not declared by its name, if that is known and nothing is found in it.

        A name is a text too, in the place where it comes `first`.
        """
        if name in DECLARED:
            return name
        if name not in self.labels:
            if len(self.labels) >= COLUMNS:
                raise CannotTell(f"more than {COLUMNS:,} columns that are not declared", "columns")
            self._searches.of(name)
            plain = (
                name in self.known and PLAIN.fullmatch(name) and not dict(self._searches.of("").texts(pa.array([name])))
            )
            self.labels[name], self.names[name] = name if plain else f"column {len(self.labels) + 1}", first
        return self.labels[name]

    def _readable(self, label: str, texts: pa.StringArray) -> pa.StringArray:
        """The texts without the mark of bytes of no known encoding, which are counted."""
        marked = pc.starts_with(texts, OPAQUE).fill_null(False)
        if count := pc.sum(marked).as_py() or 0:
            self.opaque[label] = self.opaque.get(label, 0) + count
            texts = pc.if_else(marked, pc.utf8_slice_codeunits(texts, 1), texts)
        return texts

    def _look(
        self, label: str, texts: pa.StringArray, where: tuple[NDArray[np.int64], NDArray[np.int64]], search: "Search"
    ) -> None:
        """Look through the cells of a column; `where` is the file and the row of each."""
        self.columns[label] = self.columns.get(label, 0) + len(texts) - texts.null_count
        coded = texts.dictionary_encode()
        self._compare(label, coded)
        known = self._known.setdefault(label, Known())
        self._count(label, coded, self._found(known, coded.dictionary, _seen, search), where)

    def _compare(self, label: str, coded: pa.DictionaryArray) -> None:
        """Count the cells that are written like something that many ids look like."""
        some = np.flatnonzero(pc.match_substring_regex(coded.dictionary, _NUMBER).to_numpy(zero_copy_only=False))
        if not len(some):
            return
        codes = coded.indices.drop_null().to_numpy()
        counts, texts = np.bincount(codes, minlength=len(coded.dictionary))[some], coded.dictionary.take(pa.array(some))
        for entity, form in LIKE.items():
            at = pc.match_substring_regex(texts, form).to_numpy(zero_copy_only=False)
            if count := int(counts[at].sum()):
                mine = self.like.setdefault(label, {})
                mine[entity] = mine.get(entity, 0) + count

    def _count(
        self,
        label: str,
        coded: pa.DictionaryArray,
        found: dict[int, tuple[Seen, ...]],
        where: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> None:
        if not found:
            return
        codes = coded.indices.fill_null(len(coded.dictionary)).to_numpy()
        held = np.zeros(len(coded.dictionary) + 1, bool)
        held[list(found)] = True
        at = np.flatnonzero(held[codes])
        at = at[np.argsort(codes[at], kind="stable")]
        several, begins, counts = np.unique(codes[at], return_index=True, return_counts=True)
        file = where[0][at].min()
        places, begun = dict[Key, list[tuple[int, str]]](), (int(file), int(where[1][at][where[0][at] == file].min()))
        for code, begin, count in zip(several.tolist(), begins.tolist(), counts.tolist(), strict=True):
            for each in found[code]:
                which = label, each.entity, each.form, each.shape
                tally = self.hits.setdefault(which, Tally())
                tally.cells, tally.score = tally.cells + count, max(tally.score, each.score)
                if not tally.later(begun):
                    some = at[begin : begin + min(count, SHOWN)].tolist()
                    places.setdefault(which, []).extend((place, each.example) for place in some)
        for which, these in places.items():
            self.hits[which].keep(((int(where[0][place]), int(where[1][place])), form) for place, form in these)
        if len(self.hits) > HITS:
            raise CannotTell(f"more than {HITS:,} different findings", "columns")

    def _found(self, known: Known, texts: pa.StringArray, look: Look, search: "Search") -> dict[int, tuple[Seen, ...]]:
        """What is in each of these different texts, by index."""
        hashes = hashed(texts, self.key)
        fresh = np.flatnonzero(known.new(hashes))
        old = np.setdiff1d(np.arange(len(texts)), fresh, assume_unique=True)
        dirty = np.fromiter(known.found, np.uint64)
        found = {int(at): known.found[int(hashes[at])] for at in old[np.isin(hashes[old], dirty)]}
        if len(fresh):
            some = dict(look(texts.take(pa.array(fresh)), search))
            known.add(hashes[fresh], some)
            found |= {int(fresh[index]): each for index, each in some.items()}
        return found


def _seen(texts: pa.StringArray, search: "Search") -> Told:
    for index, inside in search.texts(texts):
        text = texts[index].as_py()
        # Where a hidden one stands in the text cannot be said: all of it is shown.
        hidden = [Seen(entity, "disguised", "other", SURE, masked(text)) for entity in inside.hidden]
        yield index, (*_told(text, _standing(inside.found), "plain"), *hidden)


def _standing(found: Iterable[Found]) -> Iterator[Found]:
    """Findings but those that lie in one which counts wherever it is: an address for mail holds a name of a site."""
    held = list(found)
    sure = [each for each in held if each[0] in CERTAIN]
    for each in held:
        if not any(each is not one and one[1] <= each[1] and each[2] <= one[2] for one in sure):
            yield each


def _split(texts: pa.StringArray, search: "Search") -> Told:
    for index, text, found in spanning(texts, search):
        yield index, _told(text, found, "split")


def _told(text: str, found: Iterable[Found], form: Form) -> tuple[Seen, ...]:
    """What was found in a text; of what is counted as one the first with the highest score."""
    best: dict[tuple[str, Shape], Seen] = {}
    for entity, start, end, score in found:
        shape = within(text, start, end)
        if (entity, shape) not in best or score > best[entity, shape].score:
            best[entity, shape] = Seen(entity, form, shape, round(score, 2), masked(text[start:end]))
    return tuple(best.values())
