"""A run held to another policy than its own: every reason that would stop it there, and nothing else."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from configs import load
from security import appraise
from security.appraise import elsewhere, reasons
from security.errors import LogBroken
from security.gate import Breach
from security.gates.contract import DataContract
from security.keys import UnsafeLocalKeys
from security.registry import GATES
from security.verify import Trust
from tasks.home import Home
from tasks.run import Run, close, inside
from tasks.stage import stage
from tests.conformance.miniature import GOOD, MATRIX, POLICY, start, work

Told = dict[str, Any]


@pytest.fixture(scope="module")
def run(prefect: str, home: Home) -> Run:
    """A run that passed and is closed."""
    made = start(home, GOOD)
    with inside(made):
        assert flow(stage("ends")(lambda: work()), name="ends", retries=0)(return_state=True).is_completed()
    close(made, "passed")
    return made


def held(run: Run, change: Callable[[Told], Any]) -> tuple[str, list[str]]:
    """What is said of it under its policy with one change."""
    policy = copy.deepcopy(POLICY)
    change(policy)
    trust = Trust(run.trust.key, load.policy(policy), load.sha256(policy), MATRIX, GATES)
    return elsewhere(run.log.path, trust), reasons(run.log.path, trust)


def test_under_its_own_policy_nothing_is_said(run: Run) -> None:
    assert held(run, lambda policy: None) == ("", [])


def test_under_one_that_wants_nothing_more_nothing_is_said_but_where_it_was(run: Run) -> None:
    def wider(policy: Told) -> None:
        policy["gates"]["data_contract"]["limits"]["most_rejected"] = 0.4

    assert held(run, wider) == (POLICY["name"], [])


CHANGES: dict[str, tuple[Callable[[Told], Any], str]] = {
    "target": (lambda told: told.update(target="kubernetes_test"), "target: it was for local; allowed: kubernetes_"),
    "owner": (lambda told: told.update(unsigned="refuse"), "policy: its own was not signed by its owner"),
    "document": (lambda told: told.update(documents={"sample": "1" * 64}), "document: "),
    "contract": (lambda told: told.update(contracts={"interactions": "1" * 64}), "contract: interactions "),
    "code": (lambda told: told.update(code=["1" * 64]), "code: it was "),
    "keys": (lambda told: told.update(keys="isolated"), "keys: key_isolation was "),
    "terms": (lambda told: told.update(gates={"approval": {}}), "terms: ends/work: gate data_contract has no terms"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_policy_wants_of_any_run_is_asked_of_this_one(run: Run, change: str) -> None:
    name, found = held(run, CHANGES[change][0])
    assert name == POLICY["name"]
    assert found[0].startswith(CHANGES[change][1])
    further = "document: it goes no further than local; allowed: one that goes to kubernetes_test"
    assert found[1:] == [further] * (change == "target")


class Stricter(DataContract):
    """Finds what the other did not, in the same facts."""

    def judge(self, facts: Any, limits: Any) -> Iterator[Breach]:
        yield Breach(rule=min(self.rules), place="rows", message="found few; allowed: more")


def test_what_was_seen_is_judged_anew_and_each_place_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appraise, "own", lambda path, trust: run.trust)
    trust = replace(run.trust, gates=GATES | {"data_contract": Stricter()})
    assert reasons(run.log.path, trust) == [
        f"ends/work [data_contract] fail: {min(Stricter.rules)} rows: found few; allowed: more"
    ]


def test_a_log_that_does_not_hold_is_not_appraised(run: Run, tmp_path: Path) -> None:
    lines = run.log.path.read_bytes().splitlines(keepends=True)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(LogBroken, match="its end may be missing"):
        reasons(path, run.trust)
    other = UnsafeLocalKeys(tmp_path / "other").public("producer")
    with pytest.raises(LogBroken):
        reasons(run.log.path, Trust(other, run.trust.policy, run.trust.policy_sha256, MATRIX, GATES))
