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
from security.bootstrap import PART, estimate, resampled
from security.errors import CannotTell
from security.gates import metrics
from security.gates.metrics import REQUIRED, Facts, MetricThresholds
from security.verdict import Breach, Observation, Outcome, Subject, Verdict

Row = dict[str, Any]
GATE = MetricThresholds()
ITEMS = 300
GOOD = {"model": 8, "popularity": 2, "random": 1, "knn": 6, "shuffled": 1, "ceiling": 9}
"""Hits of each system in every list of a sound evaluation."""
LIMITS: dict[str, Any] = {
    "thresholds": {"precision@10": 0.75, "recall@10": 0.5, "ndcg@10": 0.7},
    "min_users": 40,
    "attempts": 3,
    "first": "establish",
}
BESIDE = {
    "MET-THRESHOLD": {"MET-BASELINE"},
    "MET-REGRESSION": {"MET-BASELINE", "MET-THRESHOLD"},
}
"""Where nobody hits anything, the model is ahead of nobody either."""
SUBJECT = Subject(kind="scores", name="scores", sha256="0" * 64)


def sound(count: int = 50, seed: int = 1, systems: Sequence[str] = (*REQUIRED, "ceiling")) -> list[Row]:
    """Rows that break no rule."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for user in range(count):
        order = draw.sample(range(ITEMS), ITEMS)
        held, seen, rest = order[:12], order[12:60], order[60:]
        row: Row = {"user": 1000 + user, "held": held, "seen": seen, "held_from": 200, "seen_until": 100}
        for system in systems:
            row[f"top_{system}"] = draw.sample(held, GOOD[system]) + draw.sample(rest, 10 - GOOD[system])
        rows.append(row)
    return rows


def beside(rows: Sequence[Row], hits: int = 8, learned: int = 0, seed: int = 2) -> list[Row]:
    """The same beside an approved model with so many hits in every list, which learned a held-out item of so many."""
    draw = random.Random(seed)
    rest = [[item for item in range(ITEMS) if item not in {*row["held"], *row["seen"]}] for row in rows]
    tops = [draw.sample(row["held"], hits) + draw.sample(free, 10 - hits) for row, free in zip(rows, rest, strict=True)]
    return [
        row | {"top_approved": top, "learned": row["held"][:1] if place < learned else []}
        for place, (row, top) in enumerate(zip(rows, tops, strict=True))
    ]


def looks(count: int = 1, beside: int = 0) -> metrics.Looks:
    """So many looks at the slice at hand, after so many at another of its partition."""
    data = ["b" * 64] * beside + ["a" * 64] * count
    return metrics.Looks(
        data="a" * 64, looks=tuple(metrics.Look(run=f"run-{n}", at=1e9 + n, data=each) for n, each in enumerate(data))
    )


PLAIN = {"user": pa.int32(), "held_from": pa.int64(), "seen_until": pa.int64()}


def batch(
    rows: Sequence[Row],
    items: bytes | None = str(ITEMS).encode(),
    k: bytes | None = b"10",
    told: bytes | None = looks().model_dump_json().encode(),
    **types: Any,
) -> Any:
    """Rows as one Arrow batch."""
    lists = pa.list_(pa.int32())
    kinds = {name: PLAIN.get(name, lists) for name in (rows[0] if rows else sound(1)[0])} | types
    metadata = {"items": items, "k": k, "approved": b"c" * 64 if rows and "learned" in rows[0] else b"", "looks": told}
    schema = pa.schema(kinds.items(), metadata={name: value for name, value in metadata.items() if value is not None})
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


def at(facts: Facts, name: str, system: str = "model") -> float:
    """The value of a metric."""
    return facts.systems[system].metrics[name].value  # type: ignore[index]


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
    assert (
        verdict.reason == "50/50 users, precision@10 0.800 (0.752 to 0.812), popularity 0.200, attempt 1 on this data"
    )
    assert len(seen.canaries) == 2
    facts = Facts.model_validate(seen.facts)
    assert {name: round(10 * at(facts, "precision@10", name), 9) for name in facts.systems} == GOOD
    assert at(facts, "recall@10") == pytest.approx(8 / 12)


def test_the_ceiling_is_optional() -> None:
    assert run(sound(systems=REQUIRED))[1].outcome is Outcome.PASS


def test_every_rule_has_a_maker() -> None:
    assert set(GATE.rules) == set(GATE.violations)
    assert all(rule.controls and rule.remedy for rule in GATE.rules.values())


def free(row: Row) -> int:
    """An item that a row does not have."""
    used = {item for name, value in row.items() if name not in PLAIN for item in value}
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


def _early(rows: list[Row]) -> None:
    rows[7]["held_from"] = rows[7]["seen_until"] - 1


def _again(rows: list[Row]) -> None:
    rows[0]["user"] = rows[1]["user"]


def _bare(rows: list[Row]) -> None:
    rows[0]["held"] = []


BAD = [
    ("MET-THRESHOLD", _low, "precision@10"),
    ("MET-BASELINE", _popular, "popularity precision@10"),
    ("MET-CONTROL", _learnt, "shuffled precision@10"),
    ("MET-LEAK", _leak, "top_knn"),
    ("MET-LEAK", _overlap, "held"),
    ("MET-LIST", _short, "top_random"),
    ("MET-LIST", _long, "top_random"),
    ("MET-LIST", _repeated, "top_model"),
    ("MET-LIST", _foreign, "top_ceiling"),
    ("MET-LIST", _negative, "top_ceiling"),
    ("MET-LIST", _held_twice, "held"),
    ("MET-LIST", _held_foreign, "held"),
    ("MET-TIME", _early, "held"),
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


def test_a_threshold_is_met_by_the_lower_end_of_the_interval() -> None:
    rows = sound()
    # All users alike: three in fifty might have nothing, and none of them be drawn.
    assert look(rows).systems["model"].metrics["precision@10"].low == pytest.approx(0.8 * (1 - 3 / 50))
    assert broken(rows, thresholds={"precision@10": 0.753}) == ["MET-THRESHOLD"]
    for row in rows[:25]:
        row["top_model"][place(row, "top_model", hit=True)] = free(row)
    found = look(rows).systems["model"].metrics["precision@10"]
    assert found.value == 0.75
    # Half of 50 users lie .05 below the mean and half above: 1.96 standard errors are .0139.
    assert found.low == pytest.approx(0.75 - 0.0139, abs=0.003)
    assert found.high == pytest.approx(0.75 + 0.0139, abs=0.003)
    assert broken(rows, thresholds={"precision@10": 0.75}) == ["MET-THRESHOLD"]
    assert broken(rows, thresholds={"precision@10": found.low}) == []
    verdict = run(rows, thresholds={"precision@10": 0.75})[1]
    assert f"found 0.7500 ({found.low:.4f} to {found.high:.4f}); allowed: 0.75 or more at the lower" in verdict.reason


def test_few_users_are_no_ground_to_tell() -> None:
    verdict = run(sound(39), thresholds={"precision@10": 0.7})[1]
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "coverage"), "a cause that no policy observes"
    assert verdict.reason == "found 39 users with held-out items; allowed: 40 or more"
    rows = sound(39)
    _popular(rows)
    assert broken(rows, thresholds={"precision@10": 0.7}) == ["MET-BASELINE"], "what is found stands all the same"


def test_the_interval_is_that_of_means_of_users() -> None:
    rows, draw = sound(400), random.Random(3)
    for row in rows:
        row["top_model"] = draw.sample(row["held"], draw.randint(0, 10)) + draw.sample(
            [item for item in range(ITEMS) if item not in row["held"] + row["seen"]], 10
        )
        row["top_model"] = row["top_model"][:10]
    found = look(rows)
    values = np.array([sum(item in row["held"] for item in row["top_model"]) / 10 for row in rows])
    mean = found.systems["model"].metrics["precision@10"]
    assert mean.value == pytest.approx(values.mean(), abs=1e-12)
    half = 1.96 * values.std() / len(values) ** 0.5
    assert mean.high - mean.value == pytest.approx(half, rel=0.1)
    assert mean.value - mean.low == pytest.approx(half, rel=0.1)
    # Paired: popularity has two hits for everybody, so that the difference varies as the model alone does.
    more = found.over["popularity"]["precision@10"]
    assert (more.value, more.high - more.low) == pytest.approx((values.mean() - 0.2, mean.high - mean.low), abs=1e-6)
    lift = found.lift["lift@10"]
    assert lift is not None
    assert (lift.low, lift.high) == pytest.approx((5 * mean.low, 5 * mean.high), rel=1e-4)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """Of means of 200 users drawn again and again, each from the same distribution."""
    held, draw = 0, np.random.default_rng(5)
    for trial in range(200):
        values = draw.binomial(10, 0.3, size=(200, 1)) / 10
        weight, sums = resampled(np.arange(200) + 1000 * trial, values)
        found = estimate(float(values.mean()), sums[:, 0] / PART / weight, 200)
        held += found.low <= 0.3 <= found.high
    assert 180 <= held <= 199


def test_a_threshold_that_nothing_was_measured_for_is_no_pass() -> None:
    for name in ("precision@5", "lift@5"):
        told = metrics.Limits.model_validate(LIMITS | {"thresholds": {"precision@10": 0.1, name: 0.1}})
        with pytest.raises(CannotTell, match=f"{name} was not measured") as why:
            list(GATE.judge(look(sound()), told))
        assert why.value.cause == "facts"
        # A canary of a low metric is not caught where nothing low can be seen: no way leads to a pass.
        assert run(sound(), thresholds={name: 0.1})[1].outcome is Outcome.INCONCLUSIVE


def test_lift_is_over_popularity() -> None:
    assert broken(sound(), thresholds={"lift@10": 3.7}) == []
    assert broken(sound(), thresholds={"lift@10": 3.8}) == ["MET-THRESHOLD"]
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


def test_baselines_and_control_are_held_at_every_k_of_a_threshold() -> None:
    """A longer list that is shown beside it takes nothing away from what was asked for."""
    rows, draw = sound(60), random.Random(4)
    for row in rows:
        for name in [name for name in row if name.startswith("top_")]:
            rest = [item for item in range(ITEMS) if item not in row["seen"] + row["held"] + row[name]]
            row[name] = row[name] + draw.sample(rest, 90)
        row["top_popularity"][:10] = row["held"][:9] + row["top_popularity"][9:10]
        row["top_shuffled"][:10] = row["held"][:10]
        row["top_model"][80:84] = [item for item in row["held"] if item not in row["top_model"]][:4]
    told = metrics.Limits.model_validate(LIMITS | {"thresholds": {"ndcg@10": 0.1, "recall@10": 0.1}})
    places = [each.place for each in GATE.judge(GATE.look(material(batch(rows, k=b"10,100"))), told)]
    assert [place for place in places if place.startswith(("popularity", "shuffled"))] == [
        "popularity precision@10",
        "shuffled ndcg@10, threshold",
        "shuffled recall@10, threshold",
    ]


@pytest.mark.parametrize("name", ["precision@10", "recall@10", "ndcg@10", "map@10", "hit@10", "lift@10"])
def test_a_control_that_meets_any_threshold_is_refused(name: str) -> None:
    rows = sound()
    for row in rows:
        row["top_shuffled"] = row["top_popularity"]
    assert broken(rows, thresholds={name: 0.01}) == ["MET-CONTROL"]


def test_the_control_must_fail_the_threshold_and_stay_near_popularity() -> None:
    rows = sound()
    for row in rows:
        row["top_shuffled"] = row["top_popularity"]
    assert broken(rows) == []
    assert broken(rows, thresholds={"precision@10": 0.2}) == ["MET-CONTROL"]
    for row in rows:
        row["top_shuffled"] = row["top_knn"]
    assert broken(rows) == ["MET-CONTROL"]
    assert broken(rows, thresholds={"precision@10": 0.75}) == ["MET-CONTROL"]


def test_users_without_held_out_items_count_where_they_are_allowed() -> None:
    rows = sound()
    rows[0]["held"] = []
    assert broken(rows, bare_share=0.02) == []
    assert broken(rows, bare_share=0.019) == ["MET-USERS"]
    assert at(look(rows), "precision@10") == pytest.approx(0.8, abs=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholds": {}},
        {"thresholds": {"precision@0": 0.1}},
        {"thresholds": {"precision@101": 0.1}},
        {"thresholds": {"precision": 0.1}},
        {"thresholds": {"accuracy@10": 0.1}},
        {"thresholds": {"coverage@10": 0.1}},
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


def terms_of(rule: str, **changes: Any) -> metrics.Limits:
    """Limits by which a rule is active."""
    more = {"first": "fail"} if rule == "MET-FIRST" else {}
    return metrics.Limits.model_validate(LIMITS | changes | more)


@pytest.mark.parametrize("rule", sorted(GATE.rules))
@pytest.mark.parametrize("count", [50, 200])
def test_every_canary_is_caught_by_its_own_rule_alone(rule: str, count: int) -> None:
    sample = [batch(sound(count))]
    terms = terms_of(rule)
    for seed in range(24):
        items = GATE.violations[rule](sample, random.Random(seed))
        found = {each.rule for each in GATE.judge(GATE.look(material(*items)), terms)}
        assert found == {rule} | BESIDE.get(rule, set()), seed
    assert list(GATE.judge(GATE.look(material(*sample)), terms_of(""))) == []


@pytest.mark.parametrize("rule", sorted(GATE.rules))
@pytest.mark.parametrize("spoil", [each[1] for each in BAD], ids=[each[1].__name__ for each in BAD])
def test_canaries_are_caught_whatever_they_are_made_from(rule: str, spoil: Callable[[list[Row]], None]) -> None:
    rows = sound()
    spoil(rows)
    terms = terms_of(rule)
    for seed in range(2):
        items = GATE.violations[rule]([batch(rows)], random.Random(seed))
        assert rule in {each.rule for each in GATE.judge(GATE.look(material(*items)), terms)}


def test_canaries_leave_the_sample_alone() -> None:
    sample = [batch(beside(sound()))]
    for make in GATE.violations.values():
        made = pa.Table.from_batches(make(sample, random.Random(1)))
        assert not made.equals(pa.Table.from_batches(sample), check_metadata=True)
    assert sample[0].equals(batch(beside(sound())), check_metadata=True)


@pytest.mark.parametrize("ks", [b"10", b"5,10,100"])
@pytest.mark.parametrize("thresholds", [{"precision@10": 0.7}, {"hit@10": 0.9}, {"lift@10": 3.0}, {"map@10": 0.3}])
def test_canaries_are_caught_whatever_is_asked_for(ks: bytes, thresholds: dict[str, float]) -> None:
    """Of long lists too, on which popularity does nearly as well: each canary, over and over."""
    rows, draw = sound(60), random.Random(4)
    for row in rows[6:]:
        row["top_shuffled"][place(row, "top_shuffled", hit=True)] = free(row)
    for row in rows if len(ks) > 2 else ():
        for name in [name for name in row if name.startswith("top_")]:
            rest = [item for item in range(ITEMS) if item not in row["seen"] + row["held"] + row[name]]
            row[name] = row[name] + draw.sample(rest, 90)
    asked = {"thresholds": thresholds}
    assert [each.rule for each in GATE.judge(GATE.look(material(batch(rows, k=ks))), terms_of("", **asked))] == []
    for rule, make in GATE.violations.items():
        for seed in range(6):
            items = make([batch(rows, k=ks)], random.Random(seed))
            found = {each.rule for each in GATE.judge(GATE.look(material(*items)), terms_of(rule, **asked))}
            assert rule in found, (rule, seed)


def test_an_engine_that_does_not_look_is_caught() -> None:
    clean = look(sound())

    class Blind(MetricThresholds):
        def look(self, material: gates.Material[Any]) -> Facts:
            list(material)
            return clean

    class Sure(MetricThresholds):
        def look(self, material: gates.Material[Any]) -> Facts:
            sure = super().look(material).model_dump()

            def flat(told: Any) -> Any:
                if isinstance(told, dict) and set(told) == {"value", "low", "high"}:
                    return dict.fromkeys(told, told["value"])
                return {name: flat(each) for name, each in told.items()} if isinstance(told, dict) else told

            return Facts.model_validate(flat(sure))

    class First(MetricThresholds):
        def look(self, material: gates.Material[Any]) -> Facts:
            return super().look(list(material)[:1])  # type: ignore[arg-type]

    for half in (Sure(), First()):
        told = [gates.judge(half, gates.observe(half, material(batch(sound(200))), LIMITS), LIMITS) for _ in range(40)]
        assert {each.cause for each in told} >= {"canary"}, f"{type(half).__name__} is never noticed"

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
    "no k": lambda: batch(sound(), k=None),
    "k of zero": lambda: batch(sound(), k=b"0"),
    "k too large": lambda: batch(sound(), k=b"101"),
    "k backwards": lambda: batch(sound(), k=b"10,5"),
    "k twice": lambda: batch(sound(), k=b"10,10"),
    "no time": lambda: batch([row | {"held_from": None} for row in sound()]),
    "no column of time": lambda: batch(_without("seen_until")),
    "no user": lambda: batch([row | {"user": None} for row in sound()]),
    "no looks": lambda: batch(sound(), told=None),
    "looks that are none": lambda: batch(sound(), told=b"3"),
    "no look": lambda: batch(sound(), told=b'{"data":"%s","looks":[]}' % (b"a" * 64)),
    "a look at another slice last": lambda: batch(
        sound(), told=looks().model_copy(update={"data": "c" * 64}).model_dump_json().encode()
    ),
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
    more = looks(2).model_dump_json().encode()
    for other in (batch(sound(), b"301"), batch(sound(systems=REQUIRED)), batch(sound(), told=more)):
        with pytest.raises(CannotTell, match="different"):
            GATE.look(material(batch(sound()), other))


def attempted(count: int, beside: int = 0, gate: MetricThresholds = GATE, enforce: Sequence[str] = ()) -> Verdict:
    """The verdict on a sound evaluation of this many looks; three are allowed."""
    told = looks(count, beside).model_dump_json().encode()
    seen = gates.observe(gate, material(batch(sound(), told=told)), LIMITS)
    return gates.judge(gate, seen, LIMITS, enforce=enforce)


def test_a_test_slice_is_looked_at_as_often_as_the_policy_lets() -> None:
    assert attempted(3).outcome is Outcome.PASS
    assert attempted(3).reason.endswith(", attempt 3 on this data")
    verdict = attempted(4)
    assert [(each.rule, each.place) for each in verdict.findings] == [("MET-ATTEMPTS", "test")]
    runs = ", ".join(f"run-{n} on 2001-09-09" for n in range(4))
    assert verdict.findings[0].message == f"found 4 runs that looked at this test slice, {runs}; allowed: 3"
    many = attempted(1200).findings[0].message
    assert many.startswith("found 1,200 runs that looked at this test slice, the newest run-1192 on ")
    assert "run-1191" not in many


def test_looks_at_other_data_of_the_partition_are_told_apart() -> None:
    """Whoever alters a row has another slice, and begins to count anew: advice, unless a policy enforces it."""
    assert (attempted(3, 3).outcome, attempted(3, 3).advice) == (Outcome.PASS, ())
    verdict = attempted(3, 4)
    assert verdict.outcome is Outcome.PASS
    assert [(each.rule, each.place) for each in verdict.advice] == [("MET-PARTITION", "partition")]
    assert verdict.advice[0].message == "found 4 runs that looked at other data of this partition; allowed: 3"
    verdict = attempted(3, 4, enforce=["MET-PARTITION"])
    assert [each.rule for each in verdict.findings] == ["MET-PARTITION"]
    assert [each.rule for each in attempted(4, 0, enforce=["MET-PARTITION"]).findings] == ["MET-ATTEMPTS"]


@pytest.mark.parametrize("attempts", [0, -1, 1001, 2.5, None, "5", True])
def test_the_bound_of_attempts_is_a_number(attempts: Any) -> None:
    without = {name: value for name, value in LIMITS.items() if name != "attempts"}
    for terms in (LIMITS | {"attempts": attempts}, without):
        seen = gates.observe(GATE, material(batch(sound())), terms)
        assert gates.judge(GATE, seen, terms).outcome is Outcome.INCONCLUSIVE


class Forgetful(MetricThresholds):
    """Counts no look but the last."""

    name = "metric_thresholds"

    def look(self, material: Any) -> Facts:
        facts = super().look(material)
        only = facts.attempts.model_copy(update={"count": 1, "newest": facts.attempts.newest[-1:], "beside": 0})
        return facts.model_copy(update={"attempts": only})


class Lenient(MetricThresholds):
    """Finds nothing in how often a slice was looked at."""

    name = "metric_thresholds"

    def judge(self, facts: Facts, limits: Any) -> Iterable[Breach]:
        return [each for each in super().judge(facts, limits) if each.rule not in ("MET-ATTEMPTS", "MET-PARTITION")]


@pytest.mark.parametrize("liar", [Forgetful(), Lenient()])
def test_who_counts_no_attempts_lets_a_canary_through(liar: MetricThresholds) -> None:
    found = {attempted(4, gate=liar).cause for _ in range(40)}
    assert "canary" in found


def test_parquet_is_read_in_batches(tmp_path: Path) -> None:
    rows = sound(60)
    files = []
    for number, part in enumerate((rows[:25], rows[25:])):
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.Table.from_batches([batch(part)]), files[-1], row_group_size=10)
    opened = metrics.material(SUBJECT, files, 60, looks())
    seen = gates.observe(GATE, opened, LIMITS)
    verdict = gates.judge(GATE, seen, LIMITS)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert Facts.model_validate(seen.facts) == look(rows)


def test_it_cannot_tell_from_what_is_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    for files in ([tmp_path / "bad.parquet"], [tmp_path / "absent.parquet"], []):
        seen = gates.observe(GATE, metrics.material(SUBJECT, files, 50, looks()), LIMITS)
        verdict = gates.judge(GATE, seen, LIMITS)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.cause in {"unreadable", "coverage"}


def test_no_row_is_written_down() -> None:
    rows = sound()
    for row in rows:
        row["user"] += 987_654_000
    seen, verdict = run(rows)
    assert verdict.outcome is Outcome.PASS
    told = seen.model_dump_json()
    assert not [row["user"] for row in rows if str(row["user"]) in told]
    kinds = {name: value for name, value in seen.facts.items() if not isinstance(value, int)}
    assert set(kinds) == {"attempts", "systems", "over", "lift", "cuts", "interval", "approved"}


def oracle(rows: Sequence[Row], top: str, k: int) -> dict[str, float]:
    """The metrics by their definitions, slowly."""
    values, listed, users = [], list[int](), [row for row in rows if row["held"]]
    for row in users:
        held, hits, gain, precise = set(row["held"]), 0, 0.0, 0.0
        for rank, item in enumerate(row[top][:k], 1):
            if item in row[top][: rank - 1]:
                continue
            if 0 <= item < 25:
                listed.append(item)
            if item in held:
                hits += 1
                gain += 1 / math.log2(rank + 1)
                precise += hits / rank
        best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(held), k) + 1))
        values.append((hits / k, hits / len(held), gain / best, precise / len(held), float(hits > 0)))
    told = dict(
        zip(("precision", "recall", "ndcg", "map", "hit"), map(np.mean, zip(*values, strict=True)), strict=True)
    )
    owners = [sum(item in row["seen"] for row in users) for item in range(25)]
    rare = [-math.log2(max(owners[item], 1) / len(users)) for item in listed]
    told |= {"coverage": len(set(listed)) / 25, "novelty": sum(rare) / len(rare) if rare else 0.0}
    return {f"{name}@{k}": float(value) for name, value in told.items()}


ITEM = st.integers(-2, 30) | st.sampled_from([2**31 - 1, -(2**31)])
LIST = st.lists(ITEM, max_size=13)
ROW = st.fixed_dictionaries(
    {
        "user": st.integers(-5, 5),
        "held": LIST,
        "seen": LIST,
        "held_from": st.integers(-(2**63), 2**63 - 1),
        "seen_until": st.integers(-(2**63), 2**63 - 1),
        **{f"top_{system}": LIST for system in REQUIRED},
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=12).filter(lambda rows: any(row["held"] for row in rows))


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, ks=st.sets(st.integers(1, 12), min_size=1, max_size=3).map(sorted))
def test_the_facts_are_those_of_the_definitions(rows: list[Row], ks: list[int]) -> None:
    facts = GATE.look(material(batch(rows, b"25", ",".join(map(str, ks)).encode())))
    assert facts.cuts == tuple(ks)
    for system in REQUIRED:
        top, scores = f"top_{system}", facts.systems[system]
        wanted: dict[str, float] = {}
        for k in ks:
            wanted |= oracle(rows, top, k)
        assert {name: each.value for name, each in scores.metrics.items()} == pytest.approx(wanted, abs=1e-12)
        assert scores.leaks == sum(item in row["seen"] for row in rows for item in row[top])
        assert scores.repeated == sum(len(row[top]) - len(set(row[top])) for row in rows)
        assert scores.foreign == sum(not 0 <= item < 25 for row in rows for item in row[top])
        assert scores.odd == sum(len(row[top]) != ks[-1] for row in rows)
    assert facts.users == len(rows)
    assert facts.again == len(rows) - len({row["user"] for row in rows})
    assert facts.bare == sum(not row["held"] for row in rows)
    assert facts.early == sum(row["held_from"] < row["seen_until"] for row in rows if row["held"])
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
        for name, each in scores.metrics.items():
            assert 0 <= each.low <= each.value <= each.high
            assert each.high <= (math.inf if name.startswith("novelty") else 1 + 1e-9)


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 2**32), rule=st.sampled_from(sorted(GATE.rules)))
def test_makers_never_break_on_odd_rows(rows: list[Row], seed: int, rule: str) -> None:
    for made in GATE.violations[rule]([batch(rows, b"25")], random.Random(seed)):
        who, told = b"c" * 64 if rule == "MET-REGRESSION" else b"", dict(made.schema.metadata)
        looks, given_ = told.pop(b"looks"), batch(rows, b"25").schema.metadata[b"looks"]
        assert told == {b"items": b"25", b"k": b"10", b"approved": who}
        assert (looks != given_) is (rule in ("MET-ATTEMPTS", "MET-PARTITION"))
        assert made.num_rows > 0


def test_large_batches_are_cut() -> None:
    rows = sound(200)
    many = pa.Table.from_batches([batch(rows)] * 100).combine_chunks().to_batches()[0]
    assert many.num_rows > 2 * metrics.BATCH
    facts, small = GATE.look(material(many)), look(rows)
    assert facts.users == 20_000
    assert facts.again == 19_800
    values = {(system, name): at(facts, name, system) for system in GOOD for name in facts.systems["model"].metrics}
    wanted = {place: at(small, name, system) for place in values for system, name in [place]}
    assert values == pytest.approx(wanted, abs=1e-12)


def test_a_model_that_may_be_worse_than_the_approved_one_is_refused() -> None:
    seen, verdict = run(beside(sound(), hits=9), margin=0.05)
    found = [each for each in verdict.findings if each.rule == "MET-REGRESSION"]
    assert [each.place for each in found] == ["ndcg@10", "precision@10", "recall@10"]
    assert "-0.1000" in found[1].message
    assert "of the same users; allowed: -0.05 or more at the lower end" in found[1].message
    assert "-0.100" in GATE.brief(Facts.model_validate(seen.facts))
    assert broken(beside(sound(), hits=9), margin=0.3) == []
    assert broken(beside(sound(), hits=8), margin=0.0) == ["MET-REGRESSION"], "level for sure is not ahead"
    assert broken(beside(sound(), hits=5), margin=0.0) == []


def test_the_difference_is_paired_and_of_the_same_users() -> None:
    rows = beside(sound(60), hits=6)
    for row in rows[:20]:
        row["top_approved"] = list(row["top_model"])
    found = look(rows).approved
    assert found is not None
    assert found.users == 60
    more = found.over["precision@10"]
    assert more.value == pytest.approx(0.2 * 40 / 60)
    wide = 1.96 * np.std([0.0] * 20 + [0.2] * 40) / np.sqrt(60)
    assert more.low == pytest.approx(more.value - wide, abs=0.01)
    assert more.high == pytest.approx(more.value + wide, abs=0.01)
    assert found.scores.metrics["precision@10"].value == pytest.approx((8 * 20 + 6 * 40) / 600)


def test_users_of_whom_the_approved_model_learned_what_is_held_out_say_nothing_of_it() -> None:
    rows = beside(sound(100), hits=4, learned=40)
    for row in rows[:40]:
        row["top_approved"] = row["held"][:10]
    found = look(rows).approved
    assert found is not None
    assert (found.users, found.scores.metrics["precision@10"].value) == (60, pytest.approx(0.4))
    assert broken(rows) == []
    for row in rows:
        row["learned"] = []
    assert broken(rows) == []
    assert look(rows).approved.scores.metrics["precision@10"].value == pytest.approx(0.64)  # type: ignore[union-attr]


def test_with_too_few_such_users_nobody_can_tell() -> None:
    for learned in (30, 50):
        verdict = run(beside(sound(), hits=9, learned=learned))[1]
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "approved")
        assert f"found {50 - learned} users of whose held-out items the approved model learned none" in verdict.reason


def test_without_an_approved_model_the_policy_says_what_becomes_of_the_first() -> None:
    assert broken(sound(), first="fail") == ["MET-FIRST"]
    assert broken(sound(), first="establish") == []
    assert broken(beside(sound(), hits=4), first="fail") == []


def test_an_approved_model_that_nobody_names_is_no_answer() -> None:
    for word in (None, b"v1", b"C" * 64):
        made = batch(sound())
        told = {**made.schema.metadata, b"approved": word}
        odd = made.replace_schema_metadata({name: value for name, value in told.items() if value is not None})
        with pytest.raises(CannotTell, match="which model is approved"):
            GATE.look(material(odd))
    hidden = batch(beside(sound())).drop_columns(["top_approved"])
    with pytest.raises(CannotTell, match="columns are not"):
        GATE.look(material(hidden))


def test_lists_of_the_approved_model_are_lists() -> None:
    rows = beside(sound())
    rows[3]["top_approved"] = rows[3]["top_approved"][:-1]
    assert broken(rows, margin=0.9) == ["MET-LIST"]


def test_batches_beside_an_approved_model_add_up() -> None:
    rows = beside(sound(), hits=6, learned=7)
    parts = [batch(rows[:13]), batch(rows[13:])]
    assert GATE.look(material(*parts)).approved == look(rows).approved
