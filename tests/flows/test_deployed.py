"""`sluice deploy` on this machine: what was decided, what the registry says of it, and what answers."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from flows import deployed
from flows.cli import main
from flows.lease import lease
from security.keys import UnsafeLocalKeys
from security.models.lease import Lease
from tasks import decision, store
from tasks.home import Home
from tasks.lease import Given, Line
from tasks.run import REFUSED

MODEL, POINTER = "a" * 64, store.pointer("local")
PLAN: Any = SimpleNamespace(document={"pipeline_name": "sample"}, target="local", policy_sha256="c" * 64)
Said = pytest.CaptureFixture[str]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def released(home: Home, url: str) -> None:
    """A run whose model was released."""
    told = {"run": "run-1", "model": MODEL, "url": url, "log": "b" * 64}
    home.evidence("run-1").mkdir(parents=True)
    signer = UnsafeLocalKeys(home.root / "keys").signer("verifier")
    with decision.kept(home, "run-1", 1, decision.sign(PLAN, "b" * 64, told, signer)):
        store.move(home, POINTER, 0, told)


def asked(capsys: Said, *words: str) -> tuple[int, Any]:
    code = main(["deploy", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_where_nothing_was_released_there_is_nothing_to_tell(home: Home, capsys: Said) -> None:
    assert asked(capsys, "status") == (0, [])
    assert asked(capsys, "diff") == (2, {"error": "nothing was ever released to local from this home"})


def test_a_model_that_nobody_entered_and_a_service_that_is_gone_are_differences(home: Home, capsys: Said) -> None:
    released(home, "http://127.0.0.1:9")
    code, (line,) = asked(capsys, "status")
    assert (code, line["run"], line["model"]) == (0, "run-1", MODEL[:12])
    assert (line["registry"], line["state"], line["serves"]) == ("was never entered", "has ended", False)
    code, lines = asked(capsys, "diff")
    assert code == 1
    assert [(each["object"], each["field"]) for each in lines] == [
        ("the registry", "production"),
        ("the registry", MODEL[:12]),
        ("the service", "model"),
    ]
    assert lines[2]["found"] == "no answer (ConnectError)"


def test_another_model_than_was_decided_on_is_told(home: Home, capsys: Said) -> None:
    class Other(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"ok": True, "model": "e" * 64}).encode())

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        released(home, f"http://127.0.0.1:{server.server_port}")
        _, lines = asked(capsys, "diff")
        server.shutdown()
    assert lines[2] == {"object": "the service", "field": "model", "wanted": MODEL[:12], "found": "e" * 40}


def test_the_way_back_on_this_machine_is_through_every_gate(home: Home, capsys: Said) -> None:
    released(home, "http://127.0.0.1:9")
    assert main(["deploy", "rollback", "--to", "run-1", "--reason", "it was better"]) == 2
    assert "goes through every gate again: sluice run --after RUN" in capsys.readouterr().err


def test_on_this_machine_there_is_no_lease(home: Home, capsys: Said) -> None:
    released(home, "http://127.0.0.1:9")
    assert asked(capsys, "lease") == (
        2, {"error": "on the target local the service asks the registry itself: there is no lease"}
    )  # fmt: skip
    state = lease.fn("sample", "local")
    assert (state.name, state.message.partition(":")[0]) == (REFUSED, "lease")


def test_none_is_given_under_a_policy_that_nobody_signed(home: Home, capsys: Said) -> None:
    named = {"document": "recommendation_engine_v2", "policy": "kubernetes_test"}
    code, told = asked(capsys, "lease", *(word for key, value in named.items() for word in (f"--{key}", value)))
    assert code == 2
    assert "policy kubernetes_test is not signed by its owner" in told["error"]
    assert "is not signed by its owner" in lease.fn(**named).message
    for document, policy in (("sample", "kubernetes_test"), ("../sample", "local"), ("sample", "nobodys")):
        assert lease.fn(document, policy).name == REFUSED


def test_what_a_schedule_renewed_is_said_and_what_was_left_out(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    released(home, "http://127.0.0.1:9")
    told = {"name": "sample", "target": "kubernetes_test", "chain": "b" * 64, "revocations": "", "entries": 4}
    found = Lease(**told, models=(MODEL,), at=1.8e9, until=1.8e9 + 3600)
    lines = [Line("run-1", "abc", MODEL, ""), Line("run-2", "def", "e" * 64, "is revoked: it leaked")]
    monkeypatch.setattr(deployed, "renewed", lambda of: Given(found, lines))
    state = lease.fn("sample", "local")
    assert state.is_completed()
    assert state.message == (
        "1 model of sample may serve at kubernetes_test until 2027-01-15T09:00:00Z; "
        "run-2, release def: is revoked: it leaked"
    )
    monkeypatch.setattr(deployed, "renewed", lambda of: Given(found.model_copy(update={"models": ("e" * 64,)}), lines))
    state = lease.fn("sample", "local")
    assert (state.is_failed(), state.name) == (True, REFUSED), "what was decided on last is not in it"
    assert state.message.startswith("lease: 1 model of sample may serve")
    assert deployed.said(Given(found.model_copy(update={"models": ()}), [])).startswith("nothing of sample may serve")


def test_a_decision_that_was_altered_is_no_decision(home: Home, capsys: Said) -> None:
    released(home, "http://127.0.0.1:9")
    path = home.evidence("run-1") / "release.dsse"
    path.write_bytes(path.read_bytes().replace(b"payload", b"paylaod"))
    assert main(["deploy", "status"]) == 2
