"""The data contract: what it accepts, what it finds, when it cannot tell, and that it cannot be fooled."""

import gzip
import json
import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from security.gate import judge, observe
from security.gates import contract
from security.gates.contract import RULES, ContractLimits, DataContract, breaks, faulty, kinds, trails
from security.gates.contract import tally as tally_
from security.gates.contract.decoys import word
from security.gates.contract.kinds import Counts, Kind
from security.material import Material
from security.rows import lines, read
from security.rows.accounts import Account
from security.rows.columns import SCHEMA, batch, text, times
from security.verdict import Outcome, Subject, Verdict

Row = dict[str, Any]
GATE = DataContract()
LIMITS = {"since": "2023-10-01", "until": "2023-10-27", "min_rows": 5}
CLEAN = LIMITS | {"clean": True}
VOLUME = {"recent": 28, "fewest": 3, "lowest": 0.5, "highest": 2.0}
SUBJECT = Subject(kind="rows", name="test", sha256="0" * 64)
SECRET = "jane-doe-4711"


def good(count: int) -> list[Row]:
    """Rows without a fault, no two alike."""
    return [
        {
            "user_id": f"{SECRET}-{n % 7}",
            "item_id": f"i{n}",
            "interaction_type": ("view", "click", "purchase")[n % 3],
            "timestamp": f"2023-10-{n % 27 + 1:02d}T10:00:{n % 60:02d}Z",
            "comment": SECRET,
        }
        for n in range(count)
    ]


Make = Callable[..., Material[pa.RecordBatch]]


@pytest.fixture
def opened(tmp_path: Path) -> Make:
    """The material of rows in files: name -> rows."""

    def make(rows: list[Row] | None = None, **files: list[Row]) -> Material[pa.RecordBatch]:
        files = files or {"part": rows if rows is not None else good(40)}
        paths = [tmp_path / f"{name}.jsonl.gz" for name in files]
        for path, held in zip(paths, files.values(), strict=True):
            path.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in held)))
        source = partial(contract.batches, paths, [path.name for path in paths])
        return contract.material(SUBJECT, source, sum(map(lines, paths)))

    return make


def verdict(
    material: Material[pa.RecordBatch], limits: dict[str, Any], gate: DataContract = GATE, seed: int | None = None
) -> Verdict:
    """Look and judge; no value of a row may be in what was seen."""
    seen = observe(gate, material, limits, random.Random(seed) if seed is not None else None)
    text = seen.model_dump_json()
    assert SECRET not in text
    found = judge(gate, seen, limits)
    assert SECRET not in found.model_dump_json()
    return found


def rules(found: Verdict) -> list[str]:
    """The ids of what was found."""
    return sorted(each.rule for each in found.findings)


@pytest.mark.parametrize("limits", [LIMITS, CLEAN, LIMITS | {"since": "", "skew": 5, "most_rejected": 0.5}])
def test_good_rows_pass(opened: Make, limits: dict[str, Any]) -> None:
    found = verdict(opened(), limits)
    assert (found.outcome, found.findings) == (Outcome.PASS, ()), found.reason
    assert found.reason == "40/40 rows, 14 view, 13 click, 13 purchase"


BAD = [
    ("CON-TYPE", {"interaction_type": "rating"}),
    ("CON-TYPE", {"interaction_type": "View"}),
    ("CON-TYPE", {"interaction_type": ""}),
    ("CON-TYPE", {"interaction_type": "v" * 300}),
    ("CON-ID", {"user_id": ""}),
    ("CON-ID", {"item_id": "x" * 65}),
    ("CON-ID", {"item_id": "x" * 300}),
    ("CON-ID", {"user_id": "a b"}),
    ("CON-ID", {"user_id": "Zoë"}),
    ("CON-NULL", {"user_id": None}),
    ("CON-NULL", {"item_id": 5}),
    ("CON-NULL", {"interaction_type": None}),
    ("CON-NULL", {"timestamp": False}),
    ("CON-TIME", {"timestamp": "2023-10-20T10:00:00"}),
    ("CON-TIME", {"timestamp": "yesterday"}),
    ("CON-WINDOW", {"timestamp": "2023-09-30T23:59:59Z"}),
    ("CON-WINDOW", {"timestamp": "2023-10-28T00:00:00Z"}),
    ("CON-WINDOW", {"timestamp": 0}),
    ("CON-WINDOW", {"timestamp": "2101-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("rule", "change"), BAD)
def test_one_bad_row_breaks_its_rule_and_no_other(opened: Make, rule: str, change: Row) -> None:
    rows = good(40)
    rows[16] |= change
    found = verdict(opened(rows), LIMITS)
    assert (found.outcome, rules(found)) == (Outcome.FAIL, [rule])
    assert found.findings[0].place == "part.jsonl.gz row 17"
    assert "1 of 40 rows" in found.findings[0].message
    assert "allowed:" in found.findings[0].message


def test_a_missing_key_in_one_row_is_a_null(opened: Make) -> None:
    rows = good(40)
    del rows[3]["item_id"]
    assert rules(verdict(opened(rows), LIMITS)) == ["CON-NULL"]


def test_repetitions_count_in_a_cleaned_set_only(opened: Make) -> None:
    rows = good(40)
    rows[30] = rows[4] | {"comment": "another"}
    found = verdict(opened(rows), CLEAN)
    assert (found.outcome, rules(found)) == (Outcome.FAIL, ["CON-DUP"])
    assert found.findings[0].place == "part.jsonl.gz row 31"
    assert verdict(opened(rows), LIMITS).outcome == Outcome.PASS


def test_repetitions_are_found_across_files(opened: Make) -> None:
    found = verdict(opened(one=good(20), two=good(40)[19:]), CLEAN)
    assert [(each.rule, each.place) for each in found.findings] == [("CON-DUP", "two.jsonl.gz row 1")]


def test_a_file_without_rows_is_found_by_its_name(opened: Make) -> None:
    found = verdict(opened(one=[], two=good(40), three=[]), LIMITS)
    assert [(each.rule, each.place) for each in found.findings] == [
        ("CON-EMPTY", "one.jsonl.gz"),
        ("CON-EMPTY", "three.jsonl.gz"),
    ]


def test_no_rows_at_all_fail(opened: Make) -> None:
    found = verdict(opened(one=[], two=[]), LIMITS)
    assert (found.outcome, rules(found)) == (Outcome.FAIL, ["CON-EMPTY", "CON-EMPTY", "CON-ROWS"])


def test_too_few_rows_fail(opened: Make) -> None:
    assert rules(verdict(opened(good(4)), LIMITS)) == ["CON-ROWS"]
    assert verdict(opened(good(5)), LIMITS).outcome == Outcome.PASS


def test_rejected_rows_are_findings_only_above_the_share(opened: Make) -> None:
    rows = good(40)
    rows[0] |= {"user_id": None, "interaction_type": "hover"}
    rows[1] |= {"interaction_type": "hover"}
    some = LIMITS | {"most_rejected": 0.05}
    assert verdict(opened(rows), some).outcome == Outcome.PASS
    assert rules(verdict(opened(rows), some | {"clean": True})) == ["CON-NULL", "CON-TYPE"]
    rows[2] |= {"timestamp": "x"}
    found = verdict(opened(rows), some)
    assert rules(found) == ["CON-NULL", "CON-TIME", "CON-TYPE"]
    assert "2 of 40 rows have another interaction type" in found.findings[1].message
    assert "3 rows are rejected in all, at most 5.00% may be" in found.findings[1].message
    assert "part.jsonl.gz row 1, part.jsonl.gz row 2" in found.findings[1].message


def test_an_observation_is_judged_again_under_other_limits(opened: Make) -> None:
    rows = good(40)
    rows[0] |= {"interaction_type": "rating", "user_id": "Zoë"}
    rows[1] |= {"timestamp": "2023-10-28T00:04:59Z"}
    wide = LIMITS | {"types": ["view", "click", "purchase", "rating"], "letters": "printable", "skew": 5}
    seen = observe(GATE, opened(rows), wide)
    assert judge(GATE, seen, wide).outcome == Outcome.PASS
    assert rules(judge(GATE, seen, LIMITS)) == ["CON-ID", "CON-TYPE", "CON-WINDOW"]


def test_it_cannot_tell_when_a_file_cannot_be_read(opened: Make, tmp_path: Path) -> None:
    material = opened()
    (tmp_path / "part.jsonl.gz").write_bytes(b"\x1f\x8b\x08")
    found = verdict(material, LIMITS)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert "part.jsonl.gz, row 1" in found.reason


def test_it_cannot_tell_when_not_every_row_was_seen(opened: Make) -> None:
    for change in (-1, 1):
        material = opened()
        material.expected += change
        found = verdict(material, LIMITS)
        assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "coverage")


def test_it_cannot_tell_under_limits_that_are_none(opened: Make) -> None:
    changes: tuple[Row, ...] = (
        {"until": "2023-09-01"},
        {"types": []},
        {"most_rejected": 0.6},
        {"most": 1},
        {"since": "1980-01-01"},
    )
    for change in changes:
        assert verdict(opened(), LIMITS | change).outcome == Outcome.INCONCLUSIVE
    assert verdict(opened(), {"until": "2023-10-27"}).outcome == Outcome.INCONCLUSIVE


def test_it_cannot_tell_when_rows_are_of_too_many_kinds(opened: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_, "MOST_KINDS", 10)
    found = verdict(opened(), LIMITS)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "facts")


def test_facts_that_do_not_add_up_are_none(opened: Make) -> None:
    seen = observe(GATE, opened(), LIMITS)
    lied = seen.model_copy(update={"facts": seen.facts | {"rows": 41}})
    assert judge(GATE, lied, LIMITS).cause == "facts"
    with pytest.raises(ValidationError, match="not the number of rows"):
        Counts.model_validate(seen.facts | {"rows": 39})


def tally(batches: Sequence[pa.RecordBatch]) -> Counts:
    """The facts of these batches."""
    return GATE.look(Material(SUBJECT, lambda: batches, expected=0, unit="rows"))


TEAMS = {"team": ["red", "blue"]}
LISTED = {"groups": [{"name": "team", "values": ["red", "blue"]}]}


def teamed(folder: Path, values: Sequence[Any], name: str = "part.jsonl", **named: list[str]) -> Material[Any]:
    """Rows of which each says something of a team, or nothing where that is `...`."""
    path, rows = folder / name, good(len(values))
    told = [row if value is ... else row | {"team": value} for row, value in zip(rows, values, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    source = partial(contract.batches, [path], [name], contract.nowhere, named or TEAMS)
    return contract.material(SUBJECT, source, len(rows))


def test_rows_may_say_a_group_that_is_listed_or_none(tmp_path: Path) -> None:
    found = verdict(teamed(tmp_path, ["red", "blue", None, "", ...] * 8), LIMITS | LISTED)
    assert found.outcome is Outcome.PASS, found.reason


@pytest.mark.parametrize("value", ["green", "Red", "red ", 5, True, ["red"], {"red": 1}])
def test_a_group_that_is_not_listed_is_found(tmp_path: Path, value: Any) -> None:
    material = teamed(tmp_path, ["red"] * 20 + [value] + ["blue"] * 19)
    found = verdict(material, LIMITS | LISTED)
    assert rules(found) == ["CON-GROUP"]
    assert "1 of 40 rows say a group that is not listed, or two; allowed: team: red, blue" in found.reason
    assert "part.jsonl row 21" in found.reason
    (batch_,) = read_rows(material)
    marked = faulty(batch_, ContractLimits.model_validate(LIMITS | LISTED)).to_pylist()
    assert marked == [False] * 20 + [True] + [False] * 19, "cleaning drops that row and no other"
    assert verdict(material, LIMITS | LISTED | {"most_rejected": 0.1}).outcome is Outcome.PASS


def test_a_group_that_is_said_twice_is_found(tmp_path: Path) -> None:
    material = teamed(tmp_path, ["red"] * 40)
    path = tmp_path / "part.jsonl"
    path.write_text(path.read_text().replace('"team": "red"', '"team": "red", "team": "blue"', 3))
    found = verdict(material, LIMITS | LISTED)
    assert (rules(found), found.findings[0].message[:12]) == (["CON-GROUP"], "3 of 40 rows")


def test_groups_at_which_nobody_looked_are_no_pass(tmp_path: Path, opened: Make) -> None:
    for material in (opened(), teamed(tmp_path, ["green"] * 40, shelf=["top", "low"])):
        found = verdict(material, LIMITS | LISTED)
        assert found.outcome is Outcome.INCONCLUSIVE
    two = [*read_rows(opened()), *read_rows(teamed(tmp_path, ["red"] * 40))]
    assert tally(two).listed == tally(two[::-1]).listed == ()
    assert tally(two[1:]).listed == ("team",)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rows", [0, 1, 2, 40])
def test_every_known_bad_sample_is_caught_by_its_own_rule_alone(opened: Make, rule: str, rows: int) -> None:
    limits = ContractLimits.model_validate(CLEAN | {"most_rejected": 0.5, "min_rows": 1, "volume": VOLUME, "bots": {}})
    # What the made-up row of an empty sample is like is not the contract's business.
    sample = list(read_rows(opened(good(rows)))) or [kinds.empty("none")]
    for seed in range(25):
        spoiled = GATE.violations[rule](sample, random.Random(seed))
        found = {breach.rule for breach in GATE.judge(tally(spoiled), limits)}
        assert rule in found
        beside = {"CON-WINDOW"} if rule == "CON-VOLUME" else set[str]()  # ninety days are more than a window of October
        assert rows == 0 or found == {rule} | beside, seed
    if rows:
        assert not list(GATE.judge(tally(sample), limits))


def read_rows(material: Material[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches of a material that have rows."""
    return (batch for batch in material.source() if batch.num_rows)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.startswith("CON-") and rule in contract.ABOUT_ROWS])
def test_known_bad_rows_are_caught_at_the_largest_share_that_a_policy_may_allow(opened: Make, rule: str) -> None:
    limits = ContractLimits.model_validate(LIMITS | {"most_rejected": 0.5})
    for rows in (5, 6, 41):
        for seed in range(20):
            spoiled = GATE.violations[rule](list(read_rows(opened(good(rows)))), random.Random(seed))
            assert rule in {breach.rule for breach in GATE.judge(tally(spoiled), limits)}


def test_made_up_words_are_in_no_vocabulary() -> None:
    made = {word(random.Random(seed)) for seed in range(200)}
    assert not made & set(kinds.VOCABULARY)
    assert len(made) > 190


class Blind(DataContract):
    """Looks, and tells of clean rows whatever it saw."""

    def look(self, material: Material[pa.RecordBatch]) -> Counts:
        """The facts of other rows."""
        real = super().look(material)
        kind = Kind("view", 8, "plain", "2023-10-10", "", "", 0)
        cells = (kinds.Cell(kind, 40, ((0, 1),)),)
        groups = (kinds.Group(Account(0, 4, 0, 0, 0, 0), 7, 40),)
        return Counts(
            rows=40,
            files=real.files,
            empty=(),
            cells=cells,
            partitions={},
            duplicates=0,
            doubled=(),
            groups=groups,
            listed=(),
        )


class Mute(DataContract):
    """Looks, and has nothing to say."""

    def judge(self, facts: Counts, limits: ContractLimits) -> list[Any]:
        """Nothing."""
        return []


class Deaf(DataContract):
    """Does not look at all."""

    def look(self, material: Material[pa.RecordBatch]) -> Counts:
        """Nothing was there."""
        return Counts(
            rows=0, files=(), empty=(), cells=(), partitions={}, duplicates=0, doubled=(), groups=(), listed=()
        )


@pytest.mark.parametrize("gate", [Blind(), Mute()])
def test_a_gate_that_lies_is_caught_by_a_canary(opened: Make, gate: DataContract) -> None:
    for seed in range(10):
        found = verdict(opened(), CLEAN, gate, seed)
        assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "canary")


def test_a_gate_that_does_not_look_does_not_pass(opened: Make) -> None:
    assert verdict(opened(), LIMITS, Deaf()).outcome != Outcome.PASS


def test_a_crash_is_no_pass(opened: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_.Tally, "add", lambda *_: 1 // 0)
    assert verdict(opened(), LIMITS).cause == "crash"


CELL = st.tuples(
    st.integers(0, 3), st.integers(0, 5), st.sampled_from(["view", "click", "hover", None]), st.integers(0, 40)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELL, max_size=12), max_size=6), st.data(), st.sampled_from([0, 1 << 20]))
def test_looking_at_parts_and_merging_is_looking_at_the_whole(files: list[Any], data: st.DataObject, held: int) -> None:
    """Wherever the batches are cut, however they are brought together, and whether they fit into memory or not."""
    made: list[pa.RecordBatch] = []
    for number, rows in enumerate(files):
        name, day = f"file-{number}", f"2023-10-{number + 1:02d}"
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
        made.append(
            placed_batch(
                name, day, [f"u{user}" for user in columns[0]], [f"i{item}" for item in columns[1]], *columns[2:]
            )
            if rows
            else kinds.placed(kinds.empty(name), day)
        )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(made)), max_size=3)))
    parts = [made[start:end] for start, end in zip([0, *cuts], [*cuts, len(made)], strict=True)]

    def look(batches: Sequence[pa.RecordBatch]) -> tally_.Tally:
        found = tally_.Tally(b"s" * 32)
        found.trails.rows.most = held
        for each in batches:
            found.add(each)
        return found

    left, *rest = map(look, parts)
    for each in rest:
        left.merge(each)
    assert left.facts() == look(made).facts()


moments = st.sampled_from([-(2**62), -1, 0, 1, 2, 3, 2**62])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1), moments), min_size=1, max_size=40))
def test_repetitions_are_found_where_times_are_too_far_apart_to_sort_by_them_whole(made: list[Any]) -> None:
    rows = np.zeros(len(made), trails.ROW)
    for place, (user, item, kind, moment) in enumerate(made):
        rows[place] = (user, item, kind, moment, 0, place)
    again, seen = trails._bucket(rows, 3)
    first = {each: place for place, each in reversed(list(enumerate(made)))}
    assert sorted(again["row"].tolist()) == [place for place, each in enumerate(made) if first[each] != place]
    counts = Counter(user for user, *_ in first)
    users = dict.fromkeys(user for user, *_ in made)  # numbered as they come
    assert seen.users.tolist() == list(range(len(users)))
    assert seen.rows.tolist() == [counts[user] for user in users]


def test_items_do_not_wait_to_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "KEPT", 8)
    tally = tally_.Tally(b"s" * 32)
    for number in range(40):
        tally.add(placed_batch("x", "2023-10-01", ["u"] * 3, ["i1", "i2", "i3"], ["view"] * 3, [number] * 3))
        tally.trails.wait()
        assert sum(map(len, tally.trails.more)) <= 8
    assert len(tally.trails.items) == 3


def test_what_fails_while_rows_are_put_aside_is_told_however_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(trails.Buckets, "add", full)
    made = placed_batch("x", "2023-10-01", ["u"], ["i"], ["view"], [0])
    uses: list[Callable[[tally_.Tally], object]] = [
        lambda tally: tally.facts(),
        lambda tally: tally.add(made),
        lambda tally: tally.merge(tally_.Tally(b"s" * 32)),
        lambda tally: tally_.Tally(b"s" * 32).merge(tally),
        pickle.dumps,
    ]
    for use in uses:
        tally = tally_.Tally(b"s" * 32)
        tally.add(made)
        with pytest.raises(OSError, match="no space left"):
            use(tally)


def placed_batch(
    name: str, day: str, users: list[str], items: list[str], types: list[str | None], seconds: list[int]
) -> pa.RecordBatch:
    """A batch of a file that lies in a partition."""
    moment = int(datetime.fromisoformat(f"{day}T10:00:00+00:00").timestamp())
    columns = [text(users), text(items), text(types), times([moment + each for each in seconds])]
    return kinds.placed(batch(columns, name, 0), day)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([40, 400]), st.sampled_from([1, 10**17]))
def test_repetitions_are_found_among_many_accounts(seed: int, users: int, wide: int) -> None:
    """Several accounts share a bucket, and rows of one moment lie between those of others; times near and far apart."""
    draw = random.Random(seed)
    held = [
        (f"u{draw.randrange(users)}", f"i{draw.randrange(3)}", draw.choice(("view", "click")), draw.randrange(3) * wide)
        for _ in range(600)
    ]
    columns = [list(column) for column in zip(*held, strict=True)]
    stamps = (pa.array(columns[3], pa.int64()), np.zeros(len(held), np.uint32))
    found = tally([batch([*map(text, columns[:3]), stamps], "part", 0)])
    seen, again = set(), []
    for place, row in enumerate(held, 1):
        again += [(0, place)] if row in seen else []
        seen.add(row)
    assert (found.duplicates, list(found.doubled)) == (len(again), again[:3])
    assert sum(group.accounts for group in found.groups) == len({row[0] for row in held})


def test_parts_that_were_merged_in_another_grouping_are_the_same(opened: Make) -> None:
    rows = good(60)
    rows[5]["user_id"] = rows[50]["user_id"] = None
    files = {"a": rows[:20], "b": rows[20:40] + rows[:3], "c": rows[40:] + rows[30:32]}
    batches = list(read_rows(opened(**files)))
    assert len(batches) == 3

    def look(*some: pa.RecordBatch) -> tally_.Tally:
        found = tally_.Tally(b"s" * 32)
        for each in some:
            found.add(each)
        return found

    one, two = look(batches[0]), look(batches[1])
    two.merge(look(batches[2]))
    one.merge(two)
    facts = one.facts()
    assert facts == look(*batches).facts()
    assert (facts.rows, facts.duplicates, facts.doubled) == (65, 5, ((1, 21), (1, 22), (1, 23)))


Parts = dict[str, list[Row]]


@pytest.fixture
def parted(tmp_path: Path) -> Callable[[Parts], Material[pa.RecordBatch]]:
    """The material of files that lie in partitions: partition -> rows."""

    def make(parts: Parts) -> Material[pa.RecordBatch]:
        paths = [tmp_path / f"{name}.jsonl" for name in parts]
        for path, held in zip(paths, parts.values(), strict=True):
            path.write_text("".join(json.dumps(row) + "\n" for row in held))
        names = [f"p/{name}/part.jsonl" for name in parts]
        source = partial(contract.batches, paths, names, lambda name: name.split("/")[1])
        return contract.material(SUBJECT, source, sum(map(lines, paths)))

    return make


def on(day: str, count: int, clock: str = "10:00:00") -> list[Row]:
    """Rows of one day."""
    return [row | {"timestamp": f"{day}T{clock}Z"} for row in good(count)]


@pytest.mark.parametrize(
    ("name", "day", "clock", "sides"),
    [
        ("2023-10-10", "2023-10-10", "00:00:00", {"in"}),
        ("2023-10-10", "2023-10-10", "23:59:59", {"in"}),
        ("2023-10-10", "2023-10-11", "00:00:00", {"after"}),
        ("2023-10-10", "2023-10-09", "23:59:59", {"before"}),
        ("2023-10-10", "2023-10-12", "00:00:00", {"apart"}),
        ("2023-10-10", "2023-10-08", "23:59:59", {"apart"}),
        ("2023-10", "2023-10-01", "00:00:00", {"in"}),
        ("2023-10", "2023-10-31", "23:59:59", {"in"}),
        ("2023-10", "2023-11-01", "00:00:00", {"after"}),
        ("2024-02", "2024-02-29", "12:00:00", {"in"}),
        ("2024-02", "2024-01-31", "12:00:00", {"before"}),
        ("2024-02", "2024-03-02", "12:00:00", {"apart"}),
    ],
)
def test_a_row_lies_on_a_side_of_its_partition(parted: Any, name: str, day: str, clock: str, sides: set[str]) -> None:
    assert {cell.kind.side for cell in tally(list(parted({name: on(day, 4, clock)}).source())).cells} == sides


@pytest.mark.parametrize(
    ("clock", "skew", "fails"),
    [("00:04:59", 0, True), ("00:04:59", 5, False), ("00:05:00", 5, True), ("23:56:00", 5, True)],
)
def test_a_clock_may_be_ahead_by_so_much_and_no_more(parted: Any, clock: str, skew: int, fails: bool) -> None:
    found = verdict(parted({"2023-10-10": on("2023-10-11", 5, clock)}), LIMITS | {"skew": skew})
    assert rules(found) == (["CON-PARTITION"] if fails else [])
    if fails:
        assert "p/2023-10-10/part.jsonl row 1" in found.reason


def test_a_day_within_the_window_and_in_another_partition_is_rejected(parted: Any) -> None:
    parts = {"2023-10-10": [*on("2023-10-10", 9), *on("2023-10-03", 1)], "2023-10-11": on("2023-10-11", 9)}
    found = verdict(parted(parts), LIMITS)
    assert rules(found) == ["CON-PARTITION"]
    assert "1 of 19 rows are of a time outside the partition that their file lies in" in found.reason
    assert "first: p/2023-10-10/part.jsonl row 10" in found.reason
    assert verdict(parted(parts), LIMITS | {"most_rejected": 0.1}).outcome == Outcome.PASS


def sizes(*counts: int) -> Parts:
    """Partitions from 2023-10-01 on with so many rows; none where there is nothing."""
    days = {f"2023-10-{number:02d}": count for number, count in enumerate(counts, 1)}
    return {day: on(day, count) for day, count in days.items() if count}


@pytest.mark.parametrize(
    ("counts", "places"),
    [
        ((10, 10, 10, 10, 10), []),
        ((10, 10, 10, 5, 20), []),
        ((10, 10, 10, 4, 10), ["2023-10-04"]),
        ((10, 10, 10, 21, 10), ["2023-10-04"]),
        ((10, 10, 10, 0, 10), ["2023-10-04"]),
        ((10, 10, 10, 10, 4, 30), ["2023-10-05", "2023-10-06"]),
        ((40, 10, 10), []),
    ],
)
def test_a_partition_is_measured_by_those_before_it(parted: Any, counts: tuple[int, ...], places: list[str]) -> None:
    found = verdict(parted(sizes(*counts)), LIMITS | {"volume": VOLUME})
    assert [(each.rule, each.place) for each in found.findings] == [("CON-VOLUME", place) for place in places]
    assert verdict(parted(sizes(*counts)), LIMITS).findings == ()


def test_how_many_rows_are_allowed_is_said(parted: Any) -> None:
    found = verdict(parted(sizes(10, 10, 11, 3)), LIMITS | {"volume": VOLUME})
    assert "CON-VOLUME 2023-10-04: 3 rows; allowed: 5 to 20, by the median of the partitions before it" in found.reason


@pytest.mark.parametrize(
    "volume",
    [{"fewest": 0}, {"recent": 91}, {"lowest": -0.1}, {"lowest": 1.1}, {"highest": 0.9}, {"highest": 101}, {"more": 1}],
)
def test_no_volume_can_be_asked_for_that_a_canary_would_not_break(opened: Make, volume: Row) -> None:
    found = verdict(opened(), LIMITS | {"volume": VOLUME | volume})
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "crash")


@given(st.dates(date(1990, 1, 1), date(2099, 12, 31)), st.integers(0, 400))
def test_a_calendar_has_every_partition_once(first: date, days: int) -> None:
    last = min(first + timedelta(days=days), date(2099, 12, 31))
    found = kinds.calendar(str(first), str(last))
    assert (found[0], found[-1], len(found)) == (str(first), str(last), (last - first).days + 1)
    months = kinds.calendar(str(first)[:7], str(last)[:7])
    assert months == sorted({each[:7] for each in found})


day = st.dates(date(2023, 9, 1), date(2023, 12, 1))


@given(
    day, day, st.sampled_from([0, 5]), st.datetimes(min_value=datetime(2023, 8, 30), max_value=datetime(2023, 12, 3))
)
def test_the_window_is_of_whole_days_and_forgives_the_skew(
    first: date, last: date, skew: int, moment: datetime
) -> None:
    since, until = min(first, last), max(first, last)
    limits = ContractLimits.model_validate({"since": since, "until": until, "skew": skew})
    begin = datetime.combine(since, datetime.min.time()) - timedelta(minutes=skew)
    end = datetime.combine(until, datetime.min.time()) + timedelta(days=1, minutes=skew)
    row = {"user_id": "u", "item_id": "i", "interaction_type": "view", "row": 1, "file": "f", "faults": 0}
    stamp = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    batch = pa.RecordBatch.from_pylist([row | {"timestamp": stamp}], schema=SCHEMA)
    assert faulty(batch, limits).to_pylist() == [not begin <= moment < end]
    (kind,), _ = kinds.kinds(batch)
    assert breaks(kind, limits) == (() if begin <= moment < end else ("CON-WINDOW",))


@given(st.integers(-(2**62), 2**62))
def test_every_time_has_a_day(stamp: int) -> None:
    row = {"user_id": "u", "item_id": "i", "interaction_type": "view", "row": 1, "file": "f", "faults": 0}
    (kind,), _ = kinds.kinds(pa.RecordBatch.from_pylist([row | {"timestamp": stamp}], schema=SCHEMA))
    start, end = ((edge - date(1970, 1, 1)).days * 86_400_000_000 for edge in (kinds.FLOOR, kinds.CEILING))
    if start <= stamp < end:
        assert kind.day == str(date(1970, 1, 1) + timedelta(microseconds=stamp))
    else:
        assert kind.day == ("before" if stamp < start else "after")


def test_reading_finds_the_same_rows_as_the_material(opened: Make, tmp_path: Path) -> None:
    material = opened(one=good(3), two=[], three=good(2))
    handed, taken = material.handed()
    sizes = [(batch.num_rows, (batch.schema.metadata or {}).get(b"empty")) for batch in handed]
    assert sizes == [(3, None), (2, None), (0, b"two.jsonl.gz")]
    assert taken() == material.expected == 5
    paths = [tmp_path / "one.jsonl.gz"]
    assert sum(batch.num_rows for batch in read(paths, ["one"])) == 3
