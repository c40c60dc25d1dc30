"""The fairness gate: figures equal a slow reading and fairlearn's, gaps are found, and nothing small is told of."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security import gate as gates
from security.errors import CannotTell
from security.gates import fairness
from security.gates.fairness import METRICS, POOL, Facts, FairnessMetrics, Limits, cells, hide, interval, report
from security.gates.fairness.resample import ratios
from security.material import Material
from security.policy import Terms, effect, unsafe
from security.verdict import Observation, Outcome, Subject, Verdict
from tests.conformance import liars

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = FairnessMetrics()
ITEMS, K = 200, 10
SUBJECT = Subject(kind="scores", name="scores", sha256="0" * 64)
LIMITS: dict[str, Any] = {
    "groupings": {"age": "declared", "sex": "declared"},
    "ratio": dict.fromkeys(METRICS, 0.9),
    "proxy": {"auc": 0.7},
}
TOLD: dict[str, Any] = {
    "items": ITEMS,
    "k": K,
    "floor": 50,
    "depth": 2,
    "groups": {"age": "declared", "sex": "declared"},
    "inputs": ["user_id", "item_id"],
    "proxy": {name: {"auc": 0.55, "users": 4_000} for name in ("age", "sex")},
}


def lists(matrix: Any) -> Any:
    """A matrix as a column of lists."""
    size, width = matrix.shape
    offsets = pa.array(np.arange(size + 1) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.ravel(), pa.int32()))


def made(who: dict[str, Sequence[str | None]], chance: Any = 0.5, seed: int = 1, **changes: Any) -> Any:
    """One batch: every item of a user's list is a held one by the user's `chance`."""
    size = len(next(iter(who.values())))
    draw = np.random.default_rng(seed)
    held = (draw.integers(0, ITEMS, size)[:, None] + np.arange(K) * 3) % ITEMS
    rest = (held + 1 + draw.integers(0, 2, (size, 1))) % ITEMS
    tops = np.where(draw.random((size, K)) < np.broadcast_to(chance, size)[:, None], held, rest)
    columns = {"user": pa.array(np.arange(size), pa.int32()), "held": lists(held), "top_model": lists(tops)}
    columns |= {f"group_{name}": pa.array(each, pa.string()) for name, each in who.items()}
    kinds = {name: TOLD["groups"].get(name, "declared") for name in who}
    proxy = {name: each for name, each in TOLD["proxy"].items() if name in who}
    metadata = TOLD | {"groups": kinds, "proxy": proxy} | changes
    return said(pa.record_batch(columns), **metadata)


def said(batch: Any, **changes: Any) -> Any:
    """A batch with other metadata; None takes a key out."""
    metadata = dict(batch.schema.metadata or {})
    for name, value in changes.items():
        metadata.pop(name.encode(), None)
        if value is not None:
            metadata[name.encode()] = json.dumps(value).encode()
    return batch.replace_schema_metadata(metadata)


def sound(size: int = 4_000, seed: int = 1, **changes: Any) -> Any:
    """Users in three groups and two, all served alike."""
    draw = random.Random(seed)
    ages, sexes = draw.choices(["old", "middle", "young"], k=size), draw.choices(["f", "m"], k=size)
    return made({"age": ages, "sex": sexes}, seed=seed, **changes)


def material(*batches: Any, expected: int | None = None) -> Material[Any]:
    """Batches as a runner hands them out."""
    count = sum(each.num_rows for each in batches) if expected is None else expected
    return Material(
        SUBJECT, lambda: batches, expected=count, unit="users", weigh=lambda each: int(each.num_rows), sample=1
    )


def run(*batches: Any, gate: Any = GATE, seed: int | None = None, **changes: Any) -> tuple[Observation, Verdict]:
    """Look at batches and judge them."""
    terms = LIMITS | changes
    draw = None if seed is None else random.Random(seed)
    seen = gates.observe(gate, material(*batches), terms, draw)
    return seen, gates.judge(gate, seen, terms)


def look(*batches: Any) -> Facts:
    return GATE.look(material(*batches).handed()[0])


def unfair(size: int = 4_000, **changes: Any) -> Any:
    """The young get half of what others get."""
    draw = random.Random(2)
    ages, sexes = draw.choices(["old", "middle", "young"], k=size), draw.choices(["f", "m"], k=size)
    return made({"age": ages, "sex": sexes}, np.where(np.array(ages) == "young", 0.25, 0.5), **changes)


def uneven() -> Any:
    """Young women and old men get half: each age, and each sex, is served as all are."""
    place = np.arange(4_000) % 4
    groups = {"age": np.array(["old", "young"])[place // 2].tolist(), "sex": np.array(["f", "m"])[place % 2].tolist()}
    return made(groups, np.where((place == 1) | (place == 2), 0.25, 0.5))


def doubled() -> Any:
    rows = sound()
    return rows.take(pa.array([*range(rows.num_rows), 7]))


def bare() -> Any:
    rows = sound()
    held = pa.array([[], *rows.column("held").to_pylist()[1:]], pa.list_(pa.int32()))
    return rows.set_column(1, "held", held)


def short(change: Sequence[int] | None = None) -> Any:
    rows = sound()
    shown = rows.column("top_model").to_pylist()
    shown[3] = list(change) if change is not None else shown[3][:-1]
    return rows.set_column(2, "top_model", pa.array(shown, pa.list_(pa.int32())))


def test_the_sound_passes() -> None:
    seen, verdict = run(sound())
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.reason.startswith("4,000/4,000 users, 11 declared groups, lowest precision 0.9")
    assert verdict.reason.endswith("embeddings tell age: AUC 0.55, embeddings tell sex: AUC 0.55")
    assert len(seen.canaries) == 2


BAD: dict[str, tuple[str, Callable[[], Any], str]] = {
    "group": ("FAIR-GROUP", unfair, "age: young: precision"),
    "cross": ("FAIR-CROSS", uneven, "age x sex: old x m: precision"),
    "input": ("FAIR-INPUT", lambda: sound(inputs=["user_id", " Age"]), "age"),
    "column": ("FAIR-INPUT", lambda: sound(inputs=["group_sex"]), "sex"),
    "proxy": ("FAIR-PROXY", lambda: sound(proxy=TOLD["proxy"] | {"sex": {"auc": 0.71, "users": 900}}), "sex"),
    "privacy": ("FAIR-PRIVACY", lambda: sound(floor=49), "k"),
    "users": ("FAIR-USERS", doubled, "user"),
    "bare": ("FAIR-USERS", bare, "held"),
    "short": ("FAIR-LIST", short, "top_model"),
    "repeated": ("FAIR-LIST", lambda: short([1, 2, 3, 4, 5, 6, 7, 8, 9, 9]), "top_model"),
    "foreign": ("FAIR-LIST", lambda: short([1, 2, 3, 4, 5, 6, 7, 8, 9, ITEMS]), "top_model"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_bad_fails_by_its_rule_alone(name: str) -> None:
    rule, make, place = BAD[name]
    seen, verdict = run(make())
    assert verdict.outcome is Outcome.FAIL, verdict.reason
    assert {each.rule for each in verdict.findings} == {rule}
    assert place in {each.place for each in verdict.findings}
    assert all("found" in each.message and "allowed" in each.message for each in verdict.findings)
    assert len(seen.canaries) == 2, seen.trouble


def test_the_young_are_named_by_every_metric_of_hits() -> None:
    _, verdict = run(unfair())
    metrics = {each.place for each in verdict.findings if each.rule == "FAIR-GROUP"}
    assert metrics >= {f"age: young: {name}" for name in ("precision", "recall", "ndcg")}
    assert not any(each.place.startswith(("age: old", "age: middle", "sex")) for each in verdict.findings)


def test_an_absolute_gap_is_found() -> None:
    _, verdict = run(unfair(), ratio={}, gap={"precision": 0.05})
    assert "age: young: precision gap" in {each.place for each in verdict.findings}
    assert run(sound(), ratio={}, gap={"precision": 0.05})[1].outcome is Outcome.PASS


def test_less_may_be_asked_of_what_was_seen_of_users_and_not_of_what_they_are() -> None:
    kinds = {"age": "behavioural", "sex": "declared"}
    rows, terms = unfair(groups=kinds), {"groupings": kinds, "ratio": {"ndcg": 0.8}, "proxy": {}}
    assert run(rows, **terms)[1].outcome is Outcome.FAIL
    assert run(rows, **terms, behavioural={"ndcg": 0.5})[1].outcome is Outcome.PASS
    assert (
        run(rows, **terms | {"groupings": dict.fromkeys(kinds, "declared")}, behavioural={"ndcg": 0.5})[1].cause
        == "missing"
    )
    declared = run(unfair(), **terms | {"groupings": LIMITS["groupings"]}, behavioural={"ndcg": 0.5})[1]
    assert "allowed: 0.8 of the whole" in declared.findings[0].message
    ages = np.array(["old", "middle", "young"])[np.arange(4_500) % 3]
    sexes = np.array(["f", "m"])[np.arange(4_500) % 2]
    worse = made({"age": ages.tolist(), "sex": sexes.tolist()}, np.where(ages == "young", 0.1, 0.6), groups=kinds)
    found = run(worse, **terms, behavioural={"ndcg": 0.5})[1].findings
    assert [each.place for each in found] == ["age: young: ndcg"]
    assert "(behavioural)" in found[0].message
    assert "allowed: 0.5 of the whole" in found[0].message


def test_embeddings_may_tell_what_was_seen_of_users() -> None:
    told = TOLD["proxy"] | {"sex": {"auc": 0.97, "users": 900}}
    assert run(sound(proxy=told))[1].outcome is Outcome.FAIL
    kinds = LIMITS["groupings"] | {"sex": "behavioural"}
    _, verdict = run(sound(proxy=told, groups=kinds), groupings=kinds)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert "embeddings tell sex: AUC 0.97" in verdict.reason
    assert run(sound(proxy={"age": TOLD["proxy"]["age"]}, groups=kinds), groupings=kinds)[1].outcome is Outcome.PASS


def test_of_several_k_the_whole_list_counts() -> None:
    rows = said(sound())
    metadata = dict(rows.schema.metadata) | {b"k": b"5,10"}
    facts = look(rows.replace_schema_metadata(metadata))
    assert facts == look(sound())
    for odd in (b"10,5", b"10,", b"5,x", b",10 "):
        _, verdict = run(rows.replace_schema_metadata(metadata | {b"k": odd}))
        assert verdict.outcome is not Outcome.PASS, odd


def test_depth_one_does_not_cross() -> None:
    rows = said(uneven(), depth=1)
    assert run(rows, depth=1)[1].outcome is Outcome.PASS
    assert run(rows)[1].cause == "missing"


OPEN: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "no grouping": ("missing", lambda: said(made({"sex": ["f", "m"] * 2_000})), {}),
    "none at all": ("missing", lambda: sound().select(["user", "held", "top_model"]), {}),
    "one group": ("missing", lambda: made({"age": ["a", "b"] * 2_000, "sex": ["f"] * 4_000}), {}),
    "behavioural": ("missing", lambda: sound(groups={"age": "behavioural", "sex": "declared"}), {}),
    "unknown": ("unknown", lambda: made({"age": ["a", "b", "c", None] * 1_000, "sex": ["f", "m"] * 2_000}), {}),
    "suppressed": ("suppressed", lambda: made({"age": ["a", "b"] * 1_980 + ["c"] * 40, "sex": ["f", "m"] * 2_000}), {}),
    "few": ("few", sound, {"least": 1_000}),
    "undecided": ("undecided", lambda: sound(300), {}),
    "inputs": ("inputs", lambda: sound(inputs=None), {}),
    "no proxy": ("proxy", lambda: sound(proxy=None), {}),
    "another measure": ("proxy", sound, {"proxy": {"balanced_accuracy": 0.6}}),
}


@pytest.mark.parametrize("name", OPEN)
def test_it_cannot_tell_and_says_why(name: str) -> None:
    cause, make, changes = OPEN[name]
    rows = make()
    if name == "none at all":
        rows = said(rows, groups={}, proxy={})
    seen, verdict = run(rows, **changes)
    assert verdict.outcome is Outcome.INCONCLUSIVE, verdict.reason
    assert cause in verdict.cause.split("+"), (verdict.cause, verdict.reason)
    assert set(verdict.cause.split("+")) <= GATE.causes
    assert not verdict.findings
    terms = Terms(limits=LIMITS, accepts={}, observe=())
    assert effect(verdict, terms).action == "stop"
    watched = terms.model_copy(update={"observe": tuple(verdict.cause.split("+"))})
    assert effect(verdict, watched).because == "observed"
    assert len(seen.canaries) == 2


def test_what_is_undecided_goes_only_by_an_unsafe_name() -> None:
    rows, terms = sound(600), LIMITS | {"UnsafeUndecided": 0.99}
    strict: dict[str, Any] = {"ratio": {"precision": 0.97}, "depth": 1}
    assert run(rows, **strict)[1].cause == "undecided"
    assert run(rows, **strict, UnsafeUndecided=0.2)[1].cause == "undecided"
    assert run(rows, **strict, UnsafeUndecided=0.99)[1].outcome is Outcome.PASS
    assert run(unfair(), UnsafeUndecided=0.99)[1].outcome is Outcome.FAIL
    assert list(unsafe(terms)) == ["UnsafeUndecided"]
    assert not list(unsafe(Limits.model_validate(LIMITS).model_dump()))


@pytest.mark.parametrize(
    "changes",
    [
        {"groupings": {}},
        {"groupings": {"Age": "declared"}},
        {"groupings": {"age": "guessed"}},
        {"ratio": {}},
        {"ratio": {"precision": 0.4}},
        {"ratio": {"precision": 1.0}},
        {"ratio": {"precision": math.nan}},
        {"ratio": {"accuracy": 0.9}},
        {"behavioural": {"exposure": 0.4}},
        {"ratio": {"ndcg": 0.8}, "behavioural": {"recall": 0.5}},
        {"gap": {"precision": 0.3}},
        {"gap": {"exposure": 1.5}},
        {"k": 1},
        {"least": 9},
        {"least": 5_000},
        {"error": 0.2},
        {"depth": 3},
        {"proxy": {"auc": 1.0}},
        {"suppressed": 0.6},
        {"more": 1},
    ],
)
def test_limits_are_strict(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Limits"):
        Limits.model_validate(LIMITS | changes)


ODD = {
    "no list": lambda: sound().drop_columns(["top_model"]),
    "a group nobody described": lambda: sound().append_column("group_land", pa.nulls(4_000, pa.string())),
    "a description of nothing": lambda: sound(groups=TOLD["groups"] | {"land": "declared"}),
    "an odd kind": lambda: sound(groups={"age": "guessed", "sex": "declared"}),
    "an odd proxy": lambda: sound(proxy={"age": {"users": 3}}),
    "a proxy of nothing": lambda: sound(proxy={"land": {"auc": 0.5, "users": 3}}),
    "no catalogue": lambda: sound(items=None),
    "a catalogue of two lists": lambda: sound(items=2 * K - 1),
    "no k": lambda: sound(k=None),
    "no floor": lambda: sound(floor=None),
    "no depth": lambda: sound(depth=None),
    "no groups": lambda: sound(groups=None),
    "an empty name": lambda: made({"age": ["", "a"] * 100, "sex": ["f", "m"] * 100}),
    "too many groups": lambda: made({"age": [f"a{at}" for at in range(2_000)], "sex": ["f", "m"] * 1_000}),
    "a null user": lambda: sound(100).set_column(0, "user", pa.nulls(100, pa.int32())),
    "a null list": lambda: sound(100).set_column(1, "held", pa.nulls(100, pa.list_(pa.int32()))),
}


@pytest.mark.parametrize("name", ODD)
def test_it_cannot_tell_from_odd_rows(name: str) -> None:
    odd = ODD[name]()
    with pytest.raises(CannotTell):
        look(odd)
    verdict = run(odd)[1]
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "unreadable")


def test_nothing_is_no_pass() -> None:
    assert run(sound(0))[1].outcome is Outcome.INCONCLUSIVE
    assert run()[1].cause == "coverage"
    seen = gates.observe(GATE, material(sound(), expected=4_001), LIMITS)
    assert gates.judge(GATE, seen, LIMITS).cause == "coverage"


def test_batches_of_different_groupings_are_no_evaluation() -> None:
    for other in (sound(items=ITEMS + 1), sound(floor=60), made({"age": ["a", "b"] * 50})):
        with pytest.raises(CannotTell, match="different"):
            look(sound(), other)


# What conformance puts every gate through.


def case(folder: Path) -> Case:
    """Users in two files, as the runner opens them; in the bad ones the young get half."""
    from tests.conformance.subjects import Case  # which has this one among its own

    for name, rows in (("good", sound()), ("bad", unfair())):
        for part in range(2):
            half = pa.Table.from_batches([said(rows, floor=None, depth=None).slice(2_000 * part, 2_000)])
            pq.write_table(half, folder / f"{name}-{part}.parquet")

    def opened(name: str) -> Material[Any]:
        files = [folder / f"{name}-{part}.parquet" for part in range(2)]
        return fairness.material(SUBJECT, files, 4_000, floor=50, depth=2)

    return Case(
        LIMITS,
        LIMITS | {"proxy": {"auc": 0.5}},
        good=lambda: opened("good"),
        bad=lambda: opened("bad"),
        rule="FAIR-GROUP",
    )


@pytest.mark.parametrize("rule", sorted(GATE.rules))
@pytest.mark.parametrize("size", [5, 60, 2_000])
def test_every_canary_is_caught_by_its_own_rule_alone(rule: str, size: int) -> None:
    terms = Limits.model_validate(LIMITS)
    sample = [sound(size)]
    for seed in range(12):
        items = GATE.violations[rule](sample, random.Random(seed))
        found = {each.rule for each in GATE.judge(look(*items), terms)}
        assert found == {rule}, seed
    assert sample[0].equals(sound(size))


EXTREME: list[dict[str, Any]] = [
    {"ratio": {"exposure": 0.5}},
    {"ratio": {}, "gap": {"exposure": 1.0}},
    {"ratio": {}, "gap": {"ndcg": 0.1}},
    {"ratio": {"recall": 0.5}, "least": 1_000, "k": 1_000, "error": 0.0001},
    {"ratio": {"precision": 0.99}},
]


@pytest.mark.parametrize("limits", EXTREME)
@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_canaries_are_caught_whatever_the_policy(rule: str, limits: dict[str, Any]) -> None:
    terms = Limits.model_validate(LIMITS | limits)
    small = said(sound(40).select(["user", "held", "top_model"]), groups={}, proxy={}, inputs=None)
    for sample in (sound(300), small, unfair(200), short(), sound(300, k=40), said(sound(300), k=2, items=4)):
        for seed in range(2):
            items = GATE.violations[rule]([sample], random.Random(seed))
            assert rule in {each.rule for each in GATE.judge(look(*items), terms)}


def test_nobody_is_in_the_facts_of_a_canary() -> None:
    mine = set(sound().column("held").to_pylist()[0])
    for rule, make in GATE.violations.items():
        (rows,) = make([sound()], random.Random(1))
        held = {tuple(each) for each in rows.column("held").to_pylist()}
        assert len(held) <= 2, rule
        assert all(set(each) != mine for each in held)


@pytest.mark.parametrize("mood", liars.MOODS)
def test_an_engine_that_is_not_always_honest_passes_nothing_bad(mood: str) -> None:
    clean, bad = look(sound()), unfair()
    for seed in range(8):
        engine = liars.moody(GATE, clean, liars.MOODS[mood])
        assert run(bad, gate=engine, seed=seed)[1].outcome is not Outcome.PASS, seed


def test_an_engine_that_says_clean_is_noticed() -> None:
    clean = look(sound())
    for rows in (sound(), unfair()):
        for reads in (True, False):
            verdict = run(rows, gate=liars.moody(GATE, clean, liars.MOODS["never"], reads=reads))[1]
            assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")


@pytest.mark.parametrize("after", range(gates.CANARIES))
def test_a_judge_that_says_pass_is_noticed(after: int) -> None:
    for seed in range(8):
        verdict = run(unfair(), gate=liars.mute(GATE, after), seed=seed)[1]
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")


@pytest.mark.parametrize("cause", sorted(GATE.causes))
def test_a_judge_that_only_cannot_tell_is_noticed(cause: str) -> None:
    for rows in (sound(), unfair()):
        verdict = run(rows, gate=liars.shy(GATE, cause))[1]
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")
        assert run(rows, gate=liars.evasive(GATE, cause))[1].cause == "unreadable"


@pytest.mark.parametrize("how", liars.BREAKS)
def test_a_look_that_breaks_tells_nothing(how: str) -> None:
    seen, verdict = run(sound(), gate=liars.breaking(GATE, how, look(sound())))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not seen.facts


def test_every_fact_is_needed_and_a_stored_observation_is_judged_the_same() -> None:
    seen, verdict = run(sound())
    again = Observation.model_validate(json.loads(seen.model_dump_json()))
    assert gates.judge(GATE, again, LIMITS) == verdict
    for fact in Facts.model_fields:
        lost = seen.model_copy(update={"facts": {k: v for k, v in seen.facts.items() if k != fact}})
        assert gates.judge(GATE, lost, LIMITS).cause == "facts"
    stricter = LIMITS | {"k": 400, "ratio": {"precision": 0.99}}
    assert {each.rule for each in gates.judge(GATE, seen, stricter).findings} == {"FAIR-PRIVACY"}


def test_rules_help() -> None:
    assert set(GATE.rules) == set(GATE.violations)
    assert all(rule.controls and rule.remedy and rule.title for rule in GATE.rules.values())


# Figures.


def slow(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The definitions, read one user at a time."""
    rows = [row for row in rows if row["held"]]
    holders = [sum(item in row["held"] for row in rows) for item in range(ITEMS)]
    surprise = [math.log2((len(rows) + 1) / (count + 1)) for count in holders]
    gain = [1 / math.log2(rank + 2) for rank in range(K)]
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for row in rows:
        held, top = set(row["held"]), row["top_model"][:K]
        hit = [item in held and item not in top[:rank] for rank, item in enumerate(top)]
        found["precision"].append(sum(hit) / K)
        found["recall"].append(sum(hit) / len(held))
        ideal = sum(gain[: min(len(held), K)])
        found["ndcg"].append(sum(g for g, h in zip(gain, hit, strict=False) if h) / ideal)
        shown = sum(g * surprise[item] for g, item in zip(gain, top, strict=False))
        found["exposure"].append(shown / sum(gain))
    return found


USER = st.fixed_dictionaries({
    "held": st.lists(st.integers(0, ITEMS - 1), max_size=14),
    "top_model": st.lists(st.integers(0, ITEMS - 1), max_size=12),
    "group_age": st.sampled_from(["a", "b", "c", None]),
    "group_sex": st.sampled_from(["f", "m", None]),
})  # fmt: skip


def typed(rows: list[dict[str, Any]], **changes: Any) -> Any:
    kinds = {"user": pa.int32(), "held": pa.list_(pa.int32()), "top_model": pa.list_(pa.int32())}
    schema = pa.schema([*kinds.items(), ("group_age", pa.string()), ("group_sex", pa.string())])
    batch = pa.RecordBatch.from_pylist([{"user": at, **row} for at, row in enumerate(rows)], schema=schema)
    return said(batch, **TOLD | changes)


@given(rows=st.lists(USER, min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_figures_are_those_of_a_slow_reading(rows: list[dict[str, Any]]) -> None:
    found, wanted = fairness.tally(typed(rows)).users(), slow(rows)
    for name in METRICS:
        assert found.values[name].tolist() == pytest.approx(wanted[name], abs=1e-12), name


@given(rows=st.lists(USER, min_size=1, max_size=40), data=st.data())
@settings(max_examples=60, deadline=None)
def test_tallies_of_batches_add_up_to_that_of_the_whole(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = fairness.tally(typed(rows))
    cuts = sorted({0, len(rows), *data.draw(st.lists(st.integers(0, len(rows)), max_size=6))})
    parts = [fairness.tally(typed(rows).slice(a, b - a)) for a, b in zip(cuts, cuts[1:], strict=False)]
    joined = sum(parts, fairness.Tally())
    left = parts[0] + (sum(parts[1:], fairness.Tally()))
    for other in (joined, left):
        assert other.faults == whole.faults
        assert other.user.tolist() == whole.user.tolist()
        a, b = other.users(), whole.users()
        assert a.names == b.names
        assert all(a.values[name].tolist() == b.values[name].tolist() for name in METRICS)
        assert all(a.codes[name].tolist() == b.codes[name].tolist() for name in b.codes)


def test_facts_are_the_same_however_rows_fall_into_batches() -> None:
    rows = sound(3_000)
    whole = look(rows)
    for step in (1_000, 777, 64):
        assert look(*[rows.slice(at, step) for at in range(0, 3_000, step)]) == whole


def test_fairlearn_agrees() -> None:
    rows, total = unfair(2_000), fairness.tally(unfair(2_000))
    facts, users = look(rows), total.users()
    for names in (["age"], ["sex"], ["age", "sex"]):
        named = {name: np.array(users.names[name])[users.codes[name]] for name in names}
        table = report.frame(users.values, named)
        grouping = " x ".join(names)
        mine = {each.name: each for each in facts.groups if each.grouping == grouping}
        assert len(mine) == len(table.by_group)
        for key, row in table.by_group.iterrows():
            group = mine[key if isinstance(key, str) else " x ".join(key)]
            for metric in METRICS:
                assert abs(group.metrics[metric].mean - row[metric]) <= 1e-12
                assert abs(facts.whole.metrics[metric].mean - table.overall[metric]) <= 1e-12
    told = report.rows(total, facts, replicates=200)
    assert len(told) == 4 * len(facts.groups)
    young = next(each for each in told if (each.group, each.metric) == ("young", "precision"))
    assert young.low < young.ratio < young.high < 0.8
    altered = facts.model_copy(update={"groups": tuple(
        each.model_copy(update={"metrics": each.metrics | {"recall": each.metrics["ndcg"]}}) for each in facts.groups
    )})  # fmt: skip
    with pytest.raises(CannotTell, match="fairlearn has"):
        report.rows(total, altered, replicates=10)


def test_a_report_names_no_group_that_is_suppressed() -> None:
    rows = made({"age": ["a", "b"] * 1_960 + ["c", "d"] * 40, "sex": ["f", "m"] * 2_000})
    told = report.rows(fairness.tally(rows), look(rows), replicates=20)
    assert {each.group for each in told if each.grouping == "age"} == {"a", "b"}


# What is not told.


def figures(facts: Facts) -> dict[str, set[str]]:
    return {name: {each.name for each in facts.groups if each.grouping == name} for name in facts.groupings}


def test_small_groups_are_named_and_have_no_figures() -> None:
    ages = ["a"] * 2_000 + ["b"] * 1_900 + ["c"] * 40 + ["d"] * 40 + ["e"] * 20
    facts = look(made({"age": ages, "sex": ["f", "m"] * 2_000}))
    assert facts.groupings["age"].suppressed == ("c", "d", "e")
    assert figures(facts)["age"] == {"a", "b", POOL}
    assert next(each for each in facts.groups if each.name == POOL).users == 100
    assert facts.groupings["age"].hidden == 0.03


def test_one_small_group_cannot_be_had_by_subtraction() -> None:
    size = 4_000
    ages = np.array(["a"] * 2_000 + ["b"] * 1_970 + ["c"] * 30)
    chance = np.where(ages == "c", 1.0, 0.4)
    facts = look(made({"age": ages.tolist(), "sex": ["f", "m"] * (size // 2)}, chance))
    assert facts.groupings["age"].suppressed == ("c",)
    assert figures(facts)["age"] == {"a", "b"}
    counts = {each.name: {"a": 2_000, "b": 1_970}[each.name] for each in facts.groups if each.grouping == "age"}
    for metric in METRICS:
        parts = sum(counts[g.name] * g.metrics[metric].mean for g in facts.groups if g.grouping == "age")
        assert parts / sum(counts.values()) == pytest.approx(facts.whole.metrics[metric].mean, abs=1e-12)
    assert not any(each.users == 30 or "c" in each.name.split(" x ") for each in facts.groups)


def test_a_few_users_of_no_group_cannot_be_had_by_subtraction() -> None:
    ages: list[str | None] = ["a", "b"] * 1_998
    rows = made({"age": [*ages, None, None, None, None], "sex": ["f", "m"] * 2_000})
    facts = look(rows)
    assert facts.groupings["age"].unknown == 0.01
    assert facts.whole.users == 3_990
    assert sum(each.users for each in facts.groups if each.grouping == "age") in (3_980, 3_990)


TABLES = st.lists(st.lists(st.integers(0, 300), min_size=4, max_size=4), min_size=2, max_size=5)


@given(TABLES)
@settings(max_examples=200, deadline=None)
def test_no_small_cell_is_determined_by_sums(numbers: list[list[int]]) -> None:
    table, floor = np.array(numbers), 50
    rows, columns = table.shape
    large = (table[:-1].sum(1) >= floor).all() and (table[:, :-1].sum(0) >= floor).all()
    if not large:
        return  # smaller groups have no row, or column, of their own
    hidden = hide.crossed(table, floor)
    assert (hidden | ~hide.small(table, floor)).all()
    places = np.argwhere(hidden)
    sums = np.zeros((rows + columns, len(places)))
    for at, (row, column) in enumerate(places):
        sums[row, at] = sums[rows + column, at] = 1
    rank = np.linalg.matrix_rank(sums) if len(places) else 0
    for at, (row, column) in enumerate(places):
        alone = np.zeros(len(places))
        alone[at] = 1
        known = np.linalg.matrix_rank(np.vstack([sums, alone])) == rank
        if known and 0 < table[row, column] < floor:
            # Nothing is left that could be hidden as well: then its line is all hidden, and so is the other.
            assert (hidden[row] | (table[row] == 0)).all()
            assert (hidden[:, column] | (table[:, column] == 0)).all()


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 3)), min_size=1, max_size=300), st.integers(2, 60))
@settings(max_examples=100, deadline=None)
def test_who_is_left_out_of_groups_is_enough_to_be_told_of(pairs: list[tuple[int, int]], floor: int) -> None:
    codes = {name: np.array([pair[at] for pair in pairs]) for at, name in enumerate(("age", "sex"))}
    stay = hide.kept(codes, {"age": 5, "sex": 4}, len(pairs), floor)
    for name, size in (("age", 5), ("sex", 4)):
        counts = np.bincount(codes[name][stay] + 1, minlength=size + 1)
        assert counts[0] == 0 or counts[0] >= floor
        few = hide.small(counts[1:], floor)
        assert not few.any() or hide.pooled(counts[1:], floor)


# Statistics.


def values(chance: Any, draw: np.random.Generator, spread: float = 0.0) -> Any:
    """Precision of users whose hits are binomial, or of users who each have their own chance."""
    chance = np.asarray(chance)
    if spread:
        chance = draw.beta(chance * spread, (1 - chance) * spread)
    return draw.binomial(K, chance) / K


def judged(value: Any, codes: Any, groups: int, ratio: float, error: float = 0.05) -> tuple[Any, Any]:
    """For each group whether it is surely too low, and whether it is surely not."""
    counts, found = cells.moments(codes, {"v": value}, groups)
    middle, apart = found["v"]
    whole = fairness.Moments(mean=float(value.mean()), variance=float(value.var()))
    sides = [
        interval.side(
            (int(counts[at]), fairness.Moments(mean=float(middle[at]), variance=float(apart[at]))),
            (len(value), whole),
            ratio=ratio,
            gap=0.0,
            reach=1.0,
            error=error,
            comparisons=groups,
        )
        for at in range(groups)
        if counts[at] >= 50
    ]
    return np.array([each.below for each in sides]), np.array([each.above for each in sides])


@pytest.mark.parametrize(("chance", "spread"), [
    (0.05, 0.0),
    pytest.param(0.3, 3.0, marks=pytest.mark.prove),
    pytest.param(0.885, 4.0, marks=pytest.mark.prove),
])  # fmt: skip
def test_five_hundred_null_runs_of_240_groups_are_no_alarm(chance: float, spread: float) -> None:
    alarms = 0
    for seed in range(500):
        draw = np.random.default_rng(seed)
        codes = draw.choice(240, 20_000, p=1 / np.arange(1, 241) ** 0.5 / (1 / np.arange(1, 241) ** 0.5).sum())
        below, _ = judged(values(np.full(20_000, chance), draw, spread), codes, 240, 0.9)
        alarms += bool(below.any())
    assert alarms == 0


def test_at_the_limit_itself_no_more_alarms_than_the_error_allows() -> None:
    alarms = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        codes = draw.integers(0, 240, 24_000)
        below, _ = judged(values(np.full(24_000, 0.2), draw), codes, 240, 0.999)
        alarms += bool(below.any())
    assert alarms <= 20


@pytest.mark.parametrize(("chance", "spread", "ratio"), [(0.3, 0.0, 0.9), (0.3, 10.0, 0.93), (0.8, 5.0, 0.9)])
def test_a_gap_of_a_fifth_in_a_group_of_a_twentieth_is_found(chance: float, spread: float, ratio: float) -> None:
    for seed in range(40):
        draw = np.random.default_rng(seed)
        codes = np.where(np.arange(20_000) < 1_000, 0, draw.integers(1, 20, 20_000))
        each = np.where(codes == 0, 0.8 * chance, chance)
        below, _ = judged(values(each, draw, spread), codes, 20, ratio)
        assert below.tolist() == [True] + [False] * 19, seed


def test_a_gap_of_a_fifth_is_found_by_the_gate_whole() -> None:
    for seed in range(4):
        draw = np.random.default_rng(seed)
        codes = np.where(np.arange(20_000) < 1_000, 0, draw.integers(1, 20, 20_000))
        ages = np.array([f"g{at:02}" for at in range(20)])[codes].tolist()
        rows = made({"age": ages, "sex": ["f", "m"] * 10_000}, np.where(codes == 0, 0.4, 0.5), seed=seed)
        places = {each.place for each in run(rows, ratio={"precision": 0.9}, seed=seed)[1].findings}
        assert "age: g00: precision" in places
        assert all("g00" in each for each in places)


def test_a_group_that_is_too_low_passes_no_more_often_than_the_error_allows() -> None:
    for size, chance in ((60, 0.05), (100, 0.2), (400, 0.7)):
        passed = 0
        for seed in range(400):
            draw = np.random.default_rng(seed)
            codes = np.where(np.arange(20_000) < size, 0, 1)
            each = np.where(codes == 0, 0.79 * chance, chance)
            _, above = judged(values(each, draw), codes, 2, 0.8)
            passed += bool(above[0])
        assert passed <= 400 * 0.075, size


def test_a_tied_group_is_not_certain() -> None:
    whole = (20_000, fairness.Moments(mean=0.9, variance=0.0))
    terms: dict[str, Any] = {"ratio": 0.99, "gap": 0.0, "reach": 1.0, "error": 0.05, "comparisons": 240}
    for count in (1, 2, 50):
        for mean in (0.0, 0.88, 0.9, 1.0):
            found = interval.side((count, fairness.Moments(mean=mean, variance=0.0)), whole, **terms)
            assert not found.above or count == 50 and mean == 1.0, (count, mean)
            assert found.up > 0 or mean == 1.0
    for mean in (0.0, 0.5, 1.0):
        found = interval.side((1, fairness.Moments(mean=mean, variance=0.0)), whole, **terms)
        assert not found.above
        assert not found.below
    some = (20_000, fairness.Moments(mean=0.02, variance=0.002))
    none = interval.side((50, fairness.Moments(mean=0.0, variance=0.0)), some, **terms)
    assert not none.below
    assert interval.side((5_000, fairness.Moments(mean=0.0, variance=0.0)), some, **terms).below


def test_the_closed_form_is_the_bootstrap() -> None:
    draw = np.random.default_rng(3)
    codes = draw.integers(0, 4, 8_000)
    value = values(np.where(codes == 0, 0.24, 0.3), draw)
    drawn = ratios(codes, value, 4, replicates=4_000)
    _, found = cells.moments(codes, {"v": value}, 4)
    counts, (middle, apart) = np.bincount(codes), found["v"]
    whole = fairness.Moments(mean=float(value.mean()), variance=float(value.var()))
    for at in range(4):
        group = (int(counts[at]), fairness.Moments(mean=float(middle[at]), variance=float(apart[at])))
        ratio = group[1].mean / whole.mean
        told = interval.side(
            group, (8_000, whole), ratio=ratio, gap=0.0, reach=1.0, error=0.05, comparisons=1
        ).down / whole.mean / 1.6449  # fmt: skip
        assert drawn[:, at].std() == pytest.approx(told, rel=0.06)
        assert drawn[:, at].mean() == pytest.approx(ratio, abs=3e-3)


def test_nobody_who_hits_anything_is_undecided() -> None:
    _, verdict = run(made({"age": ["a", "b"] * 2_000, "sex": ["f", "m", "m", "f"] * 1_000}, 0.0))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "undecided")


def test_parquet_is_read_with_the_policys_floor(tmp_path: Path) -> None:
    rows = said(sound(), floor=None, depth=None)
    extra = rows.append_column("seen", rows.column("held")).append_column("top_knn", rows.column("held"))
    files = []
    for part in range(2):
        files.append(tmp_path / f"{part}.parquet")
        pq.write_table(pa.Table.from_batches([extra.slice(2_000 * part, 2_000)]), files[-1], row_group_size=300)
    opened = fairness.material(SUBJECT, files, 4_000, floor=50, depth=2)
    seen = gates.observe(GATE, opened, LIMITS)
    verdict = gates.judge(GATE, seen, LIMITS)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert Facts.model_validate(seen.facts) == look(sound())
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    for bad in ([tmp_path / "bad.parquet"], [tmp_path / "absent.parquet"], []):
        seen = gates.observe(GATE, fairness.material(SUBJECT, bad, 50, floor=50, depth=2), LIMITS)
        assert gates.judge(GATE, seen, LIMITS).outcome is Outcome.INCONCLUSIVE
