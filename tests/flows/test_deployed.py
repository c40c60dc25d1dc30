"""`sluice deploy` on this machine: what was decided, what the registry says of it, and what answers."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cli import main
from security.keys import UnsafeLocalKeys
from tasks import decision, store
from tasks.home import Home

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


def test_a_decision_that_was_altered_is_no_decision(home: Home, capsys: Said) -> None:
    released(home, "http://127.0.0.1:9")
    path = home.evidence("run-1") / "release.dsse"
    path.write_bytes(path.read_bytes().replace(b"payload", b"paylaod"))
    assert main(["deploy", "status"]) == 2
