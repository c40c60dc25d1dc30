"""One scan, many profiles: whatever the cut, the merged facts are those of the whole."""

import pickle
import random
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import CannotTell
from security.gates.contract import Tally
from security.gates.contract.kinds import empty
from security.registry import PROFILES
from security.rows import repeats
from security.rows.columns import COLUMNS, SCHEMA, Fault
from security.rows.repeats import Repeats
from security.rows.scan import begin, merged, scan

SECRET = b"s" * 32
USERS = ("u1", "u2", "Zoë", "a b", "", None)
row = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(USERS),
        "item_id": st.sampled_from(["i1", "i1\0", "i2", "x" * 70, None]),
        "interaction_type": st.sampled_from(["view", "click", "hover", None]),
        "timestamp": st.sampled_from([0, 1, 1_698_415_391_000_000, -(2**60), None]),
        "faults": st.sampled_from([0, 0, 0, int(Fault.TIME), int(Fault.TYPE | Fault.LONG)]),
    }
)
files = st.lists(st.lists(row, max_size=12), max_size=4)


def batches(held: Sequence[Sequence[dict[str, Any]]], draw: random.Random) -> list[pa.RecordBatch]:
    """Files of rows as a reader hands them out, cut anywhere; those without rows last, by their names."""
    made = []
    for number, rows in enumerate(held):
        told = [each | {"file": f"f{number}", "row": place} for place, each in enumerate(rows, 1)]
        while told:
            size = draw.randint(1, len(told))
            made.append(pa.RecordBatch.from_pylist(told[:size], schema=SCHEMA))
            told = told[size:]
    return made + [empty(f"f{number}") for number, rows in enumerate(held) if not rows]


def shards(made: list[pa.RecordBatch], draw: random.Random) -> list[list[pa.RecordBatch]]:
    """The batches in three runs, some of them perhaps empty."""
    first, second = sorted(draw.choices(range(len(made) + 1), k=2))
    return [made[:first], made[first:second], made[second:]]


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=150, deadline=None)
@given(files, st.randoms(use_true_random=False), st.sampled_from([2, 5, 1 << 20]))
def test_merged_facts_are_those_of_the_whole(
    name: str, held: list[list[dict[str, Any]]], draw: random.Random, most: int
) -> None:
    kinds = {name: PROFILES[name]}
    before, repeats.HELD = repeats.HELD, most
    try:
        whole = scan(batches(held, draw), kinds, SECRET)[name].facts()
        assert scan(batches(held, draw), kinds)[name].facts() == whole
        parts = shards(batches(held, draw), draw)
        one, two, three = (scan(part, kinds, SECRET) for part in parts)
        left = merged([merged([one, two]), three])
        assert left[name].facts() == whole
        assert left[name].facts() == whole
        one, two, three = (pickle.loads(pickle.dumps(scan(part, kinds, SECRET))) for part in parts)
        assert merged([one, merged([two, three])])[name].facts() == whole
        nothing = begin(kinds, SECRET)
        assert merged([nothing, left, begin(kinds, SECRET)])[name].facts() == whole
    finally:
        repeats.HELD = before


@settings(max_examples=100, deadline=None)
@given(files, st.sampled_from([2, 5, 1 << 20]))
def test_repetitions_are_those_that_a_set_finds(held: list[list[dict[str, Any]]], most: int) -> None:
    before, repeats.HELD = repeats.HELD, most
    try:
        found = scan(batches(held, random.Random(7)), {"x": Tally})["x"].facts()
    finally:
        repeats.HELD = before
    seen, again = set(), []
    for number, rows in enumerate(rows for rows in held if rows):
        for place, each in enumerate(rows, 1):
            if each["faults"] == 0 and None not in each.values():
                values = tuple(each[name] for name in COLUMNS)
                again += [(number, place)] if values in seen else []
                seen.add(values)
    assert (found.duplicates, list(found.doubled)) == (len(again), again[:3])


def test_profiles_under_other_secrets_do_not_merge() -> None:
    made = batches([[{"user_id": "u", "item_id": "i", "interaction_type": "view", "timestamp": 1, "faults": 0}]] * 2,
                   random.Random(7))  # fmt: skip
    with pytest.raises(ValueError, match="different secrets"):
        merged([scan(made[:1], PROFILES), scan(made[1:], PROFILES)])
    with pytest.raises(ValueError, match="a secret of 31 bytes"):
        begin(PROFILES, b"s" * 31)
    with pytest.raises(CannotTell, match="no shards"):
        merged([])
    with pytest.raises(CannotTell, match="other profiles"):
        merged([begin(PROFILES, SECRET), begin({}, SECRET)])


def test_every_profile_is_fed_by_one_read() -> None:
    taken = []

    def source() -> Any:
        for batch in batches([[{"faults": 0}] * 5], random.Random(7)):
            taken.append(batch.num_rows)
            yield batch

    found = scan(source(), {"a": Tally, "b": Tally})
    assert found["a"].facts() == found["b"].facts()
    assert found["a"].facts().rows == sum(taken) == 5


def tripled(times: int) -> tuple[int, int]:
    """Repetitions found among so many million rows, each three times or all one row, and the peak of memory."""
    kept = Repeats(SECRET)
    draw = np.random.default_rng(7)
    tracemalloc.start()
    for start in range(0, times << 20, 1 << 16):
        entries = np.zeros(1 << 16, repeats._ENTRY)
        entries["hash"] = draw.integers(0, 2**63, 1 << 16, np.uint64) * np.uint64(2)
        entries["row"] = np.arange(start, start + (1 << 16))
        entries["hash"][7::64] = 7
        kept._keep(entries)
    count, first = kept.found(3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first == [(0, 71), (0, 135), (0, 199)]
    return count, peak


def test_memory_does_not_grow_with_the_rows() -> None:
    (few, small), (many, large) = tripled(2), tripled(8)
    assert (few, many) == ((2 << 20) // 64 - 1, (8 << 20) // 64 - 1)
    assert small < large * 1.5 < 160 << 20
