"""A run whose packages are looked at in full: advisories that are new, an index that knows every file of the lock."""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from configs import load
from flows.audit import audit
from flows.shell import once
from security.advisories import mirror, update
from security.advisories.export import source
from security.engines.index import FORM
from security.errors import LogBroken
from security.gate import judge
from security.gates.dependencies import Pin, lines, read
from security.gates.dependencies.match import FORGET_ME_NOT
from security.verdict import Observation, Outcome
from security.verify import verify
from tasks import lock, process
from tasks.home import Home
from tasks.run import Quiet, Run
from tests.security.advisories.exports import against, behind, export
from tests.security.test_verify import chained
from tests.small import WINDOW, small

NAME = "dependency_scanning"


class Knowing(BaseHTTPRequestHandler):
    """An index that knows what the pipeline's lock pins, and nothing else."""

    pins = [pin for pin in map(read, lines(lock.PIPELINE.read_text())) if isinstance(pin, Pin)]

    def do_GET(self) -> None:
        name = self.path.strip("/").rpartition("/")[2]
        every = ["0" * 64] if name == "pip" else []
        every += [sha for pin in self.pins if pin.name == name for sha in pin.hashes]
        files = [{"filename": sha, "url": sha, "hashes": {"sha256": sha}} for sha in every]
        body = json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": files}).encode()
        self.send_response(200 if every else 404)
        self.send_header("Content-Type", FORM)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def whole(home: Home, prefect: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Such a run, under terms that let nothing go."""
    limits = load.text(load.find("local", "policies"))["gates"][NAME]["limits"]
    document, policy = small(name="packages", terms={NAME: {"limits": limits}})
    folder, now = tmp_path_factory.mktemp("advisories"), mirror.stamp(datetime.now(UTC))
    every = [against(*each, now) for each in FORGET_ME_NOT]
    update.update(folder / "pypi.jsonl", source(str(export(folder / "export", *every))))
    with pytest.MonkeyPatch.context() as patch, behind(Knowing) as url:
        patch.setattr(Home, "advisories", folder / "pypi.jsonl")
        patch.setenv("SLUICE_INDEX", f"{url}/simple")
        state, run = once(Quiet(), document=document, policy=policy, window=WINDOW)
    assert state.is_completed(), state.message
    assert run is not None
    yield run
    process.stop(home.root / "service" / run.plan.run / "process.json")


def test_it_passes_before_it_trains_and_before_it_serves(whole: Run) -> None:
    held = [each for each in verify(whole.log.path, whole.trust).held if each.verdict.gate == NAME]
    assert [(each.stage, each.task) for each in held] == [("train", "fit"), ("deploy", "serve")]
    for each in held:
        assert each.verdict.outcome is Outcome.PASS, each.verdict.reason
        assert "none known to be vulnerable" in each.verdict.reason
        assert (each.seen.subject.kind, each.seen.subject.sha256) == ("lock", whole.plan.lock)
        assert each.seen.coverage.inspected == each.seen.coverage.expected > 2 * len(Knowing.pins)
    assert [each.seen.subject.of for each in held] == [
        whole.published["features"].sha256,
        whole.published["model"].sha256,
    ]


def test_the_evidence_has_the_bills_of_materials_that_were_looked_at(
    whole: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And an auditor is told of another."""
    folder = Path(shutil.copytree(whole.log.path.parent, tmp_path / whole.plan.run))
    policy = str(next(Path(os.environ["SLUICE_CONFIGS"]).glob("packages_*.yaml")))
    given = (folder, whole.home.root / "trust" / "producer.pub", policy)
    assert audit(*given) == 0
    assert "bills of materials, as they were looked at: train.cdx.json, deploy.cdx.json\n" in capsys.readouterr().out
    path = folder / "deploy.cdx.json"
    path.write_bytes(path.read_bytes().replace(b'"numpy"', b'"nunpy"'))
    assert audit(*given) == 1
    assert "deploy.cdx.json: found SHA-256" in capsys.readouterr().out
    path.unlink()
    assert audit(*given) == 1
    assert "deploy.cdx.json: found none; dependency_scanning looked at" in capsys.readouterr().out


def test_what_it_saw_is_refused_under_terms_that_want_more(whole: Run) -> None:
    """Judged again from the log alone, as for another target."""
    held = next(each for each in verify(whole.log.path, whole.trust).held if each.verdict.gate == NAME)
    terms = whole.plan.terms["train"]["fit"][NAME].limits
    for more, rule in (({"allowed": ["numpy"]}, "DEP-06"), ({"also": []}, "DEP-02"), ({"licences": ["MIT"]}, "DEP-10")):
        again = judge(whole.trust.gates[NAME], held.seen, terms | more)
        assert {each.rule for each in again.findings} == {rule}


def test_a_look_at_another_lock_is_none_at_the_plans(whole: Run, tmp_path: Path) -> None:
    """Even where whoever holds the producer's key has it judged and signed anew."""
    log = Path(shutil.copy(whole.log.path, tmp_path / "log.jsonl"))
    terms = whole.plan.terms["train"]["fit"][NAME]

    def swapped(statements: list[dict[str, Any]]) -> None:
        told_ = next(each["predicate"] for each in statements if each["predicate"].get("gate") == NAME)
        told_["observation"]["subject"]["sha256"] = "1" * 64
        seen = Observation.model_validate(told_["observation"])
        told_["verdict"] = judge(whole.trust.gates[NAME], seen, terms.limits).model_dump(mode="json")

    chained(log, whole.trust.key, whole.log.signer, swapped)
    with pytest.raises(LogBroken, match="train/fit: dependency_scanning: looked at another lock than the plan's"):
        verify(log, whole.trust)
