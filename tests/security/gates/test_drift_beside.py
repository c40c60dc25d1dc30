"""Drift in columns that need not be there: those that a data contract declares are compared, others only noted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from security.drift.profile import Reference
from security.errors import CannotTell
from security.gates.drift import COLUMNS, DriftLimits, Facts, Given, compared, material
from security.gates.drift.facts import WIDEST
from security.gates.drift.gate import DriftMonitoring
from security.material import Material
from security.rows.beside import BESIDE
from security.verdict import Outcome
from tests.security.gates.test_drift import LEVELS, ROWS, SECRET, broken, log, put, rows_of, told

GATE = DriftMonitoring()
DECLARED: Any = {"user_agent": "category", "comment": "id"}
Cell = Callable[[int], dict[str, str | None] | None]


def rows(seed: int, cell: Cell) -> pa.RecordBatch:
    """The rows of a log, and beside each what `cell` says of its number."""
    made = [cell(number) for number in range(ROWS)]
    return put(log(seed), "beside", pa.array([list(each.items()) if each else None for each in made], BESIDE))


def given(batch: pa.RecordBatch, against: Reference | None) -> Material[Given]:
    return material(rows_of(batch), against.bytes if against else None, SECRET, COLUMNS, DECLARED)


def made(batch: pa.RecordBatch) -> Reference:
    return GATE.look(given(batch, None).handed()[0]).profile


def judged(batch: pa.RecordBatch, against: Reference, **limits: Any) -> Any:
    terms = {"baseline": against.digest, "levels": LEVELS, "beside": DECLARED} | limits
    return told(given(batch, against), terms)


DRAWN = np.random.default_rng(9).integers(0, 1_000, ROWS).tolist()


def agents(number: int) -> dict[str, str | None]:
    return {"user_agent": ("Firefox", "Chrome", "Safari")[DRAWN[number] % 7 % 3]}


def plain(number: int) -> None:
    return None


def some(number: int) -> dict[str, str | None] | None:
    return {"comment": f"nice {number}"} if number % 10 == 0 else None


WITH = made(rows(1, agents))


def test_the_same_mix_passes() -> None:
    found = judged(rows(2, agents), WITH)
    assert found.outcome is Outcome.PASS, found.reason
    assert found.reason.endswith(f"5 columns compared with baseline {WITH.digest[:8]}")


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        (lambda number: {"user_agent": "bot"}, "DRIFT-COLUMN"),
        (lambda number: agents(number) if DRAWN[number] % 2 else {"user_agent": None}, "DRIFT-COLUMN"),
        (plain, "DRIFT-COLUMN"),
    ],
    ids=["another mix", "half gone", "gone"],
)
def test_what_moved_in_a_declared_column_is_found_there(cell: Cell, rule: str) -> None:
    assert broken(judged(rows(2, cell), WITH)) == {(rule, "user_agent")}


def test_a_declared_column_that_appears_is_found() -> None:
    assert broken(judged(rows(2, agents), made(rows(1, plain)))) == {("DRIFT-COLUMN", "user_agent")}


def test_a_few_rows_that_have_it_are_no_alarm() -> None:
    """Whoever can write one row must not be able to stop a pipeline with a column that may be there."""
    one = rows(2, lambda number: agents(number) if number == 5 else None)
    found = judged(one, made(rows(1, plain)), untested=0.2)
    assert found.outcome is Outcome.PASS, found.reason


def test_a_declared_column_that_is_in_neither_is_not_missed() -> None:
    none = made(rows(1, plain))
    assert judged(rows(2, plain), none).outcome is Outcome.PASS


def test_a_declared_column_of_which_little_can_be_told_is_untested_by_name() -> None:
    few = {"weight": 30.0, "rows": 400}
    against = made(rows(1, some))
    found = judged(rows(2, some), against, levels=LEVELS | few)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "untested"), found.reason
    assert "17% of columns are untested, allowed: 0% (comment: 300 effective rows" in found.reason
    assert judged(rows(2, some), against, levels=LEVELS | few, untested=0.2).outcome is Outcome.PASS


def test_a_column_that_nobody_declared_is_new_by_a_hash_of_its_name() -> None:
    found = judged(rows(2, lambda number: agents(number) | {"Jane Doe": "x"}), WITH)
    ((rule, place),) = broken(found)
    assert (rule, place.startswith("column ")) == ("DRIFT-SCHEMA", True)
    assert "Jane" not in found.model_dump_json()
    assert "Jane" not in GATE.look(given(rows(2, lambda n: {"Jane Doe": "x"}), WITH).handed()[0]).model_dump_json()


def test_one_that_was_there_before_is_untested_by_a_hash_of_its_name() -> None:
    batch = [rows(seed, lambda number: agents(number) | {"device": "tv"}) for seed in (1, 2)]
    found = judged(batch[1], made(batch[0]))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "untested")
    assert "14% of columns are untested" in found.reason
    assert judged(batch[1], made(batch[0]), untested=0.2).outcome is Outcome.PASS


def test_one_that_is_gone_is_untested_by_a_hash_of_its_name() -> None:
    then = made(rows(1, lambda number: agents(number) | {"device": "tv"}))
    found = judged(rows(2, agents), then)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "untested")
    assert "the column is gone" in found.reason
    assert judged(rows(2, agents), then, untested=0.2).outcome is Outcome.PASS


def test_a_first_look_with_more_that_is_untested_than_the_policy_lets_is_no_baseline() -> None:
    batch = rows(2, lambda number: agents(number) | {"device": "tv"})
    terms = {"first": "establish", "levels": LEVELS, "beside": DECLARED}
    found = told(given(batch, None), terms)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "untested")
    assert "14% of columns are untested" in found.reason
    assert told(given(batch, None), terms | {"untested": 0.2}).outcome is Outcome.PASS


def test_of_another_secret_or_other_columns_nothing_is_compared_and_the_profile_is_kept() -> None:
    narrow = GATE.look(material(rows_of(log(1)), None, SECRET).handed()[0]).profile
    other = GATE.look(material(rows_of(rows(1, agents)), None, SECRET[::-1], COLUMNS, DECLARED).handed()[0]).profile
    for against, said in ((narrow, "looks at other columns"), (other, "made under another secret")):
        found = judged(rows(2, agents), against)
        assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "reference"), found.reason
        assert said in found.reason
        seen: Facts = GATE.look(given(rows(2, agents), against).handed()[0])
        assert (seen.digest, seen.held, seen.profile) == (against.digest, {}, made(rows(2, agents)))
        with pytest.raises(CannotTell, match=said):
            compared(seen, DriftLimits(baseline=against.digest, beside=DECLARED))


def test_a_value_that_could_not_be_kept_is_a_gap_of_its_column() -> None:
    """What stands beside under the name of a declared column is no column of its own."""
    batch = rows(2, lambda number: agents(number) | ({"timestamp": "soon"} if number == 5 else {}))
    assert judged(batch, WITH).outcome is Outcome.PASS


def test_of_a_name_that_a_row_has_twice_the_last_counts() -> None:
    twice = pa.array([[("user_agent", "one"), ("user_agent", "bot")]] * ROWS, BESIDE)
    seen: Facts = GATE.look(given(put(log(2), "beside", twice), None).handed()[0])
    assert seen.profile == made(rows(2, lambda number: {"user_agent": "bot"}))


def test_batches_may_be_cut_anywhere() -> None:
    batch = rows(2, lambda number: agents(number) if number % 3 else some(number))
    cuts = np.sort(np.random.default_rng(5).integers(0, ROWS, 6)).tolist()
    parts = [batch.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, ROWS], strict=True)]
    whole, apart = (
        GATE.look(material(rows_of(*each), WITH.bytes, SECRET, COLUMNS, DECLARED).handed()[0])
        for each in ([batch], parts)
    )
    assert whole == apart


def test_columns_without_end_are_not_taken_in() -> None:
    batch = rows(2, lambda number: {f"c{number}": None})
    with pytest.raises(CannotTell, match=f"more than {WIDEST:,} columns that nobody declared"):
        GATE.look(given(batch, None).handed()[0])


def test_a_column_may_have_levels_of_its_own() -> None:
    half = rows(2, lambda number: agents(number) if DRAWN[number] > 100 else None)
    wide = {"variation": 0.5, "move": 0.5, "js": None, "psi": None, "missing": 0.3}
    assert broken(judged(half, WITH)) == {("DRIFT-COLUMN", "user_agent")}
    assert judged(half, WITH, by={"user_agent": wide}).outcome is Outcome.PASS
    assert broken(judged(half, WITH, by={"item_id": wide})) == {("DRIFT-COLUMN", "user_agent")}


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ({"user_agent": {"missing": 0.9}}, "by.user_agent.missing is 0.9: nothing would be a drift"),
        ({"item_id": {"type": None}}, "by.item_id.type is None: nothing would be a drift"),
        ({"item_id": {"weihgt": 3}}, "weihgt"),
        ({"nobody": {}}, "by.nobody: no such column here; there are user_id, item_id"),
    ],
)
def test_levels_of_a_column_are_bounded_as_those_of_all(by: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DriftLimits(by=by, beside=DECLARED)


PAIR = ("item_id", "interaction_type")
MANY = 30_000


def together(seed: int) -> pa.RecordBatch:
    """As many of each kind and of each item as in a log, but each item has one kind."""
    batch = log(seed, MANY)
    order = np.argsort(batch["item_id"].to_numpy(zero_copy_only=False), kind="stable")
    kinds = np.empty(MANY, object)
    kinds[order] = np.sort(batch["interaction_type"].to_numpy(zero_copy_only=False))
    return put(batch, "interaction_type", pa.array(kinds.tolist()))


def paired(batch: pa.RecordBatch, against: Reference | None) -> Material[Given]:
    return material(rows_of(batch), against.bytes if against else None, SECRET, pairs=[PAIR])


def test_what_moved_only_in_two_columns_together_is_found_where_the_policy_names_them() -> None:
    reference = GATE.look(paired(log(1, MANY), None).handed()[0]).profile
    terms = {"baseline": reference.digest, "pairs": [PAIR], "levels": LEVELS | {"variation": 0.3}}
    assert told(paired(log(2, MANY), reference), terms).outcome is Outcome.PASS
    found = told(paired(together(2), reference), terms)
    assert broken(found) == {("DRIFT-COLUMN", "interaction_type × item_id")}
    alone = GATE.look(material(rows_of(log(1, MANY)), None, SECRET).handed()[0]).profile
    rest = terms | {"baseline": alone.digest, "pairs": []}
    assert told(material(rows_of(together(2)), alone.bytes, SECRET), rest).outcome is Outcome.PASS


def test_a_pair_that_the_baseline_does_not_have_is_no_pass() -> None:
    alone = GATE.look(material(rows_of(log(1)), None, SECRET).handed()[0]).profile
    terms = {"baseline": alone.digest, "pairs": [PAIR], "levels": LEVELS}
    found = told(paired(log(2), alone), terms)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "reference")
    found = told(material(rows_of(log(2)), alone.bytes, SECRET), terms)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "untested"), found.reason
    assert "interaction_type × item_id: the baseline does not have it" in found.reason


@pytest.mark.parametrize(
    "pairs",
    [
        [("item_id", "item_id")],
        [PAIR, PAIR[::-1]],
        [("item_id", "user_id")],
        [("item_id", "timestamp")],
        [("item_id", "comment")],
    ],
)
def test_pairs_are_of_two_columns_that_are_watched_each_once(pairs: Any) -> None:
    with pytest.raises(ValidationError):
        DriftLimits(pairs=pairs)
    with pytest.raises(ValidationError):
        DriftLimits(pairs=(PAIR,), columns=("item_id", "timestamp"))
