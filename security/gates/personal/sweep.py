"""Looks through every column of rows for personal data, each different text once, and counts what is found.

Columns that are not declared are looked through as text, their names too, and so is every pair of columns that stand
beside each other, as if they were one: of the first the end, of the second the start. Words of a column's name are
context for its cells. A text that was seen before, here or in an earlier batch, is not looked at again: of each column
the keyed hashes of up to `KNOWN` texts are kept, and no text.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.errors import CannotTell
from security.gates.personal.facts import NAMES, SHOWN, SPLIT, Column, Facts, Form, Hit, Place
from security.personal.analyzer import UNSEEN, Found
from security.personal.resolve import SURE, resolved
from security.personal.search import Search, Searches
from security.personal.shape import Shape, masked, shape
from security.rows.beside import OPAQUE, beside
from security.rows.hashes import Words, hashed, key
from security.rows.scan import Profile

DECLARED = ("user_id", "item_id", "interaction_type")
"""The columns of text that rows must have. A time is a number by now, and nothing else can be in it."""
KNOWN = 1 << 20
COLUMNS, CONTEXTS = 1_000, 64
"""The most columns that are not declared, and the most different contexts that their names may be."""
EDGE = 128
"""Characters of the end of a cell, and of the start of the next, that are read together."""
OVER = frozenset({"CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE"})
"""What is looked for over two columns: other forms are met by chance where any two numbers stand side by side."""
_OVER = r"@|[0-9](?:[^0-9]{0,3}[0-9]){11}|[A-Z]{2}[0-9]{2}(?:[^A-Z0-9]?[A-Z0-9]){11}|[^\x00-\x7f]"
"""What has to be in a text for any of these to be."""
_PLAIN = re.compile("[A-Za-z_][A-Za-z0-9_.-]{0,63}")

Key = tuple[str, str, Form, Shape]
"""Column, entity, form and shape."""


class Seen(NamedTuple):
    """What was found in a text: entity, form, shape, score, and what it looks like."""

    entity: str
    form: Form
    shape: Shape
    score: float
    example: str


class _Tally:
    """Of what is counted as one: cells, highest score, first places, the first one's form."""

    def __init__(self, example: str) -> None:
        self.cells, self.score, self.first, self.example = 0, 0.0, list[Place](), example


class _Known:
    """The texts of a column that were looked at: hashes of all, and what was found in those in which there was any."""

    def __init__(self) -> None:
        self.hashes, self.found = np.zeros(0, np.uint64), dict[int, tuple[Seen, ...]]()

    def new(self, hashes: Words) -> NDArray[np.bool_]:
        """Which of these were not looked at."""
        places = np.searchsorted(self.hashes, hashes)
        places[places == len(self.hashes)] = 0
        return self.hashes[places] != hashes if len(self.hashes) else np.ones(len(hashes), bool)

    def add(self, hashes: Words, found: dict[int, tuple[Seen, ...]]) -> None:
        """Keep what was found in these, by index, as long as there is room."""
        if len(self.hashes) + len(hashes) <= KNOWN:
            self.hashes = np.sort(np.concatenate([self.hashes, hashes]))
            self.found.update((int(hashes[index]), some) for index, some in found.items())


class Sweep(Profile):
    """The profile of personal data."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.key = key(secret)
        self.rows, self.files = 0, dict[str, int]()
        self.columns, self.opaque = dict[str, int](), dict[str, int]()
        self.labels, self.hits = dict[str, str](), dict[Key, _Tally]()
        self._known, self._searches = dict[str, _Known](), Searches(CONTEXTS)

    def add(self, batch: pa.RecordBatch) -> None:
        """Look through a batch."""
        if not batch.num_rows:
            return
        self.rows += batch.num_rows
        column = batch.column("file")
        known = [self.files.setdefault(each, len(self.files)) for each in column.dictionary.to_pylist()]
        where = np.array(known)[column.indices.to_numpy()], batch.column("row").to_numpy()
        every = np.arange(batch.num_rows)
        before: tuple[str, NDArray[np.int64], pa.StringArray] | None = None
        for name, rows, texts in [*((each, every, batch.column(each)) for each in DECLARED), *beside(batch)]:
            label = name if name in DECLARED else self._label(name, where, int(rows[0]))
            here = where[0][rows], where[1][rows]
            texts = self._readable(label, texts)
            self._look(label, texts, here, self._searches.of(name))
            if before and name != "interaction_type" and before[0] != "interaction_type":
                self._over(before, (label, rows, texts), where)
            before = label, rows, texts

    def merge(self, other: "Sweep") -> None:
        """Count what another has counted as well, as if its rows had come after these."""
        files = [self.files.setdefault(name, len(self.files)) for name in other.files]
        self.rows += other.rows
        renamed = {label: self._named(name) for name, label in other.labels.items()}
        for mine, theirs in ((self.columns, other.columns), (self.opaque, other.opaque)):
            for name, count in theirs.items():
                name = renamed.get(name, name)
                mine[name] = mine.get(name, 0) + count
        for (column, entity, form, kind), tally in other.hits.items():
            column = SPLIT.join(renamed.get(each, each) for each in column.split(SPLIT))
            own = self.hits.setdefault((column, entity, form, kind), _Tally(tally.example))
            own.cells, own.score = own.cells + tally.cells, max(own.score, tally.score)
            own.first += [(files[file], row) for file, row in tally.first][: SHOWN - len(own.first)]

    def facts(self) -> Facts:
        """Everything that was found; it can go on."""
        columns = [
            Column(name, name in DECLARED, cells, self.opaque.get(name, 0)) for name, cells in self.columns.items()
        ]
        hits = [
            Hit(*which, tally.cells, tally.score, tuple(tally.first), tally.example)
            for which, tally in sorted(self.hits.items())
        ]
        files, unseen = tuple(self.files), UNSEEN
        return Facts(rows=self.rows, files=files, columns=tuple(columns), hits=tuple(hits), unseen=unseen)

    def _named(self, name: str) -> str:
        """What a column that is not declared is called: by its name, where that is one and says nothing."""
        if name not in self.labels:
            if len(self.labels) >= COLUMNS:
                raise CannotTell(f"more than {COLUMNS:,} columns that are not declared", "columns")
            plain = _PLAIN.fullmatch(name) and not self._searches.of("").column(pa.array([name]))[1]
            self.labels[name] = name if plain else f"column {len(self.labels) + 1}"
        return self.labels[name]

    def _label(self, name: str, where: tuple[NDArray[np.int64], NDArray[np.int64]], row: int) -> str:
        if name not in self.labels:
            self._named(name)
            # A name is looked at when it comes first, in the row in which it does.
            self._look(NAMES, pa.array([name]), (where[0][[row]], where[1][[row]]), self._searches.of(""))
        return self.labels[name]

    def _readable(self, label: str, texts: pa.StringArray) -> pa.StringArray:
        """The texts without the mark of bytes of no known encoding, which are counted."""
        marked = pc.starts_with(texts, OPAQUE).fill_null(False)
        if count := pc.sum(marked).as_py() or 0:
            self.opaque[label] = self.opaque.get(label, 0) + count
            texts = pc.if_else(marked, pc.utf8_slice_codeunits(texts, 1), texts)
        return texts

    def _look(
        self, label: str, texts: pa.StringArray, where: tuple[NDArray[np.int64], NDArray[np.int64]], search: Search
    ) -> None:
        """Look through the cells of a column; `where` is the file and the row of each."""
        self.columns[label] = self.columns.get(label, 0) + len(texts) - texts.null_count
        coded = texts.dictionary_encode()
        self._count(label, coded, self._found(label, coded.dictionary, search), where)

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
        at = np.flatnonzero(np.isin(codes, np.fromiter(found, np.int64)))
        for place, code in zip(at.tolist(), codes[at].tolist(), strict=True):
            for key_ in {(label, each.entity, each.form, each.shape): each for each in found[code]}.items():
                which, each = key_
                tally = self.hits.setdefault(which, _Tally(each.example))
                tally.cells, tally.score = tally.cells + 1, max(tally.score, each.score)
                if len(tally.first) < SHOWN:
                    tally.first.append((int(where[0][place]), int(where[1][place])))

    def _found(self, label: str, texts: pa.StringArray, search: Search) -> dict[int, tuple[Seen, ...]]:
        """What is in each of these different texts, by index."""
        known, hashes = self._known.setdefault(label, _Known()), hashed(texts, self.key)
        fresh = np.flatnonzero(known.new(hashes))
        old = np.setdiff1d(np.arange(len(texts)), fresh)
        dirty = np.fromiter(known.found, np.uint64)
        found = {int(at): known.found[int(hashes[at])] for at in old[np.isin(hashes[old], dirty)]}
        if len(fresh):
            some = dict(_seen(texts.take(pa.array(fresh)), search))
            known.add(hashes[fresh], some)
            found |= {int(fresh[index]): each for index, each in some.items()}
        return found

    def _over(
        self,
        first: tuple[str, NDArray[np.int64], pa.StringArray],
        second: tuple[str, NDArray[np.int64], pa.StringArray],
        where: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> None:
        """Look at the end of a cell and the start of the one that stands beside it as at one text."""
        rows, left, right = np.intersect1d(first[1], second[1], assume_unique=True, return_indices=True)
        ends = pc.utf8_slice_codeunits(first[2].take(pa.array(left)), -EDGE, None)
        starts = pc.utf8_slice_codeunits(second[2].take(pa.array(right)), 0, EDGE)
        some = pc.match_substring_regex(pc.binary_join_element_wise(ends, starts, ""), _OVER).fill_null(False)
        if not (at := np.flatnonzero(some.to_numpy(zero_copy_only=False))).size:
            return
        rows, label = rows[at], f"{first[0]}{SPLIT}{second[0]}"
        # A sign that nobody writes keeps apart what differs only by where it is cut.
        both = pc.binary_join_element_wise(ends.take(pa.array(at)), starts.take(pa.array(at)), "\0")
        coded = both.dictionary_encode()
        known, hashes = self._known.setdefault(label, _Known()), hashed(coded.dictionary, self.key)
        fresh = np.flatnonzero(known.new(hashes))
        found = {at: known.found[value] for at, value in enumerate(hashes.tolist()) if value in known.found}
        if len(fresh):
            some = dict(_spanning(coded.dictionary.take(pa.array(fresh)), self._searches.of("")))
            known.add(hashes[fresh], some)
            found |= {int(fresh[index]): each for index, each in some.items()}
        self._count(label, coded, found, (where[0][rows], where[1][rows]))


def _seen(texts: pa.StringArray, search: Search) -> Iterator[tuple[int, tuple[Seen, ...]]]:
    for index, inside in search.texts(texts):
        text = texts[index].as_py()
        # Where a hidden one stands in the text cannot be said: all of it is shown.
        hidden = (Seen(entity, "disguised", "other", SURE, masked(text)) for entity in inside.hidden)
        yield index, (*(_told(text, each, "plain") for each in resolved(inside.found)), *hidden)


def _told(text: str, found: Found, form: Form) -> Seen:
    entity, start, end, score = found
    held = text[start:end]
    return Seen(entity, form, shape(held), round(score, 2), masked(held))


def _spanning(pairs: pa.StringArray, search: Search) -> Iterator[tuple[int, tuple[Seen, ...]]]:
    """What lies over the cut of each of these pairs, and is in neither part alone."""
    whole = pc.replace_substring(pairs, "\0", "", max_replacements=1)
    for index, some in search.cells.find(whole).items():
        left, _, right = pairs[index].as_py().partition("\0")
        over = [each for each in some if each[0] in OVER and each[1] < len(left) < each[2]]
        if over:
            alone = {entity for one in search.cells.find(pa.array([left, right])).values() for entity, *_ in one}
            told = tuple(_told(left + right, each, "split") for each in over if each[0] not in alone)
            if told:
                yield index, told
