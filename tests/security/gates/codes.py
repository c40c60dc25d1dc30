"""Code for tests of its gate: a checkout of two signed commits, and what a process imported from it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from security.gates import code
from security.gates.code import Entry, Item, Loaded
from security.material import Material
from tasks import tree
from tests.security.engines.test_git import commit, git, key
from tests.tasks.checkouts import compiled, files, signers


def checkout(folder: Path) -> tuple[Path, list[str], str]:
    """A checkout of two signed commits, who signed them, and the id of the first."""
    root = folder / "checkout"
    if not root.exists():
        mine = key(folder, "mine")
        root.mkdir()
        git(root, "init", "-q", "-b", "main")
        first = commit(root, "release", mine)
        files(root)
        commit(root, "second", mine)
        compiled(root)
        (folder / "first").write_text(first)
    return root, signers(folder / "mine"), (folder / "first").read_text()


def imports() -> list[Item]:
    """What a process imported that runs this code: a module of it, one of the library, one of a package."""

    def read() -> Any:
        yield b"x = 1\n"

    sha = hashlib.sha256(b"x = 1\n").hexdigest()
    return [
        Item("imports", True),
        Item("entry", Entry("the standard library", ("json", "random"), True)),
        Item("entry", Entry(".", ("pkg",), False)),
        Item("entry", Entry("site-packages", ("numpy",), False)),
        Item("loaded", Loaded("pkg.code", "tree", "pkg/code.py", "", read)),
        Item("loaded", Loaded("json", "standard", "json", "", read)),
        Item("loaded", Loaded("numpy", "package", "site-packages/numpy/__init__.py", sha, read)),
        Item("loaded", Loaded("six.moves", "made", "", "", read)),
        Item("pth", Loaded("a.pth", "package", "site-packages/a.pth", sha, read)),
    ]


def opened(root: Path, limits: dict[str, Any]) -> Callable[[], Material[Any]]:
    """A checkout and what was imported from it, opened once and looked at often."""
    made = tree.opened(root, limits | {"imported": False})
    items = [Item("now", 2e9) if item.kind == "now" else item for item in made.source() if item.kind != "imports"]
    items += imports()
    return lambda: code.material(made.subject, items, made.expected)
