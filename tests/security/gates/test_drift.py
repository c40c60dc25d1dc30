"""Drift: rows like those of the baseline pass; what moved is found; what cannot be told, or compared, is said."""

import json
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from security.drift import profile
from security.drift.levels import Levels
from security.drift.profile import Reference
from security.errors import CannotTell, LogBroken
from security.gate import judge, observe
from security.gates.drift import (
    BASELINE,
    CEILINGS,
    COLUMNS,
    MOST,
    NEWEST,
    ROLES,
    RULES,
    DriftLimits,
    DriftMonitoring,
    Facts,
    Given,
    Hidden,
    material,
    opened,
    sealed,
)
from security.gates.drift.limits import LOOSEST, NEW
from security.keys import UnsafeLocalKeys, seal
from security.material import Handed, Material
from security.rows.columns import SCHEMA
from security.verdict import Frozen, Observation, Outcome, Subject, Verdict, canonical

GATE = DriftMonitoring()
SECRET = b"only its owner knows this secret"
SUBJECT = Subject(kind="rows", name="test", sha256="0" * 64)
ROWS = 3_000
START = 1_700_000_000_000_000
LEVELS: dict[str, Any] = {"move": 0.1, "fresh": 0.1, "js": None, "psi": None, "distinct": 4.0}
"""Of so few rows smaller moves cannot be told."""
SEEDS = 12


def log(seed: int, rows: int = ROWS) -> pa.RecordBatch:
    """Rows of 300 users with ten each, by day and night, over three weeks."""
    draw = np.random.default_rng(seed)
    columns = {
        "user_id": np.char.add("person-", (np.arange(rows) % max(rows // 10, 1)).astype(str)),
        "item_id": np.char.add("film-", draw.integers(0, 60, rows).astype(str)),
        "interaction_type": draw.choice(["view", "click", "purchase"], rows, p=[0.6, 0.3, 0.1]),
        "timestamp": START + draw.integers(0, 21 * 86_400, rows) * 1_000_000,
        "row": np.arange(rows) + 1,
    }
    arrays = {name: pa.array(values, SCHEMA.field(name).type) for name, values in columns.items()}
    arrays["file"] = pa.array(["x.jsonl"] * rows).dictionary_encode()
    arrays["faults"] = pa.array(np.zeros(rows, np.uint32))
    arrays["beside"] = pa.nulls(rows, SCHEMA.field("beside").type)
    return pa.RecordBatch.from_arrays([arrays[name] for name in SCHEMA.names], schema=SCHEMA)


def rows_of(*batches: pa.RecordBatch) -> Material[pa.RecordBatch]:
    """Batches as a source of rows hands them out."""
    count = sum(batch.num_rows for batch in batches)
    weigh = pa.RecordBatch.num_rows.__get__
    return Material(SUBJECT, lambda: iter(batches), expected=count, unit="rows", weigh=weigh, sample=1)


def given(
    *batches: pa.RecordBatch,
    against: Reference | None,
    columns: Sequence[str] = COLUMNS,
    newest: pa.RecordBatch | None = None,
    partitions: int = 1,
) -> Material[Given]:
    """Batches with a baseline, for a look; and one more that is of the newest of so many partitions."""
    every, then = rows_of(*batches, *([newest] if newest else [])), against.bytes if against else None
    return material(every, then, SECRET, columns, newest=lambda batch: batch is newest, partitions=partitions)


def made(*batches: pa.RecordBatch, secret: bytes = SECRET, columns: Sequence[str] = COLUMNS) -> Reference:
    """The profile of batches."""
    return GATE.look(material(rows_of(*batches), None, secret, columns).handed()[0]).profile


THEN = log(1)
REFERENCE = made(THEN)
LIMITS: dict[str, Any] = {"baseline": REFERENCE.digest, "levels": LEVELS}


def good() -> Material[Given]:
    """Other rows of the same source, in two batches."""
    batch = log(2)
    return given(batch.slice(0, 1_200), batch.slice(1_200), against=REFERENCE)


def put(batch: pa.RecordBatch, name: str, values: Any) -> pa.RecordBatch:
    """The batch with another column."""
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return batch.set_column(batch.schema.get_field_index(name), name, array)


def told(rows: Material[Given], limits: dict[str, Any] | None = None, seed: int = 1, gate: Any = GATE) -> Verdict:
    """What is made of rows."""
    limits = LIMITS if limits is None else limits
    return judge(gate, observe(gate, rows, limits, random.Random(seed)), limits)


def broken(found: Verdict) -> set[tuple[str, str]]:
    """Rules and places of what is found."""
    return {(each.rule, each.place) for each in found.findings}


def test_rows_of_the_same_source_pass() -> None:
    for seed in range(SEEDS):
        found = told(good(), seed=seed)
        assert (found.outcome, found.findings, found.cause) == (Outcome.PASS, (), ""), found.reason
        assert found.reason == f"3,000/3,000 rows, 4 columns compared with baseline {REFERENCE.digest[:8]}"


def changes() -> dict[str, tuple[pa.RecordBatch, set[tuple[str, str]]]]:
    now, draw = log(2), np.random.default_rng(3)
    often = pc.if_else(pa.array(draw.random(ROWS) < 0.5), pa.scalar("bot"), now["user_id"])
    kinds = pc.if_else(pa.array(draw.random(ROWS) < 0.3), pa.scalar("hover"), now["interaction_type"])
    half = pa.array(draw.random(ROWS) < 0.3)
    gaps = pc.if_else(half, pa.scalar(None, pa.string()), now["item_id"])
    night = pc.add(pc.multiply(pc.divide(now["timestamp"], 86_400_000_000), 86_400_000_000), 1)
    seconds = pc.divide(now["timestamp"], 1_000_000)
    dated = now["timestamp"].cast(pa.timestamp("us"))
    every = pa.Table.from_batches([log(seed) for seed in range(4)]).combine_chunks().to_batches()[0]
    return {
        "user": (put(now, "user_id", often), {("DRIFT-COLUMN", "user_id")}),
        "item": (put(now, "item_id", gaps), {("DRIFT-COLUMN", "item_id")}),
        "kind": (put(now, "interaction_type", kinds), {("DRIFT-COLUMN", "interaction_type")}),
        "time": (put(now, "timestamp", night), {("DRIFT-COLUMN", "timestamp")}),
        "unit": (put(now, "timestamp", seconds), {("DRIFT-SCHEMA", "timestamp")}),
        "type": (put(now, "timestamp", dated), {("DRIFT-SCHEMA", "timestamp")}),
        "gone": (now.drop_columns(["item_id"]), {("DRIFT-SCHEMA", "item_id")}),
        "rows": (log(2, 300), {("DRIFT-VOLUME", "rows"), ("DRIFT-COLUMN", "item_id")}),
        "none": (now.slice(0, 0), {("DRIFT-VOLUME", "rows")}),
        "more": (
            put(every, "user_id", [f"u{row % 1_200}" for row in range(4 * ROWS)]),
            {("DRIFT-VOLUME", "rows"), ("DRIFT-COLUMN", "item_id")},
        ),
    }


@pytest.mark.parametrize("what", changes())
def test_what_moved_is_found_in_its_place(what: str) -> None:
    batch, expected = changes()[what]
    found = told(given(batch, against=REFERENCE))
    assert found.outcome is Outcome.FAIL
    assert broken(found) == expected, found.reason
    assert all("allowed: " in each.message for each in found.findings)


def test_a_finding_says_what_was_compared() -> None:
    batch, _ = changes()["kind"]
    (finding,) = told(given(batch, against=REFERENCE)).findings
    assert "of rows are in other categories (variation 0.3" in finding.message
    assert "of which chance may be 0." in finding.message
    assert f"compared with baseline {REFERENCE.digest[:8]}; allowed: variation 0.1, move 0.1" in finding.message


def test_a_new_column_is_told_by_a_hash_of_its_name() -> None:
    batch = log(2).append_column("Jane Doe", pa.nulls(ROWS))
    found = told(given(batch, against=REFERENCE))
    ((rule, place),) = broken(found)
    assert rule == "DRIFT-SCHEMA"
    assert place.startswith("column ")
    assert "is new" in found.reason
    assert "Jane" not in found.model_dump_json()


def test_without_a_baseline_the_policy_decides() -> None:
    first = {**LIMITS, "baseline": ""}
    found = told(given(log(2), against=None), first)
    assert (found.outcome, broken(found)) == (Outcome.FAIL, {("DRIFT-FIRST", "baseline")})
    for seed in range(SEEDS):
        found = told(given(log(2), against=None), first | {"first": "establish"}, seed)
        assert found.outcome is Outcome.PASS, found.reason
        assert found.reason.endswith(f"no baseline yet; these rows are {made(log(2)).digest[:8]}")


def test_what_is_established_is_the_next_baseline() -> None:
    seen = observe(GATE, given(log(1), against=None), {"first": "establish"}, random.Random(1))
    kept = Facts.model_validate(json.loads(canonical(seen.model_dump(mode="json")))["facts"]).profile
    assert kept == REFERENCE
    assert profile.read(kept.bytes).digest == REFERENCE.digest


def test_few_rows_are_no_baseline() -> None:
    found = told(given(log(2, 150), against=None), {"first": "establish"})
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "few")
    assert found.reason == "150 rows are no baseline; at least 200 are needed"


def test_where_the_plan_names_a_baseline_nothing_is_established() -> None:
    found = told(given(log(2), against=None), LIMITS | {"first": "establish"})
    assert broken(found) == {("DRIFT-BASELINE", "baseline")}
    assert "no baseline was used; allowed: baseline" in found.reason
    assert broken(told(given(log(2), against=None))) == {("DRIFT-FIRST", "baseline")}


def test_a_baseline_that_the_plan_does_not_name_is_a_breach() -> None:
    other = made(log(5))
    for limits in (LIMITS, {**LIMITS, "baseline": "", "first": "establish"}, {**LIMITS, "baseline": ""}):
        against = REFERENCE if limits["baseline"] == "" else other
        found = told(given(log(2), against=against), limits)
        assert broken(found) == {("DRIFT-BASELINE", "baseline")}
        assert against.digest[:12] in found.reason


def test_what_cannot_be_told_is_no_pass() -> None:
    few = log(2, 150)
    limits = {**LIMITS, "levels": LEVELS | {"volume": None, "weight": 30.0}}
    found = told(given(few, against=REFERENCE), limits)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "few"), found.reason
    assert "user_id: 150 effective rows; at least 200 are needed" in found.reason
    assert all(name in found.reason for name in COLUMNS)
    found = told(good(), {**LIMITS, "levels": LEVELS | {"move": 0.005}})
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "few"), found.reason
    assert "interaction_type: chance alone may reach" in found.reason


def test_only_the_columns_of_the_policy_are_judged() -> None:
    batch, _ = changes()["kind"]
    some = tuple(name for name in COLUMNS if name != "interaction_type")
    reference = made(THEN, columns=some)
    for seed in range(SEEDS):
        limits = {**LIMITS, "baseline": reference.digest, "columns": some}
        assert told(given(batch, against=reference, columns=some), limits, seed).outcome is Outcome.PASS
    found = told(given(batch, against=REFERENCE), {**LIMITS, "columns": ["interaction_type"]})
    assert found.outcome is Outcome.FAIL


def test_more_columns_untested_than_the_policy_lets_is_no_pass() -> None:
    some = ("user_id", "interaction_type", "timestamp")
    reference = made(THEN, columns=some)
    limits = {**LIMITS, "baseline": reference.digest}
    found = told(given(log(2), against=reference, columns=some), limits)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "untested")
    assert "25% of columns are untested, allowed: 0% (item_id: the baseline does not have it)" in found.reason
    assert told(given(log(2), against=reference, columns=some), limits | {"untested": 0.25}).outcome is Outcome.PASS


def test_a_baseline_that_cannot_be_used_is_no_pass() -> None:
    wrong = [
        material(rows_of(log(2)), REFERENCE.bytes, b"another one" * 3),
        material(rows_of(log(2)), REFERENCE.bytes, SECRET, COLUMNS[1:]),
        material(rows_of(log(2)), REFERENCE.bytes[:-1], SECRET),
        material(rows_of(log(2)), b"[]", SECRET),
    ]
    for rows in wrong:
        found = told(rows)
        assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "reference"), found.reason


BESIDE = {
    # The newest rows are as before, and so none of theirs is among those that each have an id of their own.
    "DRIFT-COLUMN": {"DRIFT-NEWEST-IDS"},
    # All of a fourth of the rows of one id are more of one in all of them, too; and so are ten times the rows.
    "DRIFT-NEWEST": {"DRIFT-COLUMN"},
    "DRIFT-NEWEST-ROWS": {"DRIFT-COLUMN", "DRIFT-NEWEST", "DRIFT-VOLUME"},
    "DRIFT-NEWEST-IDS": {"DRIFT-COLUMN", "DRIFT-NEWEST"},
}


@pytest.mark.parametrize("rule", RULES)
def test_known_bad_rows_are_caught_by_their_rule_alone(rule: str) -> None:
    terms = DriftLimits.model_validate(LIMITS | {"partitions": 4, "newest": {"new": NEW}})
    sample = list(given(log(2), against=REFERENCE, partitions=4).source())
    for seed in range(SEEDS):
        items = GATE.violations[rule](sample, random.Random(seed))
        found = {each.rule for each in GATE.judge(GATE.look(good().decoy(items).handed()[0]), terms)}
        assert rule in found, seed
        assert found - {rule} <= BESIDE.get(rule, set()), seed


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [0, 1, 7, 300])
@pytest.mark.parametrize(
    ("what", "partitions"), [("named", 28), ("none", 2), ("short", 7), ("one user", 2), ("gaps", 3)]
)
def test_known_bad_rows_are_caught_whatever_the_sample_and_the_policy(
    rule: str, size: int, what: str, partitions: int
) -> None:
    """The loosest levels that a policy may set; baselines of few rows, of one user's, of many nulls; and none."""
    draw, bot = np.random.default_rng(3), pa.scalar("bot")
    most = pa.array(draw.random(ROWS) < 0.9)
    kinds = pc.if_else(pa.array(draw.random(ROWS) < 0.4), pa.scalar(None, pa.string()), THEN["interaction_type"])
    reference = {
        "named": REFERENCE,
        "none": None,
        "short": made(log(1, 220)),
        "one user": made(put(THEN, "user_id", pc.if_else(most, bot, THEN["user_id"]))),
        "gaps": made(put(THEN, "interaction_type", kinds)),
    }[what]
    named, loosest = reference.digest if reference else "", LOOSEST.model_copy(update={"blind": 4.0})
    terms = DriftLimits(baseline=named, levels=loosest, partitions=partitions, newest={"new": NEW})
    sample = list(given(log(2).slice(0, size), against=reference, partitions=partitions).source())
    for seed in range(4):
        items = GATE.violations[rule](sample, random.Random(seed))
        found = {each.rule for each in GATE.judge(GATE.look(good().decoy(items).handed()[0]), terms)}
        assert rule in found, seed


def test_known_bad_volumes_are_of_many_rows_and_of_none() -> None:
    sample = list(good().source())
    sizes = {
        sum(each.batch.num_rows for each in GATE.violations["DRIFT-VOLUME"](sample, random.Random(seed)))
        for seed in range(8)
    }
    assert sizes == {0, 13 * ROWS}


def test_known_bad_rows_are_drawn_anew_and_of_every_column() -> None:
    terms, sample, places = DriftLimits.model_validate(LIMITS), list(good().source()), set[str]()
    for seed in range(24):
        items = GATE.violations["DRIFT-COLUMN"](sample, random.Random(seed))
        places |= {each.place for each in GATE.judge(GATE.look(good().decoy(items).handed()[0]), terms)}
    assert places == set(COLUMNS)


def test_a_stored_observation_gives_the_same_verdict() -> None:
    batch, _ = changes()["user"]
    for rows in (good(), given(batch, against=REFERENCE), given(log(2, 150), against=REFERENCE)):
        seen = observe(GATE, rows, LIMITS, random.Random(4))
        again = Observation.model_validate_json(canonical(seen.model_dump(mode="json")))
        assert judge(GATE, again, LIMITS) == judge(GATE, seen, LIMITS)


def lying(facts: Any) -> DriftMonitoring:
    """An engine that tells other facts than it sees."""

    class Liar(DriftMonitoring):
        def look(self, material: Handed[Given]) -> Any:
            return facts(GATE.look(material))

    return Liar()


def blind(seen: Facts) -> Facts:
    """Without a baseline."""
    return Facts(digest="", baseline=None, held={}, profile=seen.profile, newest=None)


def test_an_engine_that_hides_the_baseline_is_caught() -> None:
    batch, _ = changes()["kind"]
    for limits in (LIMITS, LIMITS | {"first": "establish"}):
        assert told(given(batch, against=REFERENCE), limits, gate=lying(blind)).outcome is Outcome.FAIL
    found = told(given(log(2), against=None), {"first": "establish"}, gate=lying(blind))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "canary")


def test_an_engine_that_counts_against_another_baseline_is_caught() -> None:
    batch, _ = changes()["kind"]
    own = made(batch)
    same = GATE.look(given(batch, against=own).handed()[0])
    found = told(given(batch, against=REFERENCE), gate=lying(lambda _: same))
    assert found.outcome is Outcome.FAIL
    assert broken(found) == {("DRIFT-BASELINE", "baseline")}
    claimed = same.model_dump() | {"digest": REFERENCE.digest}
    seen = observe(GATE, given(batch, against=REFERENCE), LIMITS, random.Random(1))
    found = judge(GATE, seen.model_copy(update={"facts": claimed}), LIMITS)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "facts")


def test_an_engine_that_tells_of_the_baseline_what_it_should_tell_of_the_rows_is_caught() -> None:
    batch, _ = changes()["kind"]
    clean: Frozen = GATE.look(good().handed()[0])
    for seed in range(SEEDS):
        found = told(given(batch, against=REFERENCE), seed=seed, gate=lying(lambda _: clean))
        assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "canary")


def test_nothing_of_a_row_and_no_secret_is_in_an_observation() -> None:
    planted = ["jane.doe@example.com", "536-90-4399", "Thunder Road 9", "kept secret kind"]
    now = log(2)
    batch = put(now, "user_id", [planted[row % 300] if row % 300 < 3 else f"person-{row}" for row in range(ROWS)])
    kinds = [planted[3] if row % 2 else "view" for row in range(ROWS)]
    batch = put(batch, "interaction_type", kinds)
    assert any(planted[0] == each for each in batch["user_id"].to_pylist())
    for limits, against in ((LIMITS, REFERENCE), ({"first": "establish"}, None)):
        seen = observe(GATE, given(batch, against=against), limits, random.Random(3))
        assert seen.facts
        text = seen.model_dump_json() + judge(GATE, seen, limits).model_dump_json()
        for value in (*planted, "person-", "film-", "purchase", SECRET.decode(), SECRET.hex()):
            assert value not in text, value


def test_a_secret_is_neither_shown_nor_written() -> None:
    item = next(iter(good().source()))
    assert SECRET.decode() not in repr(item)
    assert item.secret.show() == SECRET
    assert SECRET not in item.batch.schema.serialize().to_pybytes()
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(item)
    with pytest.raises(ValueError, match="31 bytes; at least 32"):
        Hidden(SECRET[1:])


def test_facts_are_bounded_however_many_values_there_are() -> None:
    draw, rows = np.random.default_rng(8), 60_000
    batch = put(log(8, rows), "interaction_type", draw.integers(0, 500, rows).astype(str))
    batch = put(batch, "item_id", np.arange(rows).astype(str))
    facts = GATE.look(given(batch, against=made(batch)).handed()[0])
    assert len(facts.held["interaction_type"].counts) > 200
    assert 10_000 < len(canonical(facts.model_dump(mode="json"))) <= MOST


def test_batches_are_of_one_baseline() -> None:
    one, other = (next(iter(given(log(2), against=against).source())) for against in (REFERENCE, None))
    found = good()
    found.source = lambda: [one, other]
    assert told(found).cause == "reference"
    with pytest.raises(CannotTell, match="no rows to look at"):
        GATE.look(good().decoy([]).handed()[0])


@pytest.mark.parametrize("columns", [(), ("user_id", "row"), ("user_id", "user_id")])
def test_columns_that_are_not_ours_are_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="there are user_id, item_id"):
        material(rows_of(log(2)), None, SECRET, columns)


@pytest.mark.parametrize(
    "limits",
    [
        {"levels": {"volume": 50.0}},
        {"levels": {"blind": 9.0}},
        {"untested": 1.0},
        {"columns": []},
        {"columns": ["row"]},
        {"columns": ["user_id", "user_id"]},
        {"baseline": "abc"},
        {"first": "maybe"},
        {"more": 1},
        *({"levels": {name: None}} for name in CEILINGS),
        *({"levels": {name: ceiling * 1.01}} for name, ceiling in CEILINGS.items()),
    ],
    ids=str,
)
def test_a_policy_that_would_let_everything_pass_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DriftLimits.model_validate(limits)


def test_every_rule_that_a_policy_has_is_tried() -> None:
    assert GATE.active(DriftLimits(partitions=2, newest={"new": 0.9})) == tuple(RULES)
    for limits in (DriftLimits(newest={"new": 0.9}), DriftLimits(partitions=2, newest=None)):
        assert not NEWEST & {*GATE.active(limits)}
    assert "DRIFT-NEWEST-ROWS" not in GATE.active(DriftLimits(partitions=2, newest={"volume": None}))
    assert "DRIFT-NEWEST-IDS" not in GATE.active(DriftLimits(partitions=2))
    one, other = {"item_id": {"new": 0.5}}, {"user_id": {"new": None}}
    for limits in (DriftLimits(partitions=2, by=one), DriftLimits(partitions=2, by=other, newest={"new": 0.9})):
        assert "DRIFT-NEWEST-IDS" in GATE.active(limits), "one of two columns of ids is enough"
    assert "DRIFT-FIRST" not in GATE.active(DriftLimits(first="establish"))
    assert "DRIFT-VOLUME" not in GATE.active(DriftLimits(levels=Levels(volume=None)))
    assert set(GATE.violations) == set(RULES)
    assert all(rule.controls for rule in RULES.values())


def test_a_signed_baseline_is_opened_as_it_was(tmp_path: Path) -> None:
    keys = UnsafeLocalKeys(tmp_path)
    signer, key = keys.signer("producer"), keys.public("producer")
    assert opened(sealed(REFERENCE, signer), key) == REFERENCE
    with pytest.raises(LogBroken, match="the baseline's envelope: not signed by the key given"):
        opened(sealed(REFERENCE, signer), keys.public("owner"))
    with pytest.raises(LogBroken, match="the baseline's envelope: not an envelope"):
        opened(b"{}", key)
    held = {"profile": REFERENCE.model_dump(mode="json")}
    subject = {"baseline": REFERENCE.digest}
    for kind, named, predicate, why in (
        ("urn:sluice:dataset/v1", subject, held, "is no baseline"),
        (BASELINE, {"baseline": "0" * 64}, held, "not the one that its subject names"),
        (BASELINE, {"other": REFERENCE.digest}, held, "not the one that its subject names"),
        (BASELINE, {}, held, "has no subject, or no profile"),
        (BASELINE, subject, {}, "has no subject, or no profile"),
        (BASELINE, subject, {"profile": {"kind": "x"}}, "no profile that this version knows"),
    ):
        with pytest.raises(CannotTell, match=why) as told_:
            opened(seal(kind, named, predicate, signer), key)
        assert told_.value.cause == "reference"


def test_roles_are_those_of_the_columns_of_rows() -> None:
    assert tuple(SCHEMA.names[: len(COLUMNS)]) == COLUMNS
    assert set(ROLES) == set(COLUMNS)


def uneven(seed: int, rows: int = 60_000) -> pa.RecordBatch:
    """Items of which few have most of the rows, and users who each have their own ways and their own diligence."""
    draw, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    diligence, fame = fixed.lognormal(0, 1, 2_000), 1 / np.arange(1, 1_001) ** 0.9
    user = draw.choice(2_000, rows, p=diligence / diligence.sum())
    ways = np.cumsum(fixed.dirichlet([6, 3, 1], 2_000), axis=1)[user]
    kind = (draw.random(rows)[:, None] > ways[:, :2]).sum(axis=1)
    batch = put(log(seed, rows), "user_id", user.astype(str))
    batch = put(batch, "item_id", draw.choice(1_000, rows, p=fame / fame.sum()).astype(str))
    return put(batch, "interaction_type", np.array(["view", "click", "purchase"])[kind])


def test_what_chance_may_do_to_uneven_items_is_said_and_a_policy_can_allow_for_it() -> None:
    reference = made(uneven(1))
    rows = given(uneven(2), against=reference)
    found = told(rows, {"baseline": reference.digest})
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "few")
    assert "item_id: chance alone may reach" in found.reason
    assert "in weight, whose limit is 3" in found.reason
    allowing = {"baseline": reference.digest, "levels": {"weight": 30.0, "move": 0.05}}
    found = told(rows, allowing)
    assert found.outcome is Outcome.PASS, found.reason
    bot = pc.if_else(pa.array(np.arange(60_000) % 2 == 0), pa.scalar("bot"), uneven(2)["user_id"])
    found = told(given(put(uneven(2), "user_id", bot), against=reference), allowing)
    assert broken(found) == {("DRIFT-COLUMN", "user_id")}
