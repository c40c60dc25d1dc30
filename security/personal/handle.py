"""What becomes of findings in a column: a mark in their place, a keyed hash in place of the cell, or the row goes.

What comes out is looked at again before anybody gets it: a mark may leave a text in which there is something new, two
halves that join up or digits that no longer follow a version's name.
"""

import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from security.errors import CannotTell, KeyBroken
from security.personal.cells import LONGEST
from security.personal.found import Found
from security.personal.resolve import resolved

Action = Literal["mask", "hash", "drop"]
"""The weakest first: of the actions that a cell's entities ask for, the strongest is taken."""
SHORTEST = 32
"""Bytes of a key, at least."""
DOMAIN = b"sluice.personal.handle/1\0"
"""Stands before what is hashed: the same key signs nothing else alike."""
SIZE = 16
"""Bytes of a hash that are kept: 128 bits, two values in a billion billion have the same."""
LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
"""Digits of a hash in letters: among those of hexadecimal there are, now and then, a card's."""
ROUNDS = 3
"""Looks after which a text that still has something in it is a mark as a whole."""
Seen = tuple[pa.Int32Array, Mapping[int, tuple[Found, ...]]]
"""For each row a code, null for a null; and what there is in the text of a code."""
Look = Callable[[pa.StringArray], Seen]
"""`security.personal.cells.Cells.column`, or more than that."""


class Handled(NamedTuple):
    """A column after it was handled, of the same type and length.

    `keep` is false for rows that go; they have null here, so that forgetting to filter shows nobody. `counts` are
    cells by entity and by what was done to the cell, for entities that have an action.
    """

    column: pa.Array
    keep: pa.BooleanArray
    counts: dict[tuple[str, Action], int]


def handled(column: pa.Array, found: Seen, actions: Mapping[str, Action], key: bytes, look: Look) -> Handled:
    """Do to the cells of a column what `actions` says for each entity that was `found` in them.

    `mask` puts `masked:ENTITY` in the place of every finding, `hash` makes the whole cell `hashed:` and 32 letters,
    `drop` takes the row. In a cell with several, every entity counts, one that another overlaps too: `drop` before
    `hash` before `mask`. The same text under the same key has the same hash in any column of any file. Findings of
    other entities stay, and so does every other cell, to the byte. Of a dictionary no value stays that has no row.

    Columns are strings, large strings, or dictionaries of either; each different text is handled once. A cell that
    already read like a mark or a hash cannot be told from one. `KeyBroken` for a key of fewer than 32 bytes where
    there is something to hash by; `CannotTell` (`again`) where what comes out still has one of these entities in it.
    """
    if unknown := set(actions.values()) - set(get_args(Action)):
        raise ValueError(f"no action {', '.join(sorted(unknown))}; there are {', '.join(get_args(Action))}")
    if "hash" in actions.values() and len(key) < SHORTEST:
        raise KeyBroken(f"a key of {len(key)} bytes for hashes; at least {SHORTEST} are needed")
    codes, known = found
    if len(codes) != len(column):
        raise ValueError(f"{len(codes)} codes for {len(column)} rows")
    numbers = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False)
    there = np.unique(numbers).tolist()
    some = {code: kept for code in there if (kept := _asked(known.get(code, ()), actions))}
    if not some:
        return Handled(column, pa.array(np.ones(len(column), bool)), {})
    places = np.full(max(there) + 2, -1)  # the last is for nulls, whose number is -1
    places[list(some)] = np.arange(len(some))
    at = places[numbers]
    rows = np.flatnonzero(at >= 0)
    first = np.zeros(len(some), np.int64)
    first[at[rows][::-1]] = rows[::-1]
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    done = [_strongest(each, actions) for each in some.values()]
    texts = plain.take(pa.array(first)).to_pylist()
    forms = pa.array(_forms(texts, list(some.values()), done, actions, key, look), plain.type)
    touched = pc.replace_with_mask(plain, pa.array(at >= 0), forms.take(pa.array(at[rows])))
    gone = np.array([each == "drop" for each in done])
    counts = Counter[tuple[str, Action]]()
    for each, action, count in zip(some.values(), done, np.bincount(at[rows]).tolist(), strict=True):
        counts.update({(entity, action): count for entity in {entity for entity, *_ in each}})
    return Handled(_like(touched, column.type), pa.array(~((at >= 0) & gone[at])), dict(counts))


def masked(text: str, found: Iterable[Found]) -> str:
    """A text with a mark in the place of each finding. Where some overlap, all of their place is one mark, named after
    the one that counts most."""
    told, at = "", 0
    for start, end, entity in _merged(sorted(found, key=lambda each: each[1:3])):
        told += text[at:start] + mark(entity)
        at = end
    return told + text[at:]


def hashed(text: str, key: bytes) -> str:
    """What stands for a text under a key: HMAC-SHA-256 over `DOMAIN` and its bytes in UTF-8, cut to 128 bits."""
    return "hashed:" + hmac.digest(key, DOMAIN + text.encode(), "sha256")[:SIZE].hex().translate(LETTERS)


def mark(entity: str) -> str:
    """What stands for a finding."""
    return f"masked:{entity}"


def _asked(found: Iterable[Found], actions: Mapping[str, Action]) -> tuple[Found, ...]:
    return tuple(each for each in found if each[0] in actions)


def _strongest(found: Iterable[Found], actions: Mapping[str, Action]) -> Action:
    return max((actions[entity] for entity, *_ in found), key=get_args(Action).index)


def _merged(found: Iterable[Found]) -> Iterator[tuple[int, int, str]]:
    """Places in order, those that overlap as one."""
    group: list[Found] = []
    for each in found:
        if group and each[1] >= max(end for _, _, end, _ in group):
            yield _one(group)
            group = []
        group.append(each)
    if group:
        yield _one(group)


def _one(group: list[Found]) -> tuple[int, int, str]:
    return group[0][1], max(end for _, _, end, _ in group), resolved(group)[0][0]


def _forms(
    texts: list[str],
    found: list[tuple[Found, ...]],
    done: list[Action],
    actions: Mapping[str, Action],
    key: bytes,
    look: Look,
) -> list[str | None]:
    """For each different text what stands in its place, null where its row goes."""
    forms: list[str | None] = [None] * len(texts)
    for index, (text, each, action) in enumerate(zip(texts, found, done, strict=True)):
        if action == "hash":
            forms[index] = hashed(text, key)
        elif action == "mask":
            forms[index] = _bounded(masked(text, each), each)
    hashes = [index for index, action in enumerate(done) if action == "hash"]
    if _left(forms, hashes, actions, look):
        raise CannotTell("a hash that is itself found as what it stands for", "again")
    masks = [index for index, action in enumerate(done) if action == "mask"]
    for turn in range(ROUNDS + 1):
        left = _left(forms, masks, actions, look)
        for index, some in left.items():
            form = str(forms[index])
            forms[index] = _bounded(masked(form, some), some) if turn < ROUNDS else mark(some[0][0])
        masks = list(left)
    if _left(forms, masks, actions, look):
        raise CannotTell("a mark that is itself found as what it stands for", "again")
    return forms


def _bounded(form: str, found: tuple[Found, ...]) -> str:
    """A mark alone where marks make a text longer than is looked at."""
    return form if len(form) <= LONGEST else mark(found[0][0])


def _left(
    forms: list[str | None], indices: list[int], actions: Mapping[str, Action], look: Look
) -> dict[int, tuple[Found, ...]]:
    """What there still is in some of these, of the entities that have an action."""
    if not indices:
        return {}
    codes, known = look(pa.array([forms[index] for index in indices], pa.string()))
    found = {i: _asked(known.get(code, ()), actions) for i, code in zip(indices, codes.to_pylist(), strict=True)}
    return {index: some for index, some in found.items() if some}


def _like(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Texts in the type that the column had; a dictionary is made anew."""
    if not pa.types.is_dictionary(kind):
        return texts
    coded = texts.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.cast(kind.index_type), coded.dictionary, ordered=kind.ordered)
