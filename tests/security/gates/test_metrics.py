"""The metric gate: its figures equal a slow reading of the definitions, and nothing that flatters gets through."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security import gate as gates
from security.errors import CannotTell
from security.gates import metrics
from security.gates.metrics import REQUIRED, Facts, MetricThresholds
from security.verdict import Breach, Observation, Outcome, Subject, Verdict

Row = dict[str, Any]
GATE = MetricThresholds()
ITEMS = 300
GOOD = {"model": 8, "popularity": 2, "random": 1, "knn": 6, "shuffled": 1, "ceiling": 9}
"""Hits of each system in every list of a sound evaluation."""
LIMITS: dict[str, Any] = {"thresholds": {"precision@10": 0.75, "recall@10": 0.5, "ndcg@10": 0.7}, "min_users": 40}
SUBJECT = Subject(kind="scores", name="scores", sha256="0" * 64)


def sound(count: int = 50, seed: int = 1, systems: Sequence[str] = (*REQUIRED, "ceiling")) -> list[Row]:
    """Rows that break no rule."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for user in range(count):
        order = draw.sample(range(ITEMS), ITEMS)
        held, seen, rest = order[:12], order[12:60], order[60:]
        row: Row = {"user": 1000 + user, "held": held, "seen": seen}
        for system in systems:
            row[f"top_{system}"] = draw.sample(held, GOOD[system]) + draw.sample(rest, 10 - GOOD[system])
        rows.append(row)
    return rows


def batch(rows: Sequence[Row], items: bytes | None = str(ITEMS).encode(), **types: Any) -> Any:
    """Rows as one Arrow batch."""
    lists = pa.list_(pa.int32())
    kinds = {name: pa.int32() if name == "user" else lists for name in (rows[0] if rows else sound(1)[0])} | types
    schema = pa.schema(kinds.items(), metadata=None if items is None else {"items": items})
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)


def material(*batches: Any, expected: int | None = None) -> gates.Material[Any]:
    """Batches as a runner hands them out."""
    count = sum(each.num_rows for each in batches) if expected is None else expected
    return gates.Material(
        SUBJECT, lambda: batches, expected=count, unit="users", weigh=lambda each: int(each.num_rows), sample=1
    )


def look(rows: Sequence[Row]) -> Facts:
    """The facts of rows."""
    return GATE.look(material(batch(rows)))


def run(
    rows: Sequence[Row], gate: MetricThresholds = GATE, expected: int | None = None, **changes: Any
) -> tuple[Observation, Verdict]:
    """Look at rows and judge them."""
    terms = LIMITS | changes
    seen = gates.observe(gate, material(batch(rows), expected=expected), terms)
    return seen, gates.judge(gate, seen, terms)


def broken(rows: Sequence[Row], **changes: Any) -> list[str]:
    """Ids of the rules that rows break."""
    return sorted({each.rule for each in run(rows, **changes)[1].findings})


def test_a_sound_evaluation_passes() -> None:
    seen, verdict = run(sound())
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.reason == "50/50 users, precision@10 0.800, popularity 0.200"
    assert len(seen.canaries) == 2
    facts = Facts.model_validate(seen.facts)
    assert {name: round(10 * each.precision, 9) for name, each in facts.systems.items()} == GOOD
    assert facts.systems["model"].recall == pytest.approx(8 / 12)


def test_the_ceiling_is_optional() -> None:
    assert run(sound(systems=REQUIRED))[1].outcome is Outcome.PASS


def test_every_rule_has_a_maker() -> None:
    assert set(GATE.rules) == set(GATE.violations)
    assert all(rule.controls and rule.remedy for rule in GATE.rules.values())


def free(row: Row) -> int:
    """An item that a row does not have."""
    used = {item for name, value in row.items() if name != "user" for item in value}
    return next(item for item in range(ITEMS) if item not in used)


def place(row: Row, top: str, hit: bool) -> int:
    """Where a list hits, or does not."""
    return next(at for at, item in enumerate(row[top]) if (item in row["held"]) is hit)


def _low(rows: list[Row]) -> None:
    # 374 hits of 500: the mean is just below the threshold.
    for row in rows[:26]:
        row["top_model"][place(row, "top_model", hit=True)] = free(row)


def _popular(rows: list[Row]) -> None:
    for row in rows:
        row["top_popularity"] = row["top_model"]


def _learnt(rows: list[Row]) -> None:
    for row in rows:
        row["top_shuffled"] = row["held"][:4] + [item for item in row["top_shuffled"] if item not in row["held"]][:6]


def _leak(rows: list[Row]) -> None:
    rows[3]["seen"].append(rows[3]["top_knn"][place(rows[3], "top_knn", hit=False)])


def _overlap(rows: list[Row]) -> None:
    held = next(item for item in rows[0]["held"] if all(item not in rows[0][f"top_{each}"] for each in GOOD))
    rows[0]["seen"].append(held)


def _short(rows: list[Row]) -> None:
    del rows[4]["top_random"][place(rows[4], "top_random", hit=False)]


def _long(rows: list[Row]) -> None:
    rows[4]["top_random"].append(free(rows[4]))


def _repeated(rows: list[Row]) -> None:
    row = rows[5]
    row["top_model"][place(row, "top_model", hit=False)] = row["top_model"][place(row, "top_model", hit=True)]


def _foreign(rows: list[Row]) -> None:
    rows[6]["top_ceiling"][place(rows[6], "top_ceiling", hit=False)] = ITEMS


def _negative(rows: list[Row]) -> None:
    rows[6]["top_ceiling"][place(rows[6], "top_ceiling", hit=False)] = -1


def _held_twice(rows: list[Row]) -> None:
    rows[6]["held"].append(rows[6]["held"][0])


def _held_foreign(rows: list[Row]) -> None:
    rows[6]["held"].append(ITEMS)


def _few(rows: list[Row]) -> None:
    del rows[39:]


def _again(rows: list[Row]) -> None:
    rows[0]["user"] = rows[1]["user"]


def _bare(rows: list[Row]) -> None:
    rows[0]["held"] = []


BAD = [
    ("MET-THRESHOLD", _low, "precision@10"),
    ("MET-BASELINE", _popular, "popularity"),
    ("MET-CONTROL", _learnt, "shuffled"),
    ("MET-LEAK", _leak, "top_knn"),
    ("MET-LEAK", _overlap, "held"),
    ("MET-LIST", _short, "top_random"),
    ("MET-LIST", _long, "top_random"),
    ("MET-LIST", _repeated, "top_model"),
    ("MET-LIST", _foreign, "top_ceiling"),
    ("MET-LIST", _negative, "top_ceiling"),
    ("MET-LIST", _held_twice, "held"),
    ("MET-LIST", _held_foreign, "held"),
    ("MET-USERS", _few, "users"),
    ("MET-USERS", _again, "user"),
    ("MET-USERS", _bare, "held"),
]


@pytest.mark.parametrize(("rule", "spoil", "where"), BAD)
def test_the_smallest_violation_trips_its_rule_alone(rule: str, spoil: Callable[[list[Row]], None], where: str) -> None:
    rows = sound()
    spoil(rows)
    seen, verdict = run(rows)
    assert verdict.outcome is Outcome.FAIL, verdict.reason
    assert [(each.rule, each.place) for each in verdict.findings] == [(rule, where)]
    assert "found" in verdict.findings[0].message
    assert "allowed" in verdict.findings[0].message
    assert len(seen.canaries) == 2, seen.trouble


def test_a_threshold_is_met_by_its_own_value() -> None:
    rows = sound()
    for row in rows[:25]:
        row["top_model"][place(row, "top_model", hit=True)] = free(row)
    assert look(rows).systems["model"].precision == 0.75
    assert broken(rows) == []
    rows[25]["top_model"][place(rows[25], "top_model", hit=True)] = free(rows[25])
    assert broken(rows) == ["MET-THRESHOLD"]


def test_lift_is_over_popularity() -> None:
    assert broken(sound(), thresholds={"lift@10": 4.0}) == []
    assert broken(sound(), thresholds={"lift@10": 4.01}) == ["MET-THRESHOLD"]
    rows = sound()
    for row in rows:
        row["top_popularity"] = [item for item in range(ITEMS) if item not in row["held"] + row["seen"]][:10]
        row["top_shuffled"] = row["top_popularity"]
    verdict = run(rows, thresholds={"lift@10": 1.0})[1]
    assert [each.rule for each in verdict.findings] == ["MET-THRESHOLD"]
    assert "no value" in verdict.reason


@pytest.mark.parametrize("beats", [["knn"], ["random", "knn"]])
def test_the_model_beats_what_it_is_told_to(beats: list[str]) -> None:
    assert broken(sound(), beats=beats) == []
    rows = sound()
    for row in rows:
        row["top_knn"] = row["top_ceiling"]
    assert broken(rows, beats=beats) == ["MET-BASELINE"]
    assert broken(rows) == []


def test_the_control_must_fail_the_threshold_and_stay_near_popularity() -> None:
    rows = sound()
    for row in rows:
        row["top_shuffled"] = row["top_popularity"]
    assert broken(rows) == []
    assert broken(rows, thresholds={"precision@10": 0.2}) == ["MET-CONTROL"]
    for row in rows:
        row["top_shuffled"] = row["top_knn"]
    assert broken(rows) == ["MET-CONTROL"]
    assert broken(rows, thresholds={"precision@10": 0.79}) == ["MET-CONTROL"]


def test_users_without_held_out_items_count_where_they_are_allowed() -> None:
    rows = sound()
    rows[0]["held"] = []
    assert broken(rows, bare_share=0.02) == []
    assert broken(rows, bare_share=0.019) == ["MET-USERS"]
    assert look(rows).systems["model"].precision == 0.8


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholds": {}},
        {"thresholds": {"precision@5": 0.1}},
        {"thresholds": {"precision@10": math.nan}},
        {"thresholds": {"precision@10": 0.0}},
        {"thresholds": {"precision@10": 75}},
        {"beats": []},
        {"beats": ["shuffled"]},
        {"control_over": 0.9},
        {"min_users": 0},
        {"more": 1},
    ],
)
def test_limits_are_strict(changes: dict[str, Any]) -> None:
    terms = {**LIMITS, **changes}
    with pytest.raises(ValueError, match=r"Limits"):
        metrics.Limits.model_validate(terms)


@pytest.mark.parametrize("rule", sorted(GATE.rules))
@pytest.mark.parametrize("count", [50, 200])
def test_every_canary_is_caught_by_its_own_rule_alone(rule: str, count: int) -> None:
    sample = [batch(sound(count))]
    terms = metrics.Limits.model_validate(LIMITS)
    for seed in range(24):
        items = GATE.violations[rule](sample, random.Random(seed))
        found = {each.rule for each in GATE.judge(GATE.look(material(*items)), terms)}
        assert found == {rule}, seed
    assert list(GATE.judge(GATE.look(material(*sample)), terms)) == []


@pytest.mark.parametrize("rule", sorted(GATE.rules))
@pytest.mark.parametrize("spoil", [each[1] for each in BAD], ids=[each[1].__name__ for each in BAD])
def test_canaries_are_caught_whatever_they_are_made_from(rule: str, spoil: Callable[[list[Row]], None]) -> None:
    rows = sound()
    spoil(rows)
    terms = metrics.Limits.model_validate(LIMITS)
    for seed in range(2):
        items = GATE.violations[rule]([batch(rows)], random.Random(seed))
        assert rule in {each.rule for each in GATE.judge(GATE.look(material(*items)), terms)}


def test_canaries_leave_the_sample_alone() -> None:
    sample = [batch(sound())]
    for make in GATE.violations.values():
        assert not make(sample, random.Random(1))[0].equals(sample[0])
    assert sample[0].equals(batch(sound()))


def test_an_engine_that_does_not_look_is_caught() -> None:
    clean = look(sound())

    class Blind(MetricThresholds):
        def look(self, material: gates.Material[Any]) -> Facts:
            list(material)
            return clean

    class Mute(MetricThresholds):
        def judge(self, facts: Facts, limits: Any) -> Iterable[Breach]:
            return ()

    bad = sound()
    _popular(bad)
    for engine in (Blind(), Mute()):
        for rows in (sound(), bad):
            verdict = run(rows, engine)[1]
            assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")


def test_it_cannot_tell_where_users_are_missing() -> None:
    verdict = run(sound(), expected=51)[1]
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "coverage")
    assert run([])[1].outcome is Outcome.INCONCLUSIVE


def test_it_cannot_tell_where_nobody_has_held_out_items() -> None:
    verdict = run([row | {"held": []} for row in sound()])[1]
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "coverage")


def _without(name: str) -> list[Row]:
    return [{key: value for key, value in row.items() if key != name} for row in sound()]


ODD = {
    "no model": lambda: batch(_without("top_model")),
    "no control": lambda: batch(_without("top_shuffled")),
    "no training part": lambda: batch(_without("seen")),
    "another column": lambda: batch([row | {"top_best": row["held"]} for row in sound()]),
    "wide items": lambda: batch(sound(), held=pa.list_(pa.int64())),
    "no catalogue": lambda: batch(sound(), None),
    "empty catalogue": lambda: batch(sound(), b"0"),
    "words": lambda: batch(sound(), b"many"),
    "below zero": lambda: batch(sound(), b"-5"),
    "no user": lambda: batch([row | {"user": None} for row in sound()]),
    "no list": lambda: batch([row | {"top_model": None} for row in sound()]),
    "no item": lambda: batch([row | {"seen": [None]} for row in sound()]),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD.keys())
def test_it_cannot_tell_from_odd_columns(make: Callable[[], Any]) -> None:
    odd = make()
    with pytest.raises(CannotTell):
        GATE.look(material(odd))
    seen = gates.observe(GATE, material(odd), LIMITS)
    verdict = gates.judge(GATE, seen, LIMITS)
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "unreadable")


def test_it_cannot_tell_from_batches_that_differ() -> None:
    for other in (batch(sound(), b"301"), batch(sound(systems=REQUIRED))):
        with pytest.raises(CannotTell, match="different"):
            GATE.look(material(batch(sound()), other))


def test_parquet_is_read_in_batches(tmp_path: Path) -> None:
    rows = sound(60)
    files = []
    for number, part in enumerate((rows[:25], rows[25:])):
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.Table.from_batches([batch(part)]), files[-1], row_group_size=10)
    opened = metrics.material(SUBJECT, files, 60)
    seen = gates.observe(GATE, opened, LIMITS)
    verdict = gates.judge(GATE, seen, LIMITS)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert Facts.model_validate(seen.facts) == look(rows)


def test_it_cannot_tell_from_what_is_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    for files in ([tmp_path / "bad.parquet"], [tmp_path / "absent.parquet"], []):
        seen = gates.observe(GATE, metrics.material(SUBJECT, files, 50), LIMITS)
        verdict = gates.judge(GATE, seen, LIMITS)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.cause in {"unreadable", "coverage"}


def test_no_row_is_written_down() -> None:
    rows = sound()
    for row in rows:
        row["user"] += 987_654_000
    seen, verdict = run(rows)
    assert verdict.outcome is Outcome.PASS
    assert "98765" not in seen.model_dump_json()
    assert all(isinstance(value, int) for name, value in seen.facts.items() if name != "systems")


def oracle(rows: Sequence[Row], top: str) -> tuple[float, float, float]:
    """The three metrics by their definitions, slowly."""
    values = []
    for row in rows:
        held = set(row["held"])
        if not held:
            continue
        hits, gain = 0, 0.0
        for rank, item in enumerate(row[top][:10], 1):
            if item in held and item not in row[top][: rank - 1]:
                hits += 1
                gain += 1 / math.log2(rank + 1)
        best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(held), 10) + 1))
        values.append((hits / 10, hits / len(held), gain / best))
    precision, recall, ndcg = (sum(each) / len(values) for each in zip(*values, strict=True))
    return precision, recall, ndcg


ITEM = st.integers(-2, 30) | st.sampled_from([2**31 - 1, -(2**31)])
LIST = st.lists(ITEM, max_size=13)
ROW = st.fixed_dictionaries(
    {"user": st.integers(-5, 5), "held": LIST, "seen": LIST, **{f"top_{system}": LIST for system in REQUIRED}}
)
ROWS = st.lists(ROW, min_size=1, max_size=12).filter(lambda rows: any(row["held"] for row in rows))


@settings(max_examples=150, deadline=None)
@given(rows=ROWS)
def test_the_facts_are_those_of_the_definitions(rows: list[Row]) -> None:
    facts = GATE.look(material(batch(rows, b"25")))
    for system in REQUIRED:
        top, scores = f"top_{system}", facts.systems[system]
        assert (scores.precision, scores.recall, scores.ndcg) == pytest.approx(oracle(rows, top), abs=1e-9)
        assert scores.leaks == sum(item in row["seen"] for row in rows for item in row[top])
        assert scores.repeated == sum(len(row[top]) - len(set(row[top])) for row in rows)
        assert scores.foreign == sum(not 0 <= item < 25 for row in rows for item in row[top])
        assert scores.odd == sum(len(row[top]) != 10 for row in rows)
    assert facts.users == len(rows)
    assert facts.again == len(rows) - len({row["user"] for row in rows})
    assert facts.bare == sum(not row["held"] for row in rows)
    assert facts.overlap == sum(len(set(row["held"]) & set(row["seen"])) for row in rows)
    assert facts.held_repeated == sum(len(row["held"]) - len(set(row["held"])) for row in rows)
    assert facts.held_foreign == sum(not 0 <= item < 25 for row in rows for item in row["held"])


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, data=st.data())
def test_the_facts_do_not_depend_on_batches_or_order(rows: list[Row], data: st.DataObject) -> None:
    whole = batch(rows, b"25")
    cut = data.draw(st.integers(0, len(rows)))
    parts = whole.slice(0, cut), whole.slice(cut)
    assert GATE.look(material(*parts)) == GATE.look(material(whole))
    assert GATE.look(material(batch(data.draw(st.permutations(rows)), b"25"))) == GATE.look(material(whole))


@settings(max_examples=80, deadline=None)
@given(rows=ROWS)
def test_metrics_are_shares(rows: list[Row]) -> None:
    for scores in GATE.look(material(batch(rows, b"25"))).systems.values():
        assert 0 <= scores.precision <= 1
        assert 0 <= scores.recall <= 1 + 1e-9
        assert 0 <= scores.ndcg <= 1 + 1e-9


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 2**32), rule=st.sampled_from(sorted(GATE.rules)))
def test_makers_never_break_on_odd_rows(rows: list[Row], seed: int, rule: str) -> None:
    for made in GATE.violations[rule]([batch(rows, b"25")], random.Random(seed)):
        assert made.schema.metadata == {b"items": b"25"}
        assert made.num_rows > 0


def test_large_batches_are_cut() -> None:
    rows = sound(200)
    many = pa.Table.from_batches([batch(rows)] * 100).combine_chunks().to_batches()[0]
    assert many.num_rows > 2 * metrics.BATCH
    facts, small = GATE.look(material(many)), look(rows)
    assert facts.users == 20_000
    assert facts.again == 19_800
    assert facts.systems == small.systems
    assert np.isfinite([each.ndcg for each in facts.systems.values()]).all()
