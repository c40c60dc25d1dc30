"""One pass: shards anywhere give the same, every type works, and no value of anybody is kept."""

import datetime
import json
import pickle
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.drift import counts, histogram
from security.drift.compare import compare
from security.drift.levels import Levels
from security.drift.profile import SIZE, Category, Id, Number, Reference, Spec, Time, most, read
from security.drift.sketch import Facts, Sketch, planned
from security.errors import CannotTell
from tests.security.drift.data import SECRET, drift, facts, log, spec

numbers = st.floats(width=64) | st.integers(-5, 5).map(float) | st.none()
rows = st.lists(st.tuples(numbers, st.sampled_from("abcde") | st.none(), st.integers(0, 40)), max_size=120)
SPEC = Spec(
    roles={"number": "number", "kind": "category", "kind2": "category", "user": "id", "at": "time"},
    user="user",
    pairs=(("kind", "kind2"),),
)


def table(some: list[tuple[Any, Any, int]]) -> pa.Table:
    """Rows as columns of every role."""
    return pa.table(
        {
            "number": pa.array([each[0] for each in some], pa.float64()),
            "kind": pa.array([each[1] for each in some], pa.string()),
            "kind2": pa.array([each[1] for each in reversed(some)], pa.string()),
            "user": pa.array([f"u{each[2]}" for each in some], pa.string()),
            "at": pa.array([each[2] * 10**9 for each in some], pa.int64()),
        }
    )


def sketched(some: pa.Table, reference: Reference | None, rows: int) -> Sketch:
    """A sketch of a table in batches of so many rows."""
    sketch = Sketch(SECRET, SPEC, reference)
    for batch in some.to_batches(max_chunksize=rows):
        sketch.add(batch)
    return sketch


@given(rows, st.integers(1, 50), st.integers(0, 120), st.integers(0, 120), st.booleans())
def test_shards_anywhere_and_in_any_order_give_what_one_pass_gives(
    some: list[Any], size: int, first: int, second: int, small: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if small:  # so that what is bounded comes to its bounds
            patch.setattr(histogram, "MOST", 8)
            patch.setattr(histogram, "PENDING", 16)
            patch.setattr(counts, "MOST", 4)
            patch.setattr(counts, "PENDING", 8)
        whole, (one, other) = table(some), sorted((min(first, len(some)), min(second, len(some))))
        reference = sketched(whole.slice(0, 60), None, 50).facts().profile
        for known in (None, reference):
            wanted = sketched(whole, known, max(len(some), 1)).facts()
            parts = [whole.slice(0, one), whole.slice(one, other - one), whole.slice(other)]
            shards = [pickle.loads(pickle.dumps(sketched(part, known, size))) for part in parts]
            shards[1].merge(shards[2])
            shards[0].merge(shards[1])
            assert shards[0].facts() == wanted
            back = [sketched(part, known, size) for part in reversed(parts)]
            back[0].facts()
            back[0].merge(back[1])
            back[0].merge(back[2])
            assert back[0].facts() == wanted


def test_another_row_gives_other_facts() -> None:
    """The control of the test above: facts are not the same whatever the rows are."""
    some = [(float(number), "a", number) for number in range(60)]
    wanted = sketched(table(some), None, 50).facts()
    for more in ((0.0, "a", 1), (None, "a", 1), (0.0, None, 1), (float("nan"), "a", 1)):
        assert sketched(table([*some, more]), None, 50).facts() != wanted


def test_counts_in_the_cells_of_a_reference_are_exact() -> None:
    then, now = log(20_000, 1, False), log(20_000, 2, False)
    reference = facts(then).profile
    found = facts(now, reference, rows=3_000).held
    known = reference.columns["price"]
    assert isinstance(known, Number)
    assert len(known.counts) == 256
    values = now["price"].to_numpy()
    ends = [known.low, *known.cuts, known.high]
    wanted = np.diff(np.r_[0, np.searchsorted(np.sort(values), np.array(ends, float)), len(values)])
    assert found["price"].counts == tuple(wanted.tolist())
    cuts = np.searchsorted(np.sort(then["price"].to_numpy()), np.array(known.cuts))
    assert known.counts == tuple(np.diff(np.r_[0, cuts, then.num_rows]).tolist())
    kinds = reference.columns["item"]
    assert isinstance(kinds, Category)
    often = dict(zip(*np.unique(then["item"].to_numpy(zero_copy_only=False), return_counts=True), strict=True))
    assert sorted(kinds.top.values()) == sorted(often.values())[-len(kinds.top) :]
    assert len(kinds.top) < kinds.distinct == len(often)
    assert sum(found["item"].counts) == now.num_rows
    listed = sorted(often, key=lambda each: -often[each])[: len(kinds.top) - 40]
    again = dict(zip(*np.unique(now["item"].to_numpy(zero_copy_only=False), return_counts=True), strict=True))
    by_count = {count: place for place, count in enumerate(kinds.top.values())}
    for each in listed[:20]:
        if list(often.values()).count(often[each]) == 1:
            assert found["item"].counts[by_count[often[each]]] == again[each]


def test_users_and_their_rows() -> None:
    sizes = [1] * 100 + [50] * 10
    users = pa.table({"user": [f"u{number}" for number, size in enumerate(sizes) for _ in range(size)]})
    found = facts(users, under=planned(users.schema, {"user": "id"}, "user")).profile
    assert found.kish == pytest.approx((100 + 10 * 2_500) / 600, abs=1e-3)
    column = found.columns["user"]
    assert isinstance(column, Id)
    assert column.distinct == 110
    assert len(column.sample) == 110


def test_times_outlive_their_day() -> None:
    at = datetime.datetime(2024, 2, 29, 13, 5, tzinfo=datetime.UTC)  # a Thursday
    whole = int(at.timestamp())
    for array in (
        pa.array([at] * 30, pa.timestamp("ns", "UTC")),
        pa.array([at] * 30, pa.timestamp("s")),
        *(pa.array([whole * factor] * 30) for factor in (1, 1_000, 1_000_000, 1_000_000_000)),
        pa.array([float(whole)] * 30),
    ):
        found = facts(pa.table({"at": array}), under=Spec(roles={"at": "time"})).profile.columns["at"]
        assert isinstance(found, Time)
        assert (found.hours.index(30), found.weekdays.index(30)) == (13, 3)
        assert found.first == found.last == (at.date() - datetime.date(1970, 1, 1)).days
    dates = pa.array([at.date()] * 30)
    found = facts(pa.table({"at": dates}), under=Spec(roles={"at": "time"})).profile.columns["at"]
    assert isinstance(found, Time)
    assert found.units[0] == found.hours[0] == found.weekdays[3] == 30


HALF = [None if number % 7 == 0 else number for number in range(400)]
TYPES = {
    "constant": pa.array([5] * 400),
    "nothing": pa.array([None] * 400, pa.float64()),
    "null": pa.nulls(400),
    "infinite": pa.array([float("inf"), -float("inf"), float("nan"), 1.5] * 100),
    "all infinite": pa.array([float("inf")] * 400),
    "boolean": pa.array([True, False, None, True] * 100),
    "unsigned": pa.array([0, 2**64 - 1, 2**63, 1] * 100, pa.uint64()),
    "int64 with nulls": pa.array(HALF, pa.int64()),
    "double with nulls": pa.array(HALF, pa.float64()),
    "half": pa.array(np.arange(400, dtype=np.float16)),
    "dictionary": pa.array(["a", "b", None, "c"] * 100).dictionary_encode(),
    "null in a dictionary": pa.DictionaryArray.from_arrays(pa.array([0, 1] * 200), pa.array(["a", None])),
    "run-end": pa.RunEndEncodedArray.from_arrays(pa.array([100, 400], pa.int32()), pa.array(["a", None])),
    "timestamp": pa.array(range(400), pa.timestamp("ms")),
    "date": pa.array(range(400), pa.date32()),
    "duration": pa.array(range(400), pa.duration("s")),
    "clock": pa.array(range(400), pa.time32("s")),
    "decimal": pa.array([Decimal("1.25"), Decimal("-3.5")] * 200),
    "bytes": pa.array([b"\xff\xfe", b"", None, b"a"] * 100),
    "fixed": pa.array([b"ab", b"cd"] * 200, pa.binary(2)),
    "large": pa.array(["a", "b"] * 200, pa.large_string()),
    "view": pa.array(["a", "b"] * 200, pa.string_view()),
    "negative": pa.array(-np.arange(400.0)),
    "tiny": pa.array([5e-324, -5e-324, 0.0, -0.0] * 100),
    "huge": pa.array([1.7976931348623157e308, -1.7976931348623157e308] * 200),
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_works_and_is_steady_against_itself(name: str) -> None:
    both = pa.table({"column": TYPES[name]})
    found = drift(both, both, Levels(rows=50, blind=99))
    assert not found.untested
    (_, column) = found.columns
    assert column.column == "column"
    assert column.outcome == "steady", column
    told = {each.name: each.value for each in column.scores}
    assert {"type", "missing"} <= told.keys()
    assert {name: value for name, value in told.items() if value > 1e-6 and name != "outside"} in (
        {},
        {"distinct": 1.0},
    )


@pytest.mark.parametrize(
    ("name", "nulls"),
    [
        ("dictionary", 100),
        ("null in a dictionary", 200),
        ("run-end", 300),
        ("null", 400),
        ("boolean", 100),
        ("bytes", 100),
    ],
)
def test_nulls_are_counted_wherever_they_are_kept(name: str, nulls: int) -> None:
    found = facts(pa.table({"column": TYPES[name]})).profile.columns["column"]
    assert (found.rows, found.nulls) == (400, nulls)


@pytest.mark.parametrize("name", [name for name in TYPES if name not in ("nothing", "null")])
def test_every_type_is_seen_to_turn_into_nulls(name: str) -> None:
    array = TYPES[name]
    gone = pa.table({"column": pa.nulls(400, array.type if name != "run-end" else pa.string())})
    found = drift(pa.table({"column": array}), gone)
    assert found.drifted == ("column",)
    assert "missing" in {each.name for each in found.columns[1].scores if each.drifted}


def test_what_cannot_be_looked_at_is_named() -> None:
    lists = pa.table({"column": pa.array([[1], None] * 200), "other": TYPES["constant"]})
    under = planned(lists.schema, {})
    assert under.roles == {"other": "number"}
    assert [each.column for each in drift(lists, lists, under=under).untested] == ["column"]
    forced = planned(lists.schema, {"column": "category"})
    told = drift(lists, lists, under=forced).untested
    assert [each.column for each in told] == ["column"]
    assert "cannot be looked at as category" in told[0].reason


def test_no_value_and_no_rare_category_is_in_a_profile() -> None:
    draw = np.random.default_rng(3)
    secret = [f"secret-{number}" for number in range(2_000)]
    often = draw.choice(["plain-often", "plain-seldom"], 20_000, p=[0.999, 0.001]).astype(object)
    often[:9] = "rare-nine"
    often[100:112] = "rare-of-one-user"
    user = np.array([secret[number] for number in draw.integers(0, 2_000, 20_000)], object)
    user[100:112] = secret[0]
    table = pa.table({"user": user, "kind": often, "salary": draw.integers(30_000_000, 90_000_000, 20_000) / 997})
    found = facts(table, under=planned(table.schema, {"user": "id"}, "user")).profile
    text = found.bytes.decode()
    assert not re.search("secret|rare-|plain", text)
    kind = found.columns["kind"]
    assert isinstance(kind, Category)
    assert len(kind.top) == 2
    assert min(kind.top.values()) >= 10
    assert kind.other == 21
    salary = found.columns["salary"]
    assert isinstance(salary, Number)
    assert not {salary.low, salary.high, *salary.cuts} & set(table["salary"].to_pylist())
    tokens = set(kind.top)
    assert not tokens & set(facts(table.rename_columns(["user", "other", "salary"]), None).profile.columns["other"].top)  # type: ignore[union-attr]


def test_tokens_are_of_the_secret() -> None:
    some = log(3_000, 1, False)
    one, other = (Sketch(secret, spec(some)) for secret in (SECRET, bytes(32)))
    for sketch in (one, other):
        sketch.add(some.to_batches()[0])
    kinds = [sketch.facts().profile.columns["kind"] for sketch in (one, other)]
    assert not set(kinds[0].top) & set(kinds[1].top)  # type: ignore[union-attr]
    with pytest.raises(CannotTell, match="another secret"):
        Sketch(SECRET, spec(some), other.facts().profile)
    with pytest.raises(CannotTell, match="other columns"):
        Sketch(SECRET, Spec(roles={"kind": "category"}), one.facts().profile)
    with pytest.raises(ValueError, match="cannot be merged"):
        one.merge(other)


def test_a_profile_of_a_log_of_eight_columns_is_small() -> None:
    some = log(60_000, 1, True, items=20_000)
    found = facts(some).profile
    assert len(some.column_names) == 9
    assert len(found.bytes) < SIZE < 50_000
    widest = found.columns["item"]
    assert isinstance(widest, Category)
    assert len(widest.top) == 256


@pytest.mark.parametrize("columns", [8, 40, 150])
def test_a_profile_is_bounded_whatever_the_data(columns: int) -> None:
    draw = np.random.default_rng(1)
    hard = {
        f"a column with quite a long name {'x' * 60} {number}": draw.standard_normal(9_000)
        * 10.0 ** draw.integers(-300, 300, 9_000)
        if number % 2
        else np.char.add("c", draw.integers(0, 300, 9_000).astype(str))
        for number in range(columns)
    }
    found = facts(pa.table(hard)).profile
    assert len(found.bytes) <= most(columns)
    assert len(found.columns) == columns
    assert all(len(each.counts) >= 4 for each in found.columns.values() if isinstance(each, Number))
    with pytest.raises(CannotTell, match="name of 200 bytes"):
        facts(pa.table({"n" * 200: [1]}))


def test_a_profile_is_read_as_it_was_written() -> None:
    found = facts(log(3_000, 1, True)).profile
    assert read(found.bytes) == found
    assert read(found.bytes).digest == found.digest
    assert found.digest != facts(log(3_000, 2, True)).profile.digest
    assert Facts.model_validate_json(facts(log(3_000, 1, True), found).model_dump_json()).against == found.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda known: [], "no profile that this version knows"),
        (lambda known: known | {"kind": "sluice drift profile 1"}, "no profile that this version knows"),
        (lambda known: known | {"more": 1}, "more: Extra inputs"),
        (lambda known: {name: part for name, part in known.items() if name != "mark"}, "mark: Field required"),
        (lambda known: known | {"rows": -1}, "rows: Input should be greater"),
        (lambda known: known | {"rows": "many"}, "rows: "),
        (lambda known: _with(known, "price", cuts=[2.0, 1.0]), "columns.price.number: "),
        (lambda known: _with(known, "price", counts=[1]), "columns.price.number: "),
        (lambda known: _with(known, "kind", top={"view": 20}), "columns.kind.category.top"),
        (lambda known: _with(known, "at", hours=[1]), "columns.at.time.hours"),
        (lambda known: _with(known, "at", role="place"), "columns.at: "),
    ],
)
def test_what_is_no_profile_is_refused(change: Any, said: str) -> None:
    known = json.loads(facts(log(3_000, 1, True)).profile.bytes)
    with pytest.raises(CannotTell, match=said):
        read(json.dumps(change(known)).encode())


def test_another_spelling_and_what_is_no_json_are_refused() -> None:
    found = facts(log(3_000, 1, True)).profile
    for data, said in (
        (found.bytes + b" ", "another way"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"", "not JSON"),
    ):
        with pytest.raises(CannotTell, match=said):
            read(data)


def test_what_is_longer_than_any_profile_is_refused() -> None:
    found = facts(log(3_000, 1, True)).profile
    with pytest.raises(CannotTell, match="more than profiles of so many columns"):
        read(found.bytes + b" " * SIZE)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(CannotTell, match="two columns of one name"):
        Sketch(SECRET, Spec(roles={"a": "id"})).add(pa.RecordBatch.from_arrays([pa.array([1])] * 2, ["a", "a"]))


def _with(known: Any, name: str, **changes: Any) -> Any:
    return known | {"columns": known["columns"] | {name: known["columns"][name] | changes}}


def test_what_a_spec_may_not_say() -> None:
    with pytest.raises(ValueError, match="no role of an id"):
        Spec(roles={"user": "category"}, user="user")
    with pytest.raises(ValueError, match="not of two columns of categories or ids"):
        Spec(roles={"a": "category", "b": "number"}, pairs=(("a", "b"),))
    with pytest.raises(ValueError, match="greater than or equal to 10"):
        Spec(roles={"a": "category"}, least=9)


def test_a_million_ids_take_no_more_memory_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MOST", 1 << 12)
    under = Spec(roles={"id": "id", "kind": "category"})
    sketch = Sketch(SECRET, under)
    for first in range(0, 100_000, 10_000):
        ids = pa.array([f"u{number}" for number in range(first, first + 10_000)])
        sketch.add(pa.record_batch({"id": ids, "kind": ids}))
        for name in under.roles:
            assert len(sketch.columns[name].counts.values) <= 1 << 12
    found = sketch.facts().profile.columns
    assert [found[name].distinct for name in under.roles] == [100_000, 100_000]  # type: ignore[union-attr]


def test_compare_says_the_same_of_a_reference_that_was_stored() -> None:
    then, now = log(3_000, 1, True), log(3_000, 2, True)
    reference = facts(then).profile
    stored = read(reference.bytes)
    assert compare(stored, facts(now, stored)) == compare(reference, facts(now, reference))
