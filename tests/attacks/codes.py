"""What is done to the code that a run works with, to who signed it, to what it imports, and to what lies beside it."""

import hashlib
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from security.engines import tokens
from security.gates import code
from security.gates.code import Listed
from security.gates.secrets import made
from security.keys import UnsafeLocalKeys
from tasks import checkout, tree
from tasks.run import Run
from tests.attacks.attacker import Act, Ground
from tests.attacks.conftest import drift
from tests.attacks.table import AFTER, TRAIN, Attack
from tests.security.engines.test_git import commit, git
from tests.tasks.checkouts import compiled, files

CODE, SECRETS = r"\[code_integrity_check\] ", r"\[secrets_scanning\] "
Spoil = Callable[[Path], object]
Patch = Callable[[pytest.MonkeyPatch, Ground], None]


def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def _public(name: str) -> str:
    return _key(name).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _private(name: str, folder: Path) -> Path:
    """The key's file, as git signs with it."""
    path = folder / name
    path.write_bytes(_key(name).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    return path


def _terms() -> dict[str, Any]:
    """The policy wants every file as Lisa signed it."""
    told = {"signers": [f"lisa@example.org {_public('lisa')}"], "imported": False}
    return {"terms": drift() | {"code_integrity_check": {"limits": told}}}


def _folder(at: Ground) -> Path:
    folder = at.home.folder("checkouts", at.prefix)
    at.ends.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def signed(at: Ground) -> Path:
    """A checkout whose only commit Lisa signed."""
    folder = _folder(at)
    root = folder / "checkout"
    files(root)
    git(root, "init", "-q", "-b", "main")
    commit(root, "first", _private("lisa", folder))
    return root


def runs_from(spoil: Spoil) -> Patch:
    """The pipeline runs from a checkout that was signed, and then spoiled."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        root = signed(at)
        spoil(root)
        patch.setattr(tree, "PIPELINE", root)

    return patch


def whole(root: Path) -> None:
    """Nothing is done yet."""


def hidden(root: Path) -> None:
    """A file is altered, and the index told to look away: `git status` shows nothing."""
    git(root, "update-index", "--skip-worktree", "pkg/code.py")
    (root / "pkg" / "code.py").write_text("evil()\n")


def replaced(root: Path) -> None:
    """A commit of nobody takes the place of the one that was signed: `git verify-commit` is content."""
    good = git(root, "rev-parse", "HEAD")
    evil = commit(root, "evil")
    git(root, "replace", evil, good)


def listed(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """No checkout: a folder with a list of its files, signed by somebody."""
    root = _folder(at) / "image"
    files(root)
    every = [Listed(each.path, each.mode, code.digest(each, git=False)) for each in tree.files(root)]
    keys = UnsafeLocalKeys(root.parent / "keys")
    (root / code.MANIFEST).write_bytes(code.sealed(every, "0" * 40, keys.signer("owner")))
    patch.setattr(tree, "PIPELINE", root)


def bare(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """A folder of which nothing says what was signed."""
    root = _folder(at) / "folder"
    files(root)
    patch.setattr(tree, "PIPELINE", root)


def altered(run: Run, at: Ground) -> None:
    """A file of the checkout becomes another while the model is trained."""
    (tree.PIPELINE / "pkg" / "code.py").write_text("evil()\n")


def moved(run: Run, at: Ground) -> None:
    """Another commit is checked out than when the plan was sealed; it is signed as well."""
    commit(tree.PIPELINE, "second", tree.PIPELINE.parent / "lisa")


def _imports(name: str, at: Ground, module: ModuleType | None = None) -> None:
    if module is None:
        folder = _folder(at)
        (folder / f"{name}.py").write_text("stowed = 1\n")
        sys.path.append(str(folder))
        at.ends.callback(sys.path.remove, str(folder))
        __import__(name)
    else:
        sys.modules[name] = module
    at.ends.callback(sys.modules.pop, name)


def imported(run: Run, at: Ground) -> None:
    """The training imports a module from a folder that is nobody's."""
    _imports("stowaway", at)


def made_up(run: Run, at: Ground) -> None:
    """A module is put among those that were imported, and has no file."""
    _imports("stowaway", at, ModuleType("stowaway"))


def ahead(**files: str) -> Patch:
    """A folder stands before all others that Python imports from."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        folder = _folder(at)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        patch.syspath_prepend(str(folder))

    return patch


def holds(spoil: Callable[[Path], object], after: Callable[[Path], object] | None = None) -> Patch:
    """Secrets are looked for in a checkout that holds this; `after`: what is done once it is committed."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        root = _folder(at) / "checkout"
        files(root)
        git(root, "init", "-q", "-b", "main")
        spoil(root)
        commit(root, "first")
        if after:
            after(root)
            commit(root, "second")
        patch.setattr(checkout, "PIPELINE", root)

    return patch


def secret(name: str, form: str = "{}", make: Any = made.github) -> Callable[[Path], None]:
    """A file with a secret in it, made up anew."""

    def spoil(root: Path) -> None:
        (root / name).write_text(form.format(make(random.Random())) + "\n")

    return spoil


def gone(name: str) -> Callable[[Path], None]:
    """The file is taken away again."""
    return lambda root: (root / name).unlink()


def shallow(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """Of the checkout's history only the last commit is here."""
    holds(whole, lambda root: (root / "more.txt").write_text("more"))(patch, at)
    cut = checkout.PIPELINE.parent / "cut"
    git(cut.parent, "clone", "-q", "--depth=1", f"file://{checkout.PIPELINE}", str(cut))
    patch.setattr(checkout, "PIPELINE", cut)


def blind(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """Our engine finds nothing anywhere."""
    holds(whole)(patch, at)
    patch.setattr(tokens, "scan", lambda lines: iter(()))


def _code(says: str, patch: Patch, **acts: Act) -> Attack:
    return Attack("train", CODE + says, acts, changes=_terms(), patch=patch)


CODES = {
    "code-that-the-index-hides": _code("fail: CODE-01 pkg/code.py: .*CODE-11 pkg/code.py", runs_from(hidden)),
    "code-that-git-ignores": _code(
        "fail: CODE-04 ign.py", runs_from(lambda root: (root / "ign.py").write_text("evil()\n"))
    ),
    "bytecode-of-other-code": _code(
        "fail: CODE-06 pkg/__pycache__/", runs_from(lambda root: compiled(root, "x = 43\n"))
    ),
    "code-committed-by-nobody": _code("fail: CODE-07 commit ", runs_from(lambda root: commit(root, "more"))),
    "code-signed-by-somebody": _code(
        "fail: CODE-08 commit .*on no list",
        runs_from(lambda root: commit(root, "more", _private("bart", root.parent))),
    ),
    "commit-in-place-of-another": _code(
        "fail: CODE-07 commit .*CODE-10 repository: found replace ref", runs_from(replaced)
    ),
    "list-signed-by-somebody": _code("fail: CODE-07 manifest: found .* no key was given", listed),
    "code-that-nobody-signed": _code("inconclusive: no checkout of git, and no signed list", bare),
    "code-altered-while-it-trains": _code("fail: CODE-01 pkg/code.py", runs_from(whole), signed=altered),
    "another-commit-than-the-plans": _code(
        "inconclusive: .*as the plan has it", runs_from(whole), **{"train gate 2": moved}
    ),
    "module-from-elsewhere": Attack(
        "train", f"{CODE}fail: CODE-15 stowaway: it is from elsewhere", {"signed": imported}, parameters=TRAIN
    ),
    "module-without-a-file": Attack(
        "deploy",
        f"{CODE}fail: CODE-15 stowaway: it has no file",
        {"deploy gate 5": made_up},
        parameters=AFTER,
    ),
    "module-that-shadows-another": Attack(
        "train", f"{CODE}fail: CODE-13 colorsys: found in ", parameters=TRAIN, patch=ahead(colorsys_py="x = 1\n")
    ),
    "path-file-that-runs-code": Attack(
        "train",
        f"{CODE}fail: CODE-14 start.pth: it runs code",
        parameters=TRAIN,
        patch=ahead(start_pth="import os; os.getpid()\n"),
    ),
}


def _held(says: str, patch: Patch) -> Attack:
    return Attack("train", SECRETS + says, parameters=TRAIN, patch=patch)


HELD = {
    "secret-in-the-checkout": _held("fail: SEC-01 a.py, line 1", holds(secret("a.py"))),
    "secret-in-the-history": _held("fail: SEC-02 a.py in ", holds(secret("a.py"), gone("a.py"))),
    "private-key-that-git-ignores": _held("fail: .*SEC-03 key.ign", holds(secret("key.ign", make=made.pem))),
    "secret-that-scanners-shall-not-see": _held(
        "fail: .*SEC-04 a.py", holds(secret("a.py", "x = '{}'  # gitleaks:allow"))
    ),
    "history-that-was-replaced": _held("fail: .*SEC-06 .*replace ref", holds(whole, replaced)),
    "file-that-nobody-can-look-into": _held(
        "fail: SEC-07 a.7z",
        holds(lambda root: (root / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(64))),
    ),
    "history-that-is-cut-off": _held("inconclusive: a part of the history is not here", shallow),
    "engine-that-is-blind": _held("inconclusive: sluice found 0 of ", blind),
}
