"""What a package of ours imports of ours: the files that an image needs to run it, and no others.

Read from the source, without running it: every import that stands anywhere in a module counts, also those that only a
function makes, or a type checker. A name that is put together while the program runs is not seen: the service that
would need it does not start.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from security.errors import BadInput

PACKAGES = ("configs", "flows", "security", "tasks", "deployments")
"""What a plan seals: a module beside them is nobody's, whatever it is called."""


def closure(root: Path, package: str) -> dict[str, Path]:
    """Path below `root` -> file, of every module of a package (`a.b`) and of all that these import that lies there."""
    start = root / package.replace(".", "/")
    left = sorted(start.glob("*.py"))
    if not (start / "__init__.py").is_file():
        raise BadInput(package, "the whole", "no package", "one that lies beside this")
    found: dict[str, Path] = {}
    while left:
        path = left.pop()
        name = path.relative_to(root).as_posix()
        if name not in found:
            found[name] = path
            left += _imported(root, path)
    return dict(sorted(found.items()))


def _imported(root: Path, path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_bytes(), path.name)):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield from _files(root, each.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise BadInput(path.name, f"line {node.lineno}", "a relative import", "imports by the whole name")
            yield from _files(root, node.module)
            for each in node.names:
                yield from _files(root, f"{node.module}.{each.name}")


def _files(root: Path, module: str) -> Iterator[Path]:
    """The file of a module, and those of the packages that it is in; nothing for what is not in a package of ours."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return
    for count in range(1, len(parts) + 1):
        at = root.joinpath(*parts[:count])
        if (at / "__init__.py").is_file():
            yield at / "__init__.py"
        elif at.with_suffix(".py").is_file():
            yield at.with_suffix(".py")
        else:
            return
