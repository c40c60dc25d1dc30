"""A verdict is made again once for the same observation, terms and gate, and for no others."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import security.again
from security.again import again
from security.gate import judge, observe
from security.gates.contract import DataContract
from security.policy import Terms
from security.registry import GATES
from security.verdict import Basis, Observation, Outcome
from tests.conformance.subjects import CASES

GATE = GATES["data_contract"]
Told = tuple[dict[str, Any], Terms]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """An observation as a log has it, and its terms."""
    case = CASES[GATE.name](tmp_path_factory.mktemp("rows"))
    return observe(GATE, case.good(), case.limits).model_dump(mode="json"), terms(case.limits)


def terms(limits: dict[str, Any], **more: Any) -> Terms:
    return Terms(**{"limits": limits, "accepts": {}, "observe": (), **more})


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The gates that had to judge, with nothing known yet."""
    names: list[str] = []

    def counted(gate: Any, *rest: Any, **more: Any) -> Any:
        names.append(gate.name)
        return judge(gate, *rest, **more)

    monkeypatch.setattr(security.again, "judge", counted)
    monkeypatch.setattr(security.again, "_JUDGED", {})
    return names


def test_it_is_judged_once_and_is_what_the_judge_says(told: Told, asked: list[str]) -> None:
    observation, given = told
    seen, first = again(GATE, observation, given)
    assert first == judge(GATE, Observation.model_validate(observation), given.limits)
    assert first.outcome is Outcome.PASS
    seen.facts.clear()  # whoever got it may do what they like with it
    other, second = again(GATE, copy.deepcopy(observation), given)
    assert (second, other) == (first, Observation.model_validate(observation))
    assert asked == [GATE.name]


def test_what_came_of_an_accident_is_judged_anew(
    told: Told, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    observation, given = told
    once, real = iter([True]), DataContract.judge

    def short(self: Any, *rest: Any) -> Any:
        if next(once, False):
            raise MemoryError
        return real(self, *rest)

    monkeypatch.setattr(DataContract, "judge", short)
    assert again(GATE, observation, given)[1].cause == "crash"
    assert again(GATE, observation, given)[1].outcome is Outcome.PASS


@pytest.mark.parametrize("name", sorted(GATES))
def test_of_every_gate_it_is_what_the_judge_says(name: str, tmp_path: Path) -> None:
    gate, case = GATES[name], CASES[name](tmp_path)
    for material in (case.good(), case.bad()):
        seen = observe(gate, material, case.limits)
        given, wanted = terms(case.limits), judge(gate, seen, case.limits)
        for _ in range(2):
            assert again(gate, seen.model_dump(mode="json"), given)[1] == wanted


def altered(found: Any) -> Iterator[Any]:
    """The same, with one of its values in each place another."""
    for key in found if isinstance(found, dict) else range(len(found)):
        value = found[key]
        if isinstance(value, dict | list):
            others: Iterator[Any] = altered(value)
        else:
            others = iter([not value if isinstance(value, bool) else f"{value}x" if isinstance(value, str) else 7919])
        for other in others:
            whole = copy.copy(found)
            whole[key] = other
            yield whole


def test_another_observation_is_judged_for_itself(told: Told, asked: list[str]) -> None:
    observation, given = told
    again(GATE, observation, given)
    tried, passed = 0, 0
    for other in altered(observation):
        try:
            seen = Observation.model_validate(other)
        except ValidationError:
            continue
        tried += 1
        found = again(GATE, other, given)
        assert found == (seen, judge(GATE, seen, given.limits))
        passed += found[1].outcome is Outcome.PASS
    assert len(asked) == tried + 1
    assert tried > 50
    assert passed < tried


@pytest.mark.parametrize(
    "other",
    [
        lambda limits: terms(limits | {"types": ["view"]}),
        lambda limits: terms(limits, accepts=dict.fromkeys(GATE.rules, Basis.SIMULATED)),
        lambda limits: terms(limits, enforce=tuple(GATE.rules)),
    ],
)
def test_other_terms_are_judged_by(told: Told, asked: list[str], other: Callable[[dict[str, Any]], Terms]) -> None:
    observation, given = told
    now = other(given.limits)
    for each in (given, now, given, now):
        seen, verdict = again(GATE, observation, each)
        assert verdict == judge(GATE, seen, each.limits, each.accepts, each.enforce)
    assert len(asked) == 2


def silent(self: Any, facts: Any, limits: Any) -> Iterator[Any]:
    """Finds nothing."""
    return iter(())


def test_a_judge_that_was_put_in_anothers_place_is_another(
    told: Told, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who has judged before says nothing for it: its canaries get through."""
    observation, given = told
    assert again(GATE, observation, given)[1].outcome is Outcome.PASS
    with monkeypatch.context() as patch:
        patch.setattr(type(GATE), "judge", silent)
        for _ in range(2):
            assert again(GATE, observation, given)[1].cause == "canary"
    assert again(GATE, observation, given)[1].outcome is Outcome.PASS
    assert again(type("Silent", (DataContract,), {"judge": silent})(), observation, given)[1].cause == "canary"
    assert len(asked) == 3


def test_a_gate_that_remembers_anything_judges_each_time(told: Told, asked: list[str]) -> None:
    gate = DataContract()
    vars(gate)["remembered"] = 1
    for _ in range(3):
        assert again(gate, *told)[1].outcome is Outcome.PASS
    assert len(asked) == 3


def test_no_more_is_kept_than_there_is_room_for(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    observation, given = told
    monkeypatch.setattr(security.again, "MOST", 2)
    for number in range(6):
        again(GATE, observation | {"taken": float(number)}, given)
        assert len(security.again._JUDGED) <= 2


def test_what_is_no_observation_has_no_verdict(told: Told, asked: list[str]) -> None:
    observation, given = told
    with pytest.raises(ValidationError):
        again(GATE, observation | {"more": 1}, given)
    assert not asked
