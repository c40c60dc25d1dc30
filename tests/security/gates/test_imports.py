"""What a process imported: by the files that were signed, the standard library, and what packages were installed as."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from security.gates.code import Entry, Loaded, environment
from security.gates.code.facts import Foreign, Shadow
from security.gates.code.loaded import LARGEST, imported
from tests.security.engines.test_git import commit, git, key
from tests.tasks.checkouts import limits, made, root, signers

__all__ = ["limits", "made", "root"]
real = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
HERE = Path(__file__).parent.parent.parent.parent
SCRIPT = """
import json, sys
from pathlib import Path
root, limits, names = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
for name in names:
    __import__(name)
from security.gate import judge, observe
from security.gates.code import CodeIntegrity
from tasks import tree
gate = CodeIntegrity()
told = judge(gate, observe(gate, tree.opened(root, limits), limits), limits)
print(json.dumps([told.outcome, told.reason, [[each.rule, each.place, each.message] for each in told.findings]]))
"""


def ran(root: Path, limits: dict[str, Any], *names: str, path: tuple[Path, ...]) -> Any:
    """The verdict of a process that imported these modules, and held them against this checkout."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, path))}
    argv = [sys.executable, "-c", SCRIPT, str(root), json.dumps(limits), *names]
    ended = subprocess.run(argv, env=env, cwd=root, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


def packed(site: Path, name: str, **files: str) -> None:
    """A package that was installed, with its record."""
    rows = []
    for path, text in files.items():
        (site / f"{path}.py").write_text(text)
        sha = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        rows.append(f"{path}.py,sha256={sha},{len(text)}\n")
    (site / f"{name}-1.0.dist-info").mkdir()
    (site / f"{name}-1.0.dist-info" / "RECORD").write_text("".join(rows) + f"{name}-1.0.dist-info/RECORD,,\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site-packages"
    site.mkdir()
    packed(site, "good", good="x = 1\n", bad="x = 1\n")
    return site


@pytest.mark.usefixtures("made")
class TestOfAProcess:
    pytestmark = real

    def test_what_it_imported_is_told_where_it_is_from_elsewhere(
        self, root: Path, limits: dict[str, Any], site: Path, tmp_path: Path
    ) -> None:
        (site / "bad.py").write_text("x = 2\n")
        (site / "loose.py").write_text("x = 1\n")
        (site / "evil.pth").write_text("import sys; sys.stowed = 1\n")
        (site / "plain.pth").write_text("# a place\nelsewhere\n")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "foreign.py").write_text("x = 1\n")
        (elsewhere / "good.py").write_text("x = 3\n")
        (elsewhere / "colorsys.py").write_text("x = 1\n")
        (root / ".git" / "hidden.py").write_text("x = 1\n")
        path = (HERE, site, elsewhere, root / ".git")
        names = ("pkg.code", "good", "bad", "loose", "foreign", "hidden", "colorsys")
        outcome, _, found = ran(root, limits | {"imported": True}, *names, path=path)
        assert outcome == "fail"
        told = {place: (rule, message) for rule, place, message in found if place in {*names, "evil.pth", "plain.pth"}}
        assert {place: rule for place, (rule, _) in told.items()} == {
            "bad": "CODE-15",
            "loose": "CODE-15",
            "foreign": "CODE-15",
            "hidden": "CODE-15",
            "colorsys": "CODE-15",
            "good": "CODE-13",
            "evil.pth": "CODE-14",
        }
        assert "site-packages/bad.py is not as it was recorded" in told["bad"][1]
        assert "site-packages/loose.py is in no package's record" in told["loose"][1]
        assert "found in site-packages, elsewhere" in told["good"][1]
        assert ("CODE-13", "colorsys") in {(rule, place) for rule, place, _ in found}
        assert not [message for *_, message in found if str(tmp_path) in message]

    def test_of_a_work_tree_only_what_lies_in_it_is_let_go(
        self, root: Path, limits: dict[str, Any], tmp_path: Path
    ) -> None:
        """Not what a link leads to, what lies in git's own folder or in one that is left out, nor what a record in the
        checkout says of a file elsewhere."""
        elsewhere = tmp_path / "elsewhere"
        for folder in (elsewhere, root / ".venv", root / "z-1.dist-info"):
            folder.mkdir()
        for path in (elsewhere / "real.py", elsewhere / "recorded.py", root / ".venv" / "left.py"):
            path.write_text("x = 1\n")
        (root / ".git" / "hidden.py").write_text("x = 1\n")
        (root / "linked.py").symlink_to(elsewhere / "real.py")
        sha = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).decode().rstrip("=")
        (root / "z-1.dist-info" / "RECORD").write_text(f"../elsewhere/recorded.py,sha256={sha},6\n")
        (root / "pkg" / "code.py").write_text("x = 2\n")
        path = (HERE, root, root / ".venv", root / ".git", elsewhere)
        names = ("linked", "left", "hidden", "recorded", "pkg.code")
        told = limits | {"imported": True, "tree": "UnsafeWorkTree", "besides": [".venv"]}
        _, _, found = ran(root, told, *names, path=path)
        assert {place: rule for rule, place, _ in found if place in names} == dict.fromkeys(names[:4], "CODE-15")

    def test_a_checkout_that_runs_the_gate_over_itself_passes(self, tmp_path: Path) -> None:
        """All that it imports, and the bytecode that Python wrote meanwhile, is held against its own commit."""
        root = tmp_path / "sluice"
        for package in ("configs", "security", "tasks"):
            shutil.copytree(HERE / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        git(root, "init", "-q", "-b", "main")
        commit(root, "all", key(tmp_path, "mine"))
        made = ["__main__", "typing.*", "_openssl*", "_cython*", "cython_runtime", "pyexpat.*", "xml.*", "six.*"]
        limits = {"signers": signers(tmp_path / "mine"), "made": made}
        outcome, reason, found = ran(root, limits, path=(root,))
        assert outcome == "pass", found
        assert " modules" in reason
        changed = root / "tasks" / "tree.py"
        changed.write_text(f"{changed.read_text()}# more\n")
        _, _, found = ran(root, limits, path=(root,))
        assert {(rule, place) for rule, place, _ in found} >= {("CODE-01", "tasks/tree.py"), ("CODE-17", "tasks.tree")}


def read(data: bytes) -> Callable[[], Any]:
    return lambda: iter((data,))


SHA = hashlib.sha256(b"x").hexdigest()


def one(origin: Any, place: str = "a.py", sha: str = "", data: bytes = b"x") -> Loaded:
    return Loaded("a", origin, place, sha, read(data))


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        (one("standard"), ""),
        (one("tree"), ""),
        (one("package", sha=SHA), ""),
        (one("tree", "b.py"), "b.py is not as it was signed, or not signed"),
        (one("package", sha=SHA, data=b"y"), "a.py is not as it was recorded"),
        (one("package"), "a.py is in no package's record with its hash"),
        (one("made"), "it has no file"),
        (one("elsewhere"), "it is from elsewhere: a.py"),
    ],
)
def test_a_module_is_known_or_it_is_told(module: Loaded, fault: str) -> None:
    found = imported([module], [], [], {"a.py"})
    assert found.modules == 1
    assert [each.fault for each in found.foreign] == [fault] * bool(fault)


def test_a_module_of_an_origin_that_nobody_knows_is_none() -> None:
    with pytest.raises(ValidationError, match="origin"):
        imported([one("of a kind that nobody knows")], [], [], {"a.py"})


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        (b"import os\n", True),
        (b"import\tos\n", True),
        (b"a\nimport os; evil()", True),
        (b"\xef\xbb\xbfimport os\n", True),
        (b"a\rimport os", True),
        (b"a" * LARGEST + b"a", True),
        (b"", False),
        (b"# import os\n/some/where\nimportant\n", False),
    ],
)
def test_a_path_file_that_acts_is_its_packages_or_it_is_told(text: bytes, acts: bool) -> None:
    foreign = Foreign(name="a", kind="pth", origin="elsewhere", fault="it is from elsewhere: a.py")
    assert imported([], [one("elsewhere", data=text)], [], set()).foreign == (foreign,) * acts
    sha = hashlib.sha256(text).hexdigest()
    assert imported([], [one("package", sha=sha, data=text)], [], set()).foreign == ()


def test_names_in_two_places_are_told_in_their_order() -> None:
    library = Entry("the standard library", ("json", "re"), True)
    entries = [Entry("here", ("a", "b"), False), library, Entry("site", ("b", "json", "c"), False)]
    assert imported([], [], entries, set()).shadows == (
        Shadow(name="b", places=("here", "site")),
        Shadow(name="json", places=("the standard library", "site")),
    )
    assert imported([], [], [Entry("site", ("re",), False)], set()).shadows[0].places == (
        "site",
        "the standard library",
    )
    assert imported([], [], [Entry("a.zip", ("*",), False)], set()).shadows == (Shadow(name="*", places=("a.zip",)),)


def test_the_names_of_a_folder_are_what_it_hides(tmp_path: Path) -> None:
    for name in ("a.py", "b.abi3.so", "c.pyc", "d.txt", "e-f.py", "2.py", "h.pth"):
        (tmp_path / name).write_text("")
    for name in ("full", "bare", "made"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "__init__.py").write_text("")
    (tmp_path / "made" / "__init__.pyc").write_text("")
    assert environment.names(tmp_path) == ["a", "b", "c", "full", "made"]
    assert environment.names(tmp_path / "a.py") == ["*"]


def test_what_packages_recorded_is_by_file_and_what_two_claim_is_nobodys(site: Path) -> None:
    sha = hashlib.sha256(b"x = 1\n").hexdigest()
    assert environment.recorded([site]) == {str(site / "good.py"): sha, str(site / "bad.py"): sha}
    packed(site, "other", good="x = 2\n")
    (site / "more-1.0.dist-info").mkdir()
    (site / "more-1.0.dist-info" / "RECORD").write_text("../bin/more,sha256=AA,1\nmore.py,md5=AA,1\n\nmore,\n")
    found = environment.recorded([site])
    assert (found[str(site / "good.py")], found[str(site / "bad.py")]) == ("", sha)
    assert str(site.parent / "bin" / "more") not in found
    assert str(site / "more.py") not in found


def test_a_record_that_is_written_again_is_read_again(site: Path) -> None:
    (record,) = site.glob("*.dist-info/RECORD")
    is_, before = record.stat(), environment.recorded([site])
    told = record.read_text()
    record.write_text(told.replace("sha256=" + told.partition("sha256=")[2][:4], "sha256=AAAA"))
    os.utime(record, ns=(is_.st_atime_ns, is_.st_mtime_ns))
    assert record.stat().st_size == is_.st_size
    after = environment.recorded([site])
    assert set(after) == set(before)
    assert any(sha.startswith("000000") for sha in after.values())


def test_a_module_without_a_file_is_told_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "from_nowhere", ModuleType("from_nowhere"))
    monkeypatch.setitem(sys.modules, "blocked", None)
    told = {item.value.name: item.value for item in environment.items(tmp_path) if item.kind == "loaded"}
    assert told["from_nowhere"].origin == "made"
    assert "blocked" not in told
    assert (told["sys"].origin, told["json"].origin, told["pytest"].origin) == ("standard", "standard", "package")
    assert told["security.gate"].origin == "elsewhere"


def test_what_runs_before_all_else_is_told_though_nothing_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text("import sys; sys.modules.pop(__name__)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "pycache_prefix", "/somewhere/cached")
    told = [item.value for item in environment.items(tmp_path / "checkout") if item.kind == "loaded"]
    found = {(each.name, each.origin, each.place) for each in told}
    assert found >= {
        ("sitecustomize", "elsewhere", "sitecustomize.py"),
        ("usercustomize", "elsewhere", "usercustomize.py"),
        ("sys.pycache_prefix", "elsewhere", "cached"),
    }


def test_a_file_is_from_where_it_lies(tmp_path: Path) -> None:
    library, root = environment.standard(), tmp_path.resolve()
    first, record = library[0], {str(root / "site-packages" / "a.py"): SHA, str(root / "bin" / "tool"): SHA}
    for path, origin, sha in (
        (first / "json" / "__init__.py", "standard", ""),
        (first / "lib-dynload" / "x.so", "standard", ""),
        (first / "site-packages" / "x.py", "package", ""),
        (first / "dist-packages" / "x.py", "package", ""),
        (root / "site-packages" / "a.py", "package", SHA),
        (root / "site-packages" / "b.py", "package", ""),
        (root / "dist-packages" / "b.py", "package", ""),
        (root / "bin" / "tool", "package", SHA),
        (root / "pkg" / "x.py", "tree", ""),
        (root.parent / "x.py", "elsewhere", ""),
    ):
        told = environment.known("x", path, root=root, library=library, records=record)
        assert (told.origin, told.sha256) == (origin, sha), path
        assert str(root) not in told.place


def test_what_goes_away_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(environment.CannotTell, match=r"gone\.py: FileNotFoundError"):
        list(environment.read(tmp_path / "gone.py"))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a file away")
def test_a_link_in_the_standard_library_is_of_it_only_where_nobody_else_may_change_what_it_leads_to(
    tmp_path: Path,
) -> None:
    with tempfile.TemporaryDirectory(dir=Path.home()) as name:
        folder = Path(name).resolve()
        library, target = folder / "lib", folder / "etc" / "sitecustomize.py"
        for each in (library, target.parent):
            each.mkdir(mode=0o755)
        target.write_text("x = 1\n")
        link = library / "sitecustomize.py"
        link.symlink_to(target)

        def origin() -> str:
            return environment.known("sitecustomize", link, root=folder / "tree", library=[library], records={}).origin

        assert origin() == "standard"
        target.chmod(0o666)
        assert origin() == "elsewhere"
        target.chmod(0o644)
        target.parent.chmod(0o777)
        assert origin() == "elsewhere"
        target.parent.chmod(0o755)
        os.chown(target, 64_103, -1)
        assert origin() == "elsewhere"
        target.unlink()
        assert origin() == "elsewhere"
        link.unlink()
        (tmp_path / "sitecustomize.py").write_text("x = 1\n")
        link.symlink_to(tmp_path / "sitecustomize.py")
        assert origin() == "elsewhere", "a folder where everybody may put something"
