"""What opens a lock for its gate: every line and package is counted by somebody else than who reads them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.advisories import update
from security.advisories.export import source
from security.errors import BadInput, CannotTell
from security.gate import judge, observe
from security.gates.dependencies import DependencyScanning, bill, environment, lines
from security.gates.dependencies.facts import Bill
from security.gates.dependencies.match import FORGET_ME_NOT
from security.verdict import Outcome
from tasks import lock
from tasks.home import Home
from tests.security.advisories.exports import behind, export, told
from tests.security.advisories.service import living
from tests.security.advisories.test_live import EVERYBODY
from tests.security.engines.test_index import Index

ROOT = Path(__file__).parent.parent.parent
HASH = f"--hash=sha256:{'a' * 64}"
LIMITS: dict[str, Any] = {
    "allowed": "UnsafeAnyName",
    "licences": "UnsafeAnyLicence",
    "installed": False,
    "index": False,
    "bill": False,
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "some.lock"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def kinds(home: Home, path: Path, limits: dict[str, Any] = LIMITS) -> dict[str, Any]:
    return {item.kind: item.value for item in lock.opened(home, path, limits).source()}


@pytest.fixture(autouse=True)
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index is named."""
    for name in lock.INDEX:
        monkeypatch.delenv(name, raising=False)


def test_without_advisories_the_gate_is_given_none(home: Home, tmp_path: Path) -> None:
    path = written(tmp_path, f"a==1.0 {HASH}\n")
    told_ = kinds(home, path)
    assert (told_["advisories"], told_["environment"], told_["listings"]) == (
        None,
        False,
        "the policy does not ask",
    )
    seen = observe(DependencyScanning(), lock.opened(home, path, LIMITS), LIMITS)
    verdict = judge(DependencyScanning(), seen, LIMITS)
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "advisories"), verdict.reason


def test_damaged_advisories_open_nothing(home: Home, tmp_path: Path) -> None:
    path = home.folder("advisories") / "pypi.jsonl"
    update.update(path, source(str(export(tmp_path / "e", told("A-1")))))
    assert kinds(home, written(tmp_path, "a\n"))["advisories"].head.count == 1
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CannotTell, match="fetch them anew"):
        lock.opened(home, written(tmp_path, "a\n"), LIMITS)


def test_the_environment_that_runs_is_handed_out_whole(home: Home) -> None:
    limits = LIMITS | {"installed": True}
    made = lock.opened(home, ROOT / "requirements-dev.lock", limits)
    items = list(made.source())
    dists = [item.value for item in items if item.kind == "dist"]
    assert dists == environment.installed(environment.paths())
    assert made.expected == sum(map(made.weigh, items)) > 500


def test_a_live_service_is_asked_about_every_pin_and_every_installed_package(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = written(tmp_path, f"alpha==1.0 {HASH}\nbeta==2.0 ; sys_platform == 'win32' {HASH}\n?\n"), list[Any]()
    limits = LIMITS | {"service": "live", "installed": True}
    monkeypatch.delenv("SLUICE_OSV", raising=False)
    found = kinds(home, path, limits)
    assert (found["advisories"], found["service"]) == (None, "SLUICE_OSV names no live service")
    with living(*EVERYBODY, asked=asked) as service:
        monkeypatch.setenv("SLUICE_OSV", service)
        found = kinds(home, path, limits)
    here = {(dist.name, dist.version) for dist in environment.installed(environment.paths())}
    wanted = {("alpha", "1.0"), ("beta", "2.0"), *here, *((name, at) for name, at, _ in FORGET_ME_NOT)}
    assert {(each["package"]["name"], each["version"]) for each in asked if "version" in each} == wanted
    assert found["service"] == ""
    assert found["advisories"].answers.keys() == wanted
    assert kinds(home, path)["service"] == ""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with behind(Index) as made:
        yield f"{made}/simple"


def test_the_index_is_asked_about_every_pin(
    home: Home, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_INDEX", url)
    path = written(tmp_path, f"good==1.0 {HASH}\nnobody==2.0 {HASH}\n?\n")
    found = kinds(home, path, LIMITS | {"index": True})["listings"]
    assert [(each.name, each.version, each.known) for each in found] == [
        ("good", "1.0", True),
        ("nobody", "2.0", False),
    ]
    assert kinds(home, path)["listings"] == "the policy does not ask"
    monkeypatch.delenv("SLUICE_INDEX")
    assert kinds(home, path, LIMITS | {"index": True})["listings"] == "SLUICE_INDEX names no index"


def test_of_one_that_gives_no_answer_it_is_told_why(
    home: Home, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", url)
    path = written(tmp_path, f"good==1.0 {HASH}\nbusy==2.0 {HASH}\n")
    limits = LIMITS | {"index": True}
    first, second = kinds(home, path, limits)["listings"]
    assert (first.name, "busy: answered 503" in second, kinds(home, path, limits)["index"]) == ("good", True, url)
    told_ = judge(DependencyScanning(), observe(DependencyScanning(), lock.opened(home, path, limits), limits), limits)
    assert "busy: answered 503" in told_.reason


def test_the_bill_of_materials_that_is_looked_at_is_the_one_that_was_written(home: Home, tmp_path: Path) -> None:
    limits = LIMITS | {"bill": True, "installed": True}
    items = lock.opened(home, ROOT / "requirements.lock", limits, root="all", out=tmp_path / "b.json").source()
    (body,) = (item.value for item in items if item.kind == "bill")
    assert (tmp_path / "b.json").read_bytes() == body
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]
    assert bill.seen(body, {(dist.name, dist.version) for dist in environment.installed(environment.paths())}) == (
        Bill(
            sha256=hashlib.sha256(body).hexdigest(),
            read=True,
            listed=len(environment.installed(environment.paths())),
            missing=(),
            strange=(),
        )
    )


def test_a_bill_of_materials_is_no_folder_and_never_the_lock(home: Home, tmp_path: Path) -> None:
    path = written(tmp_path, f"a==1.0 {HASH}\n")
    for wrong in (path, tmp_path, Path("/"), tmp_path / "none" / "b.json"):
        with pytest.raises(BadInput, match=r"allowed: (a file of its own|a folder that can be written to)"):
            lock.opened(home, path, LIMITS | {"bill": True}, out=wrong)
    assert [each.name for each in tmp_path.iterdir()] == ["some.lock"]
    assert path.read_text() == f"a==1.0 {HASH}\n"


def test_an_archive_that_python_imports_from_is_an_error(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "evil.zip"
    archive.write_bytes(b"")
    monkeypatch.syspath_prepend(str(archive))
    with pytest.raises(
        BadInput, match=r"sys\.path, evil\.zip: found a file that Python imports from; allowed: folders"
    ):
        lock.opened(home, written(tmp_path, f"a==1.0 {HASH}\n"), LIMITS | {"installed": True})


def test_locks_beside_it_are_handed_out_by_their_names(home: Home, tmp_path: Path) -> None:
    path = written(tmp_path, f"a==1.0 {HASH}\n")
    (tmp_path / "more.lock").write_text(f"b==1.0 {HASH}\n")
    (tmp_path / "part.lock").write_text(f"a==1.0 {HASH}\n")
    limits = LIMITS | {"also": ["more.lock", "none.lock"], "within": ["part.lock"]}
    made = lock.opened(home, path, limits, "f" * 64)
    assert [item.value for item in made.source() if item.kind == "also"] == [("more.lock", f"b==1.0 {HASH}\n")]
    assert [item.value for item in made.source() if item.kind == "part"] == [("part.lock", f"a==1.0 {HASH}\n")]
    assert (made.expected, made.subject.of) == (2, "f" * 64), "a line of the lock, and one of its part"


@pytest.mark.parametrize("text", [b"a==1.0 \xff\n", b"\x00\xfe"])
def test_what_is_no_text_is_an_error_with_its_place(home: Home, tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadInput, match=r"some\.lock, byte \d+: found no UTF-8"):
        lock.opened(home, written(tmp_path, text), LIMITS)


def test_what_is_not_there_or_too_long_is_an_error(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="FileNotFoundError"):
        lock.opened(home, tmp_path / "none.lock", LIMITS)
    monkeypatch.setattr(lock, "LONGEST", 3)
    with pytest.raises(BadInput, match="found 4 bytes; allowed: at most 3"):
        lock.opened(home, written(tmp_path, "a==1"), LIMITS)


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-dev.lock", "requirements-serving.lock", "tools.lock"]
)
def test_both_counts_agree_on_real_locks(name: str) -> None:
    text = (ROOT / name).read_text()
    assert lock.counted(text) == len(list(lines(text))) > 0


PARTS = ["a==1.0", "# x", "", "  ", "b==2 # y", "c \\\n  --hash=x", "d \\\n \\\n e"]


@given(st.lists(st.sampled_from(PARTS), max_size=8), st.sampled_from(["", "\ufeff"]))
def test_both_counts_agree(parts: list[str], mark: str) -> None:
    text = mark + "\n".join(parts)
    assert lock.counted(text) == len(list(lines(text)))


def test_a_comment_amid_a_line_is_where_they_part_and_the_look_is_not_whole(home: Home, tmp_path: Path) -> None:
    path = written(tmp_path, f"a==1.0 {HASH} \\\n# x\nb==1.0 {HASH}\nc==1.0 \\\n# {HASH} \\\nd==1.0 {HASH}\n")
    made = lock.opened(home, path, LIMITS)
    assert made.expected != sum(map(made.weigh, made.source()))
