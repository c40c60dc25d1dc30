"""The gate over item exposure: figures equal a slow reading and the papers' examples, and what leans is found."""

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
from scipy import stats

from security import gate as gates
from security.errors import CannotTell
from security.gates import bias
from security.gates.bias import BiasDetection, Declared, Facts, Limits, Tally, gini, items, report
from security.gates.bias.figures import facts as figures
from security.gates.bias.tally import counted, divergence, popularity
from security.gates.bias.told import said, told
from security.material import Material
from security.policy import Terms, effect
from security.verdict import Observation, Outcome, Subject, Verdict
from tests.conformance import liars

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = BiasDetection()
ITEMS, K = 300, 5
SUBJECT = Subject(kind="scores", name="scores", sha256="0" * 64)
POPULAR: dict[str, Any] = {"kind": "behavioural", "catalogue": 0.05, "relevance": 0.7, "calibration": 2.0}
LIMITS: dict[str, Any] = {"lift": 0.4, "tail": 0.05, "gini": 0.9, "groupings": {"popularity": POPULAR}}
LABELS = Declared(kind="declared", groups=("large", "small"))
LABELLED = LIMITS | {"groupings": {"popularity": POPULAR, "label": POPULAR | {"kind": "declared", "catalogue": 0.5}}}
MANY = pa.list_(pa.int32())
Groupings = dict[str, tuple[Declared, Any]]


def lists(matrix: Any) -> Any:
    """A matrix as a column of lists."""
    size, width = matrix.shape
    offsets = pa.array(np.arange(size + 1) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.ravel(), pa.int32()))


def stamped(batch: Any, groupings: Groupings | None = None, size: int = ITEMS, k: str = f"1,{K}") -> Any:
    """A batch with the metadata that `material` gives it."""
    metadata = {b"items": str(size).encode(), b"k": k.encode(), **said(popularity([batch], size), groupings or {})}
    return batch.replace_schema_metadata(metadata)


def kept(batch: Any, **changes: Any) -> Any:
    """A batch with other metadata; None takes a key out."""
    metadata = dict(batch.schema.metadata)
    for name, value in changes.items():
        metadata.pop(name.encode(), None)
        if value is not None:
            metadata[name.encode()] = value
    return batch.replace_schema_metadata(metadata)


CHANCE = -np.log(np.arange(1, ITEMS + 1))
"""Logarithms of how often an item is taken, but for a constant."""


def drawn(size: int, seed: int = 1, lean: float = 1.0) -> dict[str, Any]:
    """Users who take items by popularity, and are shown items by popularity to the power of `lean`."""
    draw = np.random.default_rng(seed)
    own = np.argsort(-(CHANCE + draw.gumbel(size=(size, ITEMS))), axis=1)[:, :14]
    own = draw.permuted(own, axis=1)
    shown = np.argsort(-(lean * CHANCE + draw.gumbel(size=(size, ITEMS))), axis=1)[:, :K]
    shown = draw.permuted(shown, axis=1)
    chance = np.argsort(draw.random((size, ITEMS)), axis=1)[:, :K]
    return {
        "user": pa.array(np.arange(size), pa.int32()),
        "held": lists(own[:, :4]),
        "seen": lists(own[:, 4:]),
        "top_model": lists(shown),
        "top_popularity": lists(np.tile(np.arange(K), (size, 1))),
        "top_random": lists(chance),
    }


def sound(size: int = 2_000, seed: int = 1, groupings: Groupings | None = None, **columns: Any) -> Any:
    """Users who are shown what they might have taken themselves."""
    return stamped(pa.record_batch(drawn(size, seed) | columns), groupings)


def leaning(size: int = 2_000) -> Any:
    """All are shown the most popular items."""
    return sound(size, top_model=lists(np.tile(np.arange(K), (size, 1))))


def labelled(size: int = 2_000, *, hidden: bool = False) -> Any:
    """Items of two labels, of which one is shown as often as the other, or not at all."""
    groups: Groupings = {"label": (LABELS, np.arange(ITEMS) % 2)}
    columns = drawn(size)
    if hidden:
        only = np.tile(np.arange(0, ITEMS, 2), (size, 1))
        columns["top_model"] = lists(np.random.default_rng(3).permuted(only, axis=1)[:, :K])
    return stamped(pa.record_batch(columns), groups)


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


def measured(*batches: Any) -> Facts:
    """The facts of however few users, of whom a look would tell nothing."""
    return figures(counted(batches))


def changed(name: str, change: Callable[[list[Any]], None], batch: Any = None) -> Any:
    """The sound rows with one column of lists changed."""
    rows = sound() if batch is None else batch
    column = rows.column(name).to_pylist()
    change(column)
    at = rows.schema.get_field_index(name)
    return stamped(rows.set_column(at, rows.schema.field(name), pa.array(column, rows.schema.field(name).type)))


def test_the_sound_passes() -> None:
    seen, verdict = run(sound())
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.reason.startswith("2,000/2,000 users, Gini 0.")
    assert "(popularity 0.98" in verdict.reason
    assert "popularity lift" in verdict.reason
    assert len(seen.canaries) == 2
    facts = Facts.model_validate(seen.facts)
    assert {each.side for each in bias.rows(facts, Limits.model_validate(LIMITS))} == {"kept"}
    assert facts.beside["random"].gini < facts.gini.value < facts.beside["popularity"].gini


def test_all_that_leans_is_named() -> None:
    _, verdict = run(leaning())
    assert verdict.outcome is Outcome.FAIL
    places = {(each.rule, each.place) for each in verdict.findings}
    assert places >= {
        ("BIAS-LIFT", "lift"),
        ("BIAS-TAIL", "tail"),
        ("BIAS-GINI", "gini"),
        ("BIAS-CALIBRATION", "popularity: calibration"),
        ("BIAS-CATALOGUE", "popularity: tail: catalogue"),
        ("BIAS-RELEVANCE", "popularity: tail: relevance"),
    }
    assert all("found" in each.message and "allowed" in each.message for each in verdict.findings)
    assert not any("head" in each.place for each in verdict.findings)


ONE: dict[str, tuple[str, Callable[[], Any], dict[str, Any], str]] = {
    "lift": ("BIAS-LIFT", sound, {"lift": 0.05}, "lift"),
    "tail": ("BIAS-TAIL", sound, {"tail": 0.4}, "tail"),
    "gini": ("BIAS-GINI", sound, {"gini": 0.3}, "gini"),
    "calibration": (
        "BIAS-CALIBRATION",
        sound,
        {"groupings": {"popularity": POPULAR | {"calibration": 0.1}}},
        "popularity: calibration",
    ),
    "catalogue": (
        "BIAS-CATALOGUE",
        sound,
        {"groupings": {"popularity": POPULAR | {"catalogue": 0.9}}},
        "popularity: tail: catalogue",
    ),
    "label": (
        "BIAS-CATALOGUE",
        lambda: labelled(hidden=True),
        {
            "groupings": LABELLED["groupings"]
            | {"label": POPULAR | {"kind": "declared", "relevance": 0.001, "calibration": 3.0}}
        },
        "label: small: catalogue",
    ),
    "relevance": (
        "BIAS-RELEVANCE",
        lambda: labelled(hidden=True),
        {
            "groupings": LABELLED["groupings"]
            | {"label": POPULAR | {"kind": "declared", "catalogue": 0.001, "calibration": 3.0}}
        },
        "label: small: relevance",
    ),
    "users": ("BIAS-USERS", lambda: stamped(sound().take(pa.array([*range(2_000), 7]))), {}, "user"),
    "bare": ("BIAS-USERS", lambda: changed("held", lambda column: column[4].clear()), {}, "held"),
    "short": ("BIAS-LIST", lambda: changed("top_model", lambda column: column[4].pop()), {}, "top_model"),
    "repeated": (
        "BIAS-LIST",
        lambda: changed("top_model", lambda column: column[4].__setitem__(0, column[4][1])),
        {},
        "top_model",
    ),
    "foreign": (
        "BIAS-LIST",
        lambda: changed("top_model", lambda column: column[4].__setitem__(0, ITEMS)),
        {},
        "top_model",
    ),
    "below": ("BIAS-LIST", lambda: changed("top_model", lambda column: column[4].__setitem__(0, -1)), {}, "top_model"),
    "held twice": ("BIAS-LIST", lambda: changed("held", lambda column: column[4].append(column[4][0])), {}, "held"),
    "seen foreign": ("BIAS-LIST", lambda: changed("seen", lambda column: column[4].append(ITEMS + 3)), {}, "seen"),
}


@pytest.mark.parametrize("name", ONE)
def test_the_bad_fails_by_its_rule_alone(name: str) -> None:
    rule, make, changes, place = ONE[name]
    seen, verdict = run(make(), **changes)
    found = {each.rule for each in verdict.findings}
    assert verdict.outcome is Outcome.FAIL, verdict.reason
    # What is hidden of two labels is hidden of both shares.
    assert found == {rule} or name in {"label", "relevance"} and found <= {"BIAS-CATALOGUE", "BIAS-RELEVANCE"}, found
    assert place in {each.place for each in verdict.findings}
    assert len(seen.canaries) == 2, seen.trouble


def unprofiled() -> Any:
    return changed("seen", lambda column: [each.clear() for each in column[:200]] and None)


def even() -> Any:
    """Every item is taken as often as any other."""
    size = ITEMS
    ring = (np.arange(size)[:, None] + np.arange(20)) % ITEMS
    columns = drawn(size) | {
        "seen": lists(ring[:, :10]),
        "held": lists(ring[:, 10:15]),
        "top_model": lists(ring[:, 15:]),
    }
    return stamped(pa.record_batch(columns))


OPEN: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "few users": ("few", lambda: sound(90), {}),
    "few held": ("few", lambda: sound(250), {"least": 600}),
    "undecided": ("undecided", lambda: sound(120), {"tail": 0.23}),
    "unprofiled": ("unprofiled", unprofiled, {}),
    "no tail": ("missing", even, {}),
    "no grouping": ("missing", sound, LABELLED),
    "another kind": (
        "missing",
        labelled,
        {"groupings": {"popularity": POPULAR, "label": POPULAR | {"kind": "behavioural"}}},
    ),
    "a grouping without limits": ("missing", labelled, {}),
    "nobody knows any": (
        "unknown",
        lambda: sound(groupings={"label": (bias.Declared(kind="declared", groups=()), np.full(ITEMS, 255))}),
        LABELLED,
    ),
    "one group": ("missing", lambda: sound(groupings={"label": (LABELS, np.zeros(ITEMS))}), LABELLED),
    "unknown": (
        "unknown",
        lambda: sound(groupings={"label": (LABELS, np.where(np.arange(ITEMS) < 9, 255, np.arange(ITEMS) % 2))}),
        LABELLED,
    ),
}


@pytest.mark.parametrize("name", OPEN)
def test_it_cannot_tell_and_says_why(name: str) -> None:
    cause, make, changes = OPEN[name]
    seen, verdict = run(make(), **changes)
    assert verdict.outcome is Outcome.INCONCLUSIVE, verdict.reason
    assert cause in verdict.cause.split("+"), (verdict.cause, verdict.reason)
    assert set(verdict.cause.split("+")) <= GATE.causes
    assert not verdict.findings
    terms = Terms(limits=LIMITS, accepts={}, observe=())
    assert effect(verdict, terms).action == "stop"
    watched = terms.model_copy(update={"observe": tuple(verdict.cause.split("+"))})
    assert effect(verdict, watched).because == "observed"
    assert len(seen.canaries) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"groupings": {}},
        {"groupings": {"label": POPULAR}},
        {"groupings": {"popularity": POPULAR | {"kind": "declared"}}},
        {"groupings": {"popularity": POPULAR | {"catalogue": 0}}},
        {"groupings": {"popularity": POPULAR | {"relevance": 1.0}}},
        {"groupings": {"popularity": POPULAR | {"calibration": 4.6}}},
        {"groupings": {"popularity": POPULAR, "Label": POPULAR}},
        {"groupings": {"popularity": {"kind": "behavioural"}}},
        {"lift": 9},
        {"lift": math.nan},
        {"tail": 0},
        {"gini": 1},
        {"min_users": 1},
        {"min_users": 5_000},
        {"least": 1},
        {"unknown": 0.6},
        {"more": 1},
    ],
)
def test_limits_are_strict(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Limits|Bounds"):
        Limits.model_validate(LIMITS | changes)
    for name in ("lift", "tail", "gini", "groupings"):
        with pytest.raises(ValueError, match=name):
            Limits.model_validate({each: limit for each, limit in LIMITS.items() if each != name})


ODD: dict[str, Callable[[], Any]] = {
    "no list": lambda: sound().drop_columns(["top_model"]),
    "no history": lambda: sound().drop_columns(["seen"]),
    "wide ids": lambda: sound(user=pa.array(np.arange(2_000), pa.int64())),
    "no catalogue": lambda: kept(sound(), items=None),
    "a catalogue of two lists": lambda: kept(sound(), items=b"9", popularity=bytes(36)),
    "an endless catalogue": lambda: kept(sound(), items=b"999999999"),
    "no k": lambda: kept(sound(), k=None),
    "k that falls": lambda: kept(sound(), k=b"5,1"),
    "no popularity": lambda: kept(sound(), popularity=None),
    "popularity of others": lambda: kept(sound(), popularity=np.arange(ITEMS).astype("<u4").tobytes()),
    "odd groupings": lambda: kept(sound(), groupings=b'{"label": {"kind": "guessed", "groups": ["a"]}}'),
    "no JSON": lambda: kept(sound(), groupings=b"{"),
    "groups of no items": lambda: kept(labelled(), of_label=None),
    "groups of other items": lambda: kept(labelled(), of_label=bytes(ITEMS - 1)),
    "a group without a name": lambda: kept(labelled(), of_label=bytes([7]) * ITEMS),
    "a second popularity": lambda: sound(groupings={"popularity": (LABELS, np.zeros(ITEMS))}),
    "a null user": lambda: sound(100).set_column(0, "user", pa.nulls(100, pa.int32())),
    "a null list": lambda: sound(100).set_column(3, "top_model", pa.nulls(100, MANY)),
    "a null item": lambda: sound(100).set_column(3, "top_model", pa.array([[None] * K] * 100, MANY)),
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
    assert run(sound(19))[1].cause == "coverage"
    assert "few" in run(sound(20))[1].cause
    seen = gates.observe(GATE, material(sound(), expected=2_001), LIMITS)
    assert gates.judge(GATE, seen, LIMITS).cause == "coverage"
    bare = changed("held", lambda column: [each.clear() for each in column] and None)
    assert run(bare)[1].cause == "coverage"


def test_batches_of_different_catalogues_are_no_evaluation() -> None:
    rows = sound()
    for other in (labelled(), kept(rows, k=b"4"), kept(rows, popularity=bytes(4 * ITEMS))):
        with pytest.raises(CannotTell, match="different"):
            look(rows, other)


def test_popularity_is_counted_again() -> None:
    rows = sound()
    with pytest.raises(CannotTell, match="popular"):
        look(rows.slice(0, 1_999))
    assert run(rows.slice(0, 1_000), rows.slice(1_000))[1].outcome is Outcome.PASS


# What conformance puts every gate through.

HALF = 300
"""Users of a file."""
WAYS = ("LIFT", "TAIL", "GINI", "CALIBRATION", "CATALOGUE", "RELEVANCE")


def case(folder: Path) -> Case:
    """Users in two files, as the runner opens them; in the bad ones one is shown an item twice."""
    from tests.conformance.subjects import Case  # which has this one among its own

    good = sound(2 * HALF)
    twice = changed("top_model", lambda column: column[3].__setitem__(1, column[3][0]), good)
    for name, rows in (("good", good), ("bad", twice)):
        for part in range(2):
            half = pa.Table.from_batches([kept(rows, popularity=None, groupings=None).slice(HALF * part, HALF)])
            pq.write_table(half, folder / f"{name}-{part}.parquet")

    def opened(name: str) -> Material[Any]:
        return bias.material(SUBJECT, [folder / f"{name}-{part}.parquet" for part in range(2)], 2 * HALF)

    return Case(
        LIMITS,
        LIMITS | {"tail": 0.4},
        good=lambda: opened("good"),
        bad=lambda: opened("bad"),
        rule="BIAS-LIST",
        # Who shows all the same few items leans in every way.
        maybe={f"BIAS-{rule}": frozenset(f"BIAS-{other}" for other in WAYS if other != rule) for rule in WAYS},
    )


@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_every_canary_is_caught_by_its_own_rule(rule: str) -> None:
    terms = Limits.model_validate(LIMITS)
    for sample, seeds in (([sound(60)], 4), ([labelled(300)], 2)):
        before = sample[0].slice(0)
        for seed in range(seeds):
            handed = GATE.violations[rule](sample, random.Random(seed))
            found = {each.rule for each in GATE.judge(look(*handed), terms)}
            assert rule in found, seed
            if rule in {"BIAS-LIST", "BIAS-USERS"}:
                assert found == {rule}
        assert sample[0].equals(before)


EXTREME: list[dict[str, Any]] = [
    {"lift": 2.5, "tail": 0.001, "gini": 0.99, "min_users": 1_000, "least": 1_000},
    {"groupings": {"popularity": POPULAR | {"catalogue": 0.001, "relevance": 0.001, "calibration": 3.0}}},
    LABELLED,
]


@pytest.mark.parametrize("limits", EXTREME)
@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_canaries_are_caught_whatever_the_policy(rule: str, limits: dict[str, Any]) -> None:
    terms = Limits.model_validate(LIMITS | limits)
    tiny = stamped(sound(3).select(["user", "held", "seen", "top_model"]), size=ITEMS, k="1")
    for seed, sample in enumerate((leaning(100), tiny, labelled(50), sound(0))):
        handed = GATE.violations[rule]([sample], random.Random(seed))
        assert rule in {each.rule for each in GATE.judge(look(*handed), terms)}


def test_a_canary_of_a_large_catalogue_is_caught() -> None:
    rows = stamped(sound(10), size=100_000)
    for rule in ("BIAS-TAIL", "BIAS-CALIBRATION", "BIAS-LIST"):
        handed = GATE.violations[rule]([rows], random.Random(3))
        facts = look(*handed)
        assert facts.items == 100_000
        assert rule in {each.rule for each in GATE.judge(facts, Limits.model_validate(LIMITS))}


def test_nobody_is_in_a_canary() -> None:
    mine = {tuple(each) for each in sound(300).column("seen").to_pylist()}
    for make in GATE.violations.values():
        theirs = {tuple(each) for part in make([sound(300)], random.Random(1)) for each in part["seen"].to_pylist()}
        assert not mine & theirs


@pytest.mark.parametrize("mood", liars.MOODS)
def test_an_engine_that_is_not_always_honest_passes_nothing_bad(mood: str) -> None:
    clean, bad = look(sound()), leaning(300)
    for seed in range(2):
        engine = liars.moody(GATE, clean, liars.MOODS[mood])
        assert run(bad, gate=engine, seed=seed)[1].outcome is not Outcome.PASS, seed


def test_an_engine_that_says_clean_is_noticed() -> None:
    clean = look(sound())
    for rows in (sound(), leaning()):
        for reads in (True, False):
            verdict = run(rows, gate=liars.moody(GATE, clean, liars.MOODS["never"], reads=reads))[1]
            assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")


@pytest.mark.parametrize("after", range(gates.CANARIES))
def test_a_judge_that_says_pass_is_noticed(after: int) -> None:
    for seed in range(2):
        verdict = run(leaning(300), gate=liars.mute(GATE, after), seed=seed)[1]
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")


@pytest.mark.parametrize("cause", sorted(GATE.causes))
def test_a_judge_that_only_cannot_tell_is_noticed(cause: str) -> None:
    for rows in (sound(300), leaning(300)):
        verdict = run(rows, gate=liars.shy(GATE, cause))[1]
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")
        assert run(rows, gate=liars.evasive(GATE, cause))[1].cause == "unreadable"


@pytest.mark.parametrize("how", liars.BREAKS)
def test_a_look_that_breaks_tells_nothing(how: str) -> None:
    seen, verdict = run(sound(200), gate=liars.breaking(GATE, how, look(sound(200))))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not seen.facts


def test_every_fact_is_needed_and_a_stored_observation_is_judged_the_same() -> None:
    seen, verdict = run(labelled(), **LABELLED)
    again = Observation.model_validate(json.loads(seen.model_dump_json()))
    assert gates.judge(GATE, again, LABELLED) == verdict
    for fact in Facts.model_fields:
        lost = seen.model_copy(update={"facts": {k: v for k, v in seen.facts.items() if k != fact}})
        assert gates.judge(GATE, lost, LABELLED).cause == "facts"
    stricter = LABELLED | {"tail": 0.4}
    assert {each.rule for each in gates.judge(GATE, seen, stricter).findings} == {"BIAS-TAIL"}
    assert len(seen.model_dump_json()) < 60_000


def test_rules_help() -> None:
    assert set(GATE.rules) == set(GATE.violations)
    assert all(rule.controls and rule.remedy and rule.title for rule in GATE.rules.values())


def test_a_report_has_a_sentence_for_each_limit() -> None:
    facts, terms = look(labelled()), Limits.model_validate(LABELLED)
    told = bias.rows(facts, terms)
    # Lift, tail and Gini; of each grouping its calibration; of each group two shares.
    assert len(told) == 3 + 2 + 2 * sum(len(each.groups) for each in facts.groupings.values())
    assert len({each.place for each in told}) == len(told)
    for each in told:
        assert each.low <= each.value <= each.high
        assert "Allowed: " in each.sentence
        assert each.sentence[0].isupper()
    assert {each.rule for each in told} == set(GATE.rules) - {"BIAS-USERS", "BIAS-LIST"}
    lift = next(each for each in told if each.place == "lift")
    words = (
        f"{100 * abs(lift.value):.1f} % {'less' if lift.value < 0 else 'more'} popular than what the same users chose"
    )
    assert words in lift.sentence
    assert "declared" in next(each for each in told if each.place == "label: small: catalogue").sentence


@pytest.mark.parametrize(
    ("low", "high", "limit", "most", "side"),
    [
        (0.1, 0.2, 0.2, True, "kept"),
        (0.1, 0.2, 0.15, True, "open"),
        (0.1, 0.2, 0.1, True, "open"),
        (0.1, 0.2, 0.09, True, "broken"),
        (0.1, 0.2, 0.1, False, "kept"),
        (0.1, 0.2, 0.2, False, "open"),
        (0.1, 0.2, 0.21, False, "broken"),
    ],
)
def test_a_limit_is_broken_where_the_favourable_end_breaks_it(
    low: float, high: float, limit: float, most: bool, side: str
) -> None:
    assert report.Row("R", "p", 0.15, low, high, limit, most, "f", "a").side == side


# Figures.


def slow(rows: list[dict[str, Any]], size: int, k: int, codes: Sequence[int]) -> dict[str, Any]:
    """The definitions, read one user at a time; `codes` is each item's group."""
    taken = [sum(row["seen"].count(item) for row in rows) for item in range(size)]
    some = [row for row in rows if any(0 <= item < size for item in row["held"])]
    gain = [1 / math.log2(rank + 2) for rank in range(k)]
    gain = [each / sum(gain) for each in gain]
    groups = range(max(codes) + 1)
    shown = [0.0] * size
    exposure, relevance = ([0.0] * len(groups) for _ in range(2))
    apart, own, listed = [], [], []
    for row in some:
        mine = [item for item in row["seen"] if 0 <= item < size]
        held = [item for item in row["held"] if 0 <= item < size]
        top = [(item, weight) for item, weight in zip(row["top_model"], gain, strict=False) if 0 <= item < size]
        for item, weight in top:
            shown[item] += weight
        q = [sum(weight for item, weight in top if codes[item] == group) for group in groups]
        for group in groups:
            exposure[group] += q[group] / len(some)
            relevance[group] += sum(codes[item] == group for item in held) / len(held) / len(some)
        if not mine:
            continue
        p = [sum(codes[item] == group for item in mine) / len(mine) for group in groups]
        apart.append(sum(a * math.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a))
        own.append(sum(taken[item] for item in mine) / len(mine))
        listed.append(sum(taken[item] for item, _ in top) / max(len(top), 1))
    pairs = sum(abs(a - b) for a in shown for b in shown)
    total = sum(shown)
    return {
        "gini": pairs / (2 * size * total) if total else 0.0,
        "calibration": sum(apart) / len(apart) if apart else None,
        "lift": sum(listed) / sum(own) - 1 if own else None,
        "exposure": exposure,
        "relevance": relevance,
    }


SMALL, SHORT = 20, 3
CODES = [0] * 5 + [1] * 7 + [2] * 8
THREE = Declared(kind="declared", groups=("a", "b", "c"))
USER = st.fixed_dictionaries({
    "held": st.lists(st.integers(-1, SMALL), max_size=5, unique=True),
    "seen": st.lists(st.integers(0, SMALL), max_size=6, unique=True),
    "top_model": st.lists(st.integers(-1, SMALL), min_size=2, max_size=4, unique=True),
})  # fmt: skip
USERS = st.lists(USER, min_size=1, max_size=25).filter(
    lambda rows: any(0 <= item < SMALL for row in rows for item in row["held"])
)


def typed(rows: list[dict[str, Any]], codes: Sequence[int] = CODES) -> Any:
    schema = pa.schema([("user", pa.int32()), ("held", MANY), ("seen", MANY), ("top_model", MANY)])
    batch = pa.RecordBatch.from_pylist([{"user": at, **row} for at, row in enumerate(rows)], schema=schema)
    return stamped(batch, {"label": (THREE, codes)}, SMALL, str(SHORT))


@given(rows=USERS)
@settings(max_examples=60, deadline=None)
def test_figures_are_those_of_a_slow_reading(rows: list[dict[str, Any]]) -> None:
    facts, wanted = measured(typed(rows)), slow(rows, SMALL, SHORT, CODES)
    near = {"abs": 1e-9, "rel": 1e-9}
    assert facts.gini.value == pytest.approx(wanted["gini"], **near)
    for found, name in ((facts.lift, "lift"), (facts.groupings["label"].calibration, "calibration")):
        own = sum(row["seen"].count(item) for row in rows if row["held"] for item in range(SMALL))
        if wanted[name] is None or (name == "lift" and not own):
            continue
        assert found is not None
        assert found.value == pytest.approx(wanted[name], **near), name
        assert found.low <= found.value <= found.high
    for at, group in enumerate(facts.groupings["label"].groups):
        assert group.exposure.value == pytest.approx(wanted["exposure"][at], **near)
        assert group.relevance == pytest.approx(wanted["relevance"][at], **near)
        assert group.by_catalogue.value == pytest.approx(group.exposure.value / group.catalogue, **near)


@given(rows=USERS, data=st.data())
@settings(max_examples=40, deadline=None)
def test_facts_are_the_same_however_rows_are_cut_and_ordered(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    batch = typed(rows)
    whole = measured(batch)
    cuts = sorted({0, len(rows), *data.draw(st.lists(st.integers(0, len(rows)), max_size=6))})
    assert measured(*[batch.slice(a, b - a) for a, b in zip(cuts, cuts[1:], strict=False)]) == whole
    order = data.draw(st.permutations(range(len(rows))))
    assert measured(batch.take(pa.array(order))) == whole


@given(rows=USERS, data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_items_are_called_changes_nothing(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    called = [*data.draw(st.permutations(range(SMALL))), SMALL, -1]
    other = [{name: [called[item] for item in each] for name, each in row.items()} for row in rows]
    codes = [0] * SMALL
    for item, group in enumerate(CODES):
        codes[called[item]] = group
    assert measured(typed(other, codes)) == measured(typed(rows))


@given(rows=USERS, data=st.data())
@settings(max_examples=40, deadline=None)
def test_items_of_one_group_may_change_places_for_all_that_is_of_groups(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    called = [*data.draw(st.permutations(range(5))), *range(5, SMALL), SMALL, -1]
    other = [row | {"top_model": [called[item] for item in row["top_model"]]} for row in rows]
    one, two = measured(typed(rows)), measured(typed(other))
    assert one.groupings["label"] == two.groupings["label"]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=40), st.integers(1, 50))
def test_gini_and_its_curve(numbers: list[int], factor: int) -> None:
    shown = np.array(numbers)
    value = gini.gini(shown)
    assert 0 <= value <= (len(numbers) - 1) / len(numbers) + 1e-12
    assert gini.gini(shown * factor) == pytest.approx(value, abs=1e-12)
    assert gini.gini(shown[::-1]) == value
    assert gini.gini(np.tile(shown, 3)) == pytest.approx(value, abs=1e-12)
    points = gini.curve(shown)
    assert len(points) <= 101
    assert all(a <= b for a, b in zip(points, points[1:], strict=False))
    if shown.any():
        assert (points[0], points[-1]) == (0.0, 1.0)
        # Twice the area between the curve and the even line, by trapezes.
        area = sum((a + b) / 2 for a, b in zip(points, points[1:], strict=False)) / (len(points) - 1)
        assert 1 - 2 * area == pytest.approx(value, abs=1e-5)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40))
def test_groups_by_popularity(numbers: list[int]) -> None:
    counts = np.array(numbers)
    codes, total = items.popular(counts).codes, sum(numbers)
    for count, code in zip(numbers, codes.tolist(), strict=True):
        assert {codes[at] for at, other in enumerate(numbers) if other == count} == {code}
    if len(set(numbers)) > 1:
        head, tail = (counts[codes == code] for code in (0, 2))
        rest = counts[codes == 1]
        assert all(a > b for part in (rest, tail) for b in part for a in head)
        assert all(a > b for b in tail for a in rest)
        if len(head) and len(tail):
            # Without its least popular the head, and without its most popular the tail, are less than a fifth.
            assert head[head > head.min()].sum() < 0.2 * total
            assert tail[tail < tail.max()].sum() < 0.2 * total
            assert head.sum() >= 0.2 * total
            assert tail.sum() >= 0.2 * total


# Worked by hand, from the papers.


def one(seen: list[list[int]], top: list[list[int]], held: list[list[int]], size: int, **groupings: Any) -> Facts:
    columns = {"user": pa.array(range(len(seen)), pa.int32())}
    columns |= {"held": pa.array(held, MANY), "seen": pa.array(seen, MANY), "top_model": pa.array(top, MANY)}
    return measured(stamped(pa.record_batch(columns), groupings, size, str(len(top[0]))))


def test_six_applicants_of_singh_and_joachims() -> None:
    """Three men with relevance .80, .79, .78 above three women with .77, .76, .75: exposure is .71 against .39."""
    groups = Declared(kind="declared", groups=("men", "women", "others"))
    codes = [0] * 3 + [1] * 3 + [2] * 6
    facts = one([[7]], [[0, 1, 2, 3, 4, 5]], [[0, 1, 2, 3, 4, 5]], 12, sex=(groups, codes))
    men, women, others = facts.groupings["sex"].groups
    total = sum(1 / math.log2(rank + 1) for rank in range(1, 7))
    assert [round(each.exposure.value * total / 3, 2) for each in (men, women)] == [0.71, 0.39]
    # (1 + 1 / log2 3 + 1 / 2) and (1 / log2 5 + 1 / log2 6 + 1 / log2 7), in those of both together.
    assert men.exposure.value == pytest.approx(2.13093 / 3.30467, abs=1e-5)
    assert women.exposure.value == pytest.approx(1.17374 / 3.30467, abs=1e-5)
    assert men.by_catalogue.value == pytest.approx(4 * 0.64482, abs=1e-4)
    assert men.by_relevance is not None
    assert men.by_relevance.value == pytest.approx(1.28965, abs=1e-5)
    assert women.by_relevance is not None
    assert women.by_relevance.value == pytest.approx(0.71035, abs=1e-5)
    assert (others.exposure.value, others.by_relevance) == (0.0, None)


def apart(own: list[float], shown: list[float]) -> float:
    return float(divergence(np.array([own]), np.array([shown]))[0])


def test_seventy_and_thirty_of_steck() -> None:
    """70 % romance and 30 % action, and a list of romance alone: .7 ln(.7 / .997) + .3 ln(.3 / .003)."""
    assert apart([0.7, 0.3], [1.0, 0.0]) == pytest.approx(-0.247568 + 1.381551, abs=1e-5)
    assert apart([0.7, 0.3], [0.7, 0.3]) == 0
    assert apart([1.0, 0.0], [0.0, 1.0]) == pytest.approx(math.log(100))
    # A difference of 1 % is more where a taste is small, and a list somewhat too even is better than one too extreme.
    assert apart([0.02, 0.98], [0.01, 0.99]) > 5 * apart([0.5, 0.5], [0.49, 0.51])
    assert apart([0.3, 0.7], [0.31, 0.69]) < apart([0.3, 0.7], [0.29, 0.71])


def test_a_user_of_steck_through_the_gate() -> None:
    """Seven of one group and three of another among a user's own, and two places for the first alone."""
    groups = Declared(kind="declared", groups=("romance", "action"))
    facts = one([list(range(10))], [[10, 11]], [[12]], 20, genre=(groups, [0] * 7 + [1] * 3 + [0] * 5 + [1] * 5))
    calibration = facts.groupings["genre"].calibration
    assert calibration is not None
    assert calibration.value == pytest.approx(1.133983, abs=1e-5)


def test_popularity_lift_by_hand() -> None:
    """Items that three, two and one of three users have: 2/3 of all have what the users have, on average."""
    seen = [[0, 1, 2], [0, 1], [0]]
    # Means of own: (3 + 2 + 1) / 3 = 2, (3 + 2) / 2 = 2.5, 3; in all 2.5. Of lists: 3, 3, 2; in all 8 / 3.
    facts = one(seen, [[0], [0], [1]], [[5], [5], [5]], 6)
    assert facts.lift is not None
    assert facts.lift.value == pytest.approx((8 / 3) / 2.5 - 1)
    assert (facts.own or facts.gini).value == pytest.approx(2.5 / 3)
    assert (facts.shown or facts.gini).value == pytest.approx(8 / 9)
    # A list that is twice as popular as what users have is a lift of 1; the same a lift of 0.
    double = one([[0], [0], [1], [2], [3], [4]], [[0]] * 6, [[5]] * 6, 6)
    assert double.lift is not None
    assert double.lift.value == pytest.approx(2 / (8 / 6) - 1)
    same = one(seen, [[2], [2], [2]], [[5]] * 3, 6)
    assert same.lift is not None
    assert same.lift.value == pytest.approx(1 / 2.5 - 1)


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [([1, 1, 1, 1], 0), ([0, 0, 0, 1], 0.75), ([1, 2, 3, 4], 0.25), ([1, 3], 0.25), ([5], 0), ([0, 0], 0)],
)
def test_gini_by_hand(shown: list[int], wanted: float) -> None:
    assert gini.gini(np.array(shown)) == pytest.approx(wanted)


def test_head_and_tail_by_hand() -> None:
    """Of 20 interactions ten are of one item: it is the head; of the tail there are five, as three are not parted."""
    found = items.popular(np.array([10, 5, 3, 1, 1, 0]))
    assert [found.names[code] for code in found.codes] == ["head", "middle", "tail", "tail", "tail", "tail"]
    assert set(items.popular(np.array([4, 4, 4])).codes.tolist()) == {1}


# Intervals.


def test_intervals_hold_the_mean_of_all_users() -> None:
    """Popularity and groups as they are; 150 samples of 400 users of 20,000."""
    every = sound(20_000, seed=5)
    truth, about = look(every), told(every.schema)
    tail = truth.groupings["popularity"].groups[-1]
    held = np.zeros(5)
    draw = np.random.default_rng(2)
    trials = 150
    for _ in range(trials):
        total = Tally(about)
        total.take(every.take(pa.array(draw.choice(20_000, 400, replace=False))))
        facts = figures(total)
        mine = facts.groupings["popularity"]
        pairs = [
            (facts.lift, truth.lift),
            (facts.tail, truth.tail),
            (mine.calibration, truth.groupings["popularity"].calibration),
            (mine.groups[-1].by_relevance, tail.by_relevance),
            (mine.groups[0].by_catalogue, truth.groupings["popularity"].groups[0].by_catalogue),
        ]
        held += [bool(found and all_ and found.low <= all_.value <= found.high) for found, all_ in pairs]
    # 95 % of 150 are 142.5, give or take 2.7.
    assert (held >= 133).all(), held


@pytest.mark.parametrize("users", [120, 600])
def test_the_interval_of_gini_holds_what_as_many_users_would_have(users: int) -> None:
    draw = np.random.default_rng(4)
    trials, values, ends = 250, [], []
    for _ in range(trials):
        group = draw.integers(0, 6, users)[:, None] * 10
        shown = (group + np.argsort(-(CHANCE[:60] + draw.gumbel(size=(users, 60))), axis=1)[:, :K]) % 60
        which = draw.integers(0, 64, users)
        drawers = np.zeros((64, 60))
        np.add.at(drawers, (np.repeat(which, K), shown.ravel()), 1.0)
        found = gini.estimate(drawers, np.bincount(which, minlength=64))
        values.append(found.value)
        ends.append((found.low, found.high))
    middle = float(np.mean(values))
    held = sum(low <= middle <= high for low, high in ends)
    assert held >= 0.92 * trials
    # Nor is it so long that it says nothing.
    assert np.mean([high - low for low, high in ends]) < 1.5 * 2 * 1.96 * np.std(values)


def test_gini_is_high_of_few_users_whatever_they_are_shown() -> None:
    """What the module says of its bias: lists at random over 300 items, of 20 users and of 2,000."""
    few, many = (look(sound(size)).beside["random"].gini for size in (20, 2_000))
    assert few > 0.6 > 0.15 > many


def test_the_tail_of_few_users_is_too_long_but_for_its_relevance() -> None:
    """What the module says of popularity that few users make: 200 of 20,000, with ten items each of 300."""
    every = sound(20_000, seed=5)
    draw = np.random.default_rng(3)
    truth, trials, longer, held = look(every).groupings["popularity"].groups[-1], 20, 0, 0
    for _ in range(trials):
        few = look(stamped(every.take(pa.array(draw.choice(20_000, 200, replace=False)))))
        tail = few.groupings["popularity"].groups[-1]
        assert tail.name == truth.name == "tail"
        longer += tail.exposure.value > truth.exposure.value
        assert tail.by_relevance is not None
        assert truth.by_relevance is not None
        held += tail.by_relevance.low <= truth.by_relevance.value <= tail.by_relevance.high
    assert longer == trials
    assert held >= 16


def test_all_alike_is_not_certain() -> None:
    facts = look(leaning(300))
    assert facts.tail is not None
    assert (facts.tail.value, facts.tail.low, facts.tail.high) == (0, 0, pytest.approx(0.01))
    assert facts.gini.low < facts.gini.value < facts.gini.high
    alone = measured(stamped(sound().slice(0, 1)))
    assert (alone.gini.low, alone.gini.high) == (0.0, 1.0)


def test_students_t() -> None:
    for degrees in (1, 2, 10, 30, 31, 40, 63, 1_000):
        assert gini.student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-3)


def test_parquet_is_read_and_popularity_counted_ahead(tmp_path: Path) -> None:
    rows = kept(labelled(), popularity=None, groupings=None, of_label=None)
    extra = rows.append_column("held_from", pa.array(np.arange(2_000), pa.int64()))
    files = []
    for part in range(2):
        files.append(tmp_path / f"{part}.parquet")
        pq.write_table(pa.Table.from_batches([extra.slice(1_000 * part, 1_000)]), files[-1], row_group_size=300)
    groups: Groupings = {"label": (LABELS, np.arange(ITEMS) % 2)}
    seen = gates.observe(GATE, bias.material(SUBJECT, files, 2_000, groups), LABELLED)
    verdict = gates.judge(GATE, seen, LABELLED)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert Facts.model_validate(seen.facts) == look(labelled())
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    pq.write_table(pa.table({"user": [1]}), tmp_path / "odd.parquet")
    for bad in ([tmp_path / "bad.parquet"], [tmp_path / "absent.parquet"], [tmp_path / "odd.parquet"], []):
        seen = gates.observe(GATE, bias.material(SUBJECT, bad, 50), LIMITS)
        assert gates.judge(GATE, seen, LIMITS).outcome is Outcome.INCONCLUSIVE
