"""A pipeline that runs from a checkout in which a person signed every file, under a policy that its owner signed: its
code is looked at in full.

Each run is a process of its own, that imports from this checkout alone.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs import load
from flows import plan
from security.errors import LogBroken
from security.gate import judge
from security.keys import PublicKey, UnsafeLocalKeys
from security.log import read
from security.registry import GATES
from security.verdict import Observation, Outcome
from security.verify import Trust, verify
from tasks import process, service
from tasks.home import Home
from tests.security.engines.test_git import commit, git, key
from tests.security.test_verify import chained
from tests.small import WINDOW, small
from tests.tasks.checkouts import signers

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
HERE = Path(__file__).parent.parent.parent
CODE, SECRETS = "code_integrity_check", "secrets_scanning"
RUN = """
import json, os, sys
sys.path[:] = [os.getcwd(), *(each for each in sys.path if each and os.path.realpath(each) != sys.argv[1])]
from flows.shell import once
from tasks.run import Quiet
state, run = once(Quiet(), **json.loads(sys.argv[2]))
print(json.dumps({"name": state.name, "message": state.message, "run": run.plan.run if run else ""}))
"""


@dataclass
class Reviewed:
    """A signed checkout, and the names of a document and a policy that wants it signed."""

    home: Home
    root: Path
    asked: dict[str, Any]

    def ran(self) -> dict[str, str]:
        """One run from it: its state, and its id."""
        command = [sys.executable, "-c", RUN, str(HERE), json.dumps(self.asked)]
        env = {**os.environ, "PYTHONPATH": ""}
        ended = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr[-3000:]
        told: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
        return told

    def trust(self) -> Trust:
        """What a verifier brings along."""
        policy = load.text(load.find(self.asked["policy"], "policies"))
        public = UnsafeLocalKeys(self.home.root / "keys").public("producer")
        owner = PublicKey.read(self.home.root / "trust" / "owner.pub")
        return Trust(public, load.policy(policy), load.sha256(policy), load.matrix(), GATES, owner)


@pytest.fixture(scope="module")
def reviewed(home: Home, prefect: str, tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """The packages of this checkout as they lie here, in one commit that Lisa signed."""
    folder = tmp_path_factory.mktemp("reviewed")
    root = folder / "sluice"
    for package in ("configs", "deployments", "flows", "security", "tasks"):
        shutil.copytree(HERE / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    locks = ("requirements.lock", "requirements-dev.lock", "requirements-serving.lock", "tools.lock")
    for name in ("pyproject.toml", *locks):
        shutil.copy(HERE / name, root / name)
    git(root, "init", "-q", "-b", "main")
    commit(root, "all", key(folder, "lisa"))
    limits = load.text(load.find("local", "policies"))["gates"][CODE]["limits"]
    told = limits | {"signers": signers(folder / "lisa"), "tree": "signed", "besides": []}
    document, policy = small(name="reviewed", terms={CODE: {"limits": told}, SECRETS: {}})
    path = load.find(policy, "policies")
    path.write_text(json.dumps(load.text(path) | {"unsigned": "refuse"}))
    plan.sign(policy, home)
    return Reviewed(home, root, {"document": document, "policy": policy, "window": WINDOW})


@pytest.fixture(scope="module")
def run(reviewed: Reviewed) -> Iterator[str]:
    """A run from the checkout as it was signed."""
    told = reviewed.ran()
    assert told["name"] == "Completed", told["message"]
    yield told["run"]
    process.stop(reviewed.home.root / "service" / told["run"] / "process.json")


def test_all_that_runs_is_what_was_signed(reviewed: Reviewed, run: str) -> None:
    proof = verify(reviewed.home.evidence(run) / "log.jsonl", reviewed.trust())
    held = [each for each in proof.held if each.verdict.gate == CODE]
    assert [each.stage for each in held] == ["train", "train", "evaluate", "deploy"]
    head = git(reviewed.root, "rev-parse", "HEAD")
    for each in held:
        assert each.verdict.outcome is Outcome.PASS, each.verdict.reason
        assert each.seen.subject.sha256 == proof.plan.source == hashlib.sha256(head.encode()).hexdigest()
        assert each.seen.facts["head"] == head
        found = each.seen.facts["imported"]
        assert found["modules"] > 1000
        assert {one["origin"] for one in found["foreign"]} == {"made"}
        assert found["shadows"] == []
    model, features = (proof.available[stage].sha256 for stage in ("train", "features"))
    assert [each.seen.subject.of for each in held] == [features, model, model, model]


def test_the_service_is_of_this_checkout_too(reviewed: Reviewed, run: str) -> None:
    """What a process imports that is started as it was."""
    record = json.loads((reviewed.home.root / "service" / run / "process.json").read_text())
    env, argv = (
        [each.decode() for each in Path(f"/proc/{record['pid']}/{name}").read_bytes().split(b"\0")[:-1]]
        for name in ("environ", "cmdline")
    )
    where = "import deployments.serving, security; print(deployments.serving.__file__, security.__file__)"
    code = service.BEGIN.replace('runpy.run_module("deployments.serving", run_name="__main__", alter_sys=True)', where)
    argv[argv.index(service.BEGIN)] = code
    told = dict(each.split("=", 1) for each in env)
    ended = subprocess.run(argv, env=told, cwd="/", capture_output=True, text=True, timeout=60)
    found = [Path(each) for each in ended.stdout.split()]
    assert found == [reviewed.root / "deployments/serving/__init__.py", reviewed.root / "security/__init__.py"]


def test_secrets_were_looked_for_in_all_of_it_and_in_its_history(reviewed: Reviewed, run: str) -> None:
    proof = verify(reviewed.home.evidence(run) / "log.jsonl", reviewed.trust())
    (held,) = [each for each in proof.held if each.verdict.gate == SECRETS]
    assert held.verdict.outcome is Outcome.PASS, held.verdict.reason
    counts, files = held.seen.facts["counts"], len(git(reviewed.root, "ls-files").splitlines())
    assert counts["file"] >= files > 200
    assert held.seen.coverage.inspected == held.seen.coverage.expected == sum(counts.values())
    assert held.seen.facts["found"] == []


def test_a_look_at_other_code_is_none_at_the_plans(reviewed: Reviewed, run: str, tmp_path: Path) -> None:
    """Even where whoever holds the producer's key has it judged and signed anew."""
    trust = reviewed.trust()
    log = Path(shutil.copy(reviewed.home.evidence(run) / "log.jsonl", tmp_path / "log.jsonl"))
    terms = verify(log, trust).plan.terms["train"]["fit"][CODE]

    def swapped(statements: list[dict[str, Any]]) -> None:
        told = next(each["predicate"] for each in statements if each["predicate"].get("gate") == CODE)
        told["observation"]["subject"]["sha256"] = "1" * 64
        seen = Observation.model_validate(told["observation"])
        told["verdict"] = judge(GATES[CODE], seen, terms.limits).model_dump(mode="json")

    chained(log, trust.key, UnsafeLocalKeys(reviewed.home.root / "keys").signer("producer"), swapped)
    with pytest.raises(LogBroken, match=f"train/fit: {CODE}: looked at another code than the plan's"):
        verify(log, trust)


def test_code_that_nobody_signed_trains_nothing(reviewed: Reviewed, run: str) -> None:
    """One letter more in a comment of what trains."""
    path = reviewed.root / "tasks" / "train.py"
    kept = path.read_bytes()
    path.write_bytes(kept + b"# more\n")
    try:
        told = reviewed.ran()
    finally:
        path.write_bytes(kept)
    assert told["name"] == "SecurityGateFailed"
    assert f"[{CODE}] fail: CODE-01 tasks/train.py: " in told["message"]
    assert "CODE-17 tasks.train: tasks/train.py is not as it was signed" in told["message"]
    statements, _ = read(reviewed.home.evidence(told["run"]) / "log.jsonl", reviewed.trust().key)
    assert "model" not in {each["predicate"].get("output", {}).get("kind") for each in statements}
