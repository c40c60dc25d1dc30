"""The service of the target `local` as a process: begun on the packages of its own lock, and on nothing else.

Its environment is a folder of links to those packages of this one that its lock names, at their versions. It is begun
without `site` and without this process's paths, so that what the lock does not name cannot be imported. That each line
of the lock stands in the pipeline's, `dependency_scanning` has seen: a policy that does not ask for it serves nothing.
"""

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from security.errors import BadInput, PlanError
from security.gates.dependencies import Pin, lines, read
from tasks import lock, process

BEGIN = """\
import runpy, sys
root, packages, *told = sys.argv[1:]
sys.path += [root, packages]
sys.argv[1:] = told
runpy.run_module("deployments.serving", run_name="__main__", alter_sys=True)
"""
"""What the process runs: the standard library, then this pipeline's code, then the packages of the lock."""
ENVIRONMENT = "packages"
"""The folder of the links, in that of the candidate."""


def argv(root: Path, packages: Path, told: Sequence[str]) -> list[str]:
    """The service's command, with the code at `root` and these packages alone."""
    return [sys.executable, "-I", "-S", "-B", "-c", BEGIN, str(root), str(packages), *told]


def env() -> dict[str, str]:
    """What a service that faces a network gets of this process's variables: nothing that it does not need."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}


def environment(folder: Path, sealed: str) -> Path:
    """The packages of the service's lock, as links in a new folder below `folder`. `sealed`: its SHA-256, as the plan
    has it; `PlanError` where it is another or none, `BadInput` for a package that is not here as it is locked."""
    path = lock.SERVING
    data = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(data).hexdigest() if data else ""
    if not found or found != sealed:
        wanted = f"SHA-256 {sealed[:12]}, as the plan has it" if sealed else "one that the policy names, in `within`"
        raise PlanError(f"{path.name}: found {f'SHA-256 {found[:12]}' if found else 'no such lock'}; allowed: {wanted}")
    made = folder / ENVIRONMENT
    made.mkdir()
    pins = [pin for pin in map(read, lines(data.decode())) if isinstance(pin, Pin) and pin.applies]
    here: dict[str, importlib.metadata.Distribution] = {canonicalize_name(dist.name): dist for dist in _installed()}
    for pin in pins:
        dist = here.get(pin.name)
        if dist is None or Version(dist.version) != Version(pin.version):
            told = f"version {dist.version}" if dist else "no such package installed"
            raise BadInput(path.name, pin.name, told, f"version {pin.version}, as it is locked")
        for name in _tops(dist, path.name):
            if (made / name).is_symlink():
                raise BadInput(path.name, pin.name, f"{name}, which another package has too", "folders of its own")
            (made / name).symlink_to(Path(str(dist.locate_file(name))).resolve())
    return made


def _installed() -> Iterator[importlib.metadata.Distribution]:
    """The packages of this process, the first on its path last, so that it is the one that counts."""
    yield from reversed([*importlib.metadata.distributions(path=process.packages())])


def _tops(dist: importlib.metadata.Distribution, name: str) -> list[str]:
    """The files and folders of a package that lie where packages do."""
    files = [path for path in dist.files or () if path.parts[0] not in ("..", "__pycache__")]
    tops = sorted({path.parts[0] for path in files})
    inner = {path.parts[0] for path in files if len(path.parts) > 1}
    whole = {path.parts[0] for path in files if path.parts[1:] == ("__init__.py",)}
    shared = [top for top in inner - whole if top.isidentifier()]
    if not tops or shared:
        found = f"{shared[0]}, a folder that packages share" if shared else "no record of its files"
        raise BadInput(name, canonicalize_name(dist.name), found, "a package with folders of its own")
    return tops
