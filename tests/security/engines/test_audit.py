"""pip-audit as an engine: its report, or a reason why there is none."""

import json
import os
import signal
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from security.advisories import mirror, update
from security.advisories.export import source
from security.advisories.server import serving
from security.engines import audit
from security.engines.audit import Audited, Known
from security.errors import CannotTell
from tests.security.advisories.exports import behind, export, told

HASH = f"--hash=sha256:{'a' * 64}"
BAD, FIXED, OTHER = f"jinja2==1.0 {HASH}\n", f"jinja2==2.0 {HASH}\n", f"never-heard-of==1.0 {HASH}\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service over two advisories, of which one was withdrawn."""
    folder = tmp_path_factory.mktemp("e")
    every = told("A-1", name="Jinja2", aliases=["CVE-1"]), told("A-2", withdrawn="2024-01-05T00:00:00Z")
    update.update(folder / "pypi.jsonl", source(str(export(folder / "e", *every))))
    with serving(mirror.load(folder / "pypi.jsonl")) as made:
        yield made


def test_it_reports_what_is_known_of_each_package(url: str) -> None:
    found = audit.audit(BAD + OTHER, url)
    known = Known(ids=("A-1", "CVE-1"), fixes=("2.0",))
    assert sorted(found.audited, key=lambda each: each.name) == [
        Audited(name="jinja2", version="1.0", known=(known,)),
        Audited(name="never-heard-of", version="1.0", known=()),
    ]
    assert found.skipped == {}
    assert audit.audit(FIXED, url).audited == (Audited(name="jinja2", version="2.0", known=()),)


def test_the_environment_does_not_change_what_it_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    audit._worker().stop()
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "pypi")
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:9/v1/query")
    monkeypatch.setenv("PIP_AUDIT_IGNORE_VULN", "A-1")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert audit.audit(BAD, url).audited[0].known
    process = audit._worker().process
    assert process is not None
    given = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert {each.partition(b"=")[0] for each in given if each} == {b"PATH", b"HOME", b"LANG"}


def test_modules_of_the_working_folder_are_not_taken_for_it(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    audit._worker().stop()
    for name in ("pip_audit", "requests", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(0)\n")
    monkeypatch.chdir(tmp_path)
    assert audit.audit(BAD, url).audited[0].known


def test_a_service_that_is_down_is_no_report() -> None:
    with behind(BaseHTTPRequestHandler) as gone:
        pass
    with pytest.raises(CannotTell, match="no report about its service \\(ConnectionError") as why:
        audit.audit(BAD, f"{gone}/v1/query")
    assert why.value.cause == audit.CAUSE


class Answers(BaseHTTPRequestHandler):
    """Answers as the path says."""

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        name = json.loads(self.rfile.read(size))["package"]["name"]
        body = {
            "/half": b'{"vulns": [{"id": "A-1", "aff',
            "/none": b"",
            "/word": b'"fine"',
            "/lost": b'{"vulnerabilities": []}',
            "/slow": b"{}",
        }.get(self.path, b"{}")
        if self.path == "/slow":
            time.sleep(5)
        status = 503 if self.path == "/busy" and name == "never-heard-of" else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (self.path == "/cut")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("path", ["half", "none", "word", "lost", "busy", "cut"])
def test_half_an_answer_is_no_report(path: str) -> None:
    with behind(Answers) as url, pytest.raises(CannotTell, match="no report about its service") as why:
        audit.audit(BAD + OTHER, f"{url}/{path}")
    assert why.value.cause == audit.CAUSE


def test_one_that_hangs_is_given_up_and_the_next_question_is_answered(url: str) -> None:
    with behind(Answers) as slow:
        began = time.monotonic()
        with pytest.raises(CannotTell, match="still looking") as why:
            audit.audit(BAD, f"{slow}/slow", seconds=1.0)
        assert time.monotonic() - began < 5
    assert why.value.cause == "timeout"
    assert audit.audit(BAD, url).audited[0].known


@pytest.mark.parametrize("lock", ["jinja2\n", "jinja2==1.0\n", "!!!\n"])
def test_a_lock_that_it_does_not_take_is_no_report(url: str, lock: str) -> None:
    with pytest.raises(CannotTell, match="no report"):
        audit.audit(lock, url)


def test_what_it_skips_is_told(url: str) -> None:
    found = audit.audit(f"https://example.org/a-1.0-py3-none-any.whl {HASH}\n" + BAD, url)
    assert [each.name for each in found.audited] == ["jinja2"]
    assert list(found.skipped.values()) == ["URL requirements cannot be pinned to a specific package version"]


@pytest.mark.parametrize(
    "report", ["[]", "{", '{"dependencies": [{"version": "1"}]}', '{"dependencies": [{"name": 7}]}']
)
def test_a_report_of_another_form_is_none(report: str) -> None:
    with pytest.raises(CannotTell, match="pip-audit's report, ") as why:
        audit._read(report.encode())
    assert why.value.cause == audit.CAUSE


def test_a_package_without_a_word_on_it_was_not_looked_up() -> None:
    found = audit._read(
        b'{"dependencies": [{"name": "a", "version": "1"}, {"name": "b", "version": "1", "vulns": []}]}'
    )
    assert [each.name for each in found.audited] == ["b"]
    assert [*found.skipped] == ["a"]


def test_a_fork_has_a_process_of_its_own_and_leaves_that_of_the_first(url: str) -> None:
    audit.audit(BAD, url)
    worker = audit._worker()
    assert worker.process is not None
    with worker.lock:
        child = os.fork()
        if not child:
            code = 1
            try:
                worker.stop()
                code = 0 if audit.audit(BAD, url).audited[0].known else 2
                audit._worker().stop()
            finally:
                os._exit(code)
    until = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        time.sleep(0.05)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)
    assert worker.process.poll() is None


def test_its_process_is_one_and_ends_with_what_it_forked(url: str) -> None:
    audit.audit(BAD, url)
    worker = audit._worker()
    assert worker.process is not None
    pid = worker.process.pid
    audit.audit(BAD, url)
    assert worker.process.pid == pid
    worker.stop()
    assert not os.path.exists(f"/proc/{pid}")
