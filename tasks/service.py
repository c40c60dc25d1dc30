"""The service of the target `local` as a process: begun on the packages of its own lock, and on nothing else.

Its environment is a folder of links to those packages of this one that its lock names, at their versions, each of which
lists every file of its own and shares none. It is begun without `site` and without this process's paths, so that of the
packages here it can import what its lock names, and of this pipeline's code all (`security`, for one). That each line
of the lock stands in the pipeline's, `dependency_scanning` has seen: a policy that does not ask for it serves nothing.
"""

import base64
import csv
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from packaging.version import Version

from deployments.serving.log import BEFORE, LOG
from security.errors import BadInput, PlanError, StoreError
from security.gates.dependencies import Dist, Pin, environment, pinned
from security.inventory.pythons import spelled
from security.memo import Memo
from tasks import lock, process
from tasks.store import hashed

BEGIN = """\
import runpy, sys
root, packages, *told = sys.argv[1:]
sys.path += [root, packages]
sys.argv[1:] = told
runpy.run_module("deployments.serving", run_name="__main__", alter_sys=True)
"""
"""What the process runs: the standard library, then this pipeline's code, then the packages of the lock."""
PACKAGES = "packages"
"""The folder of the links, in that of the candidate."""


def argv(root: Path, own: Path, told: Sequence[str]) -> list[str]:
    """The service's command, with the code at `root` and its own packages alone."""
    return [sys.executable, "-I", "-S", "-B", "-c", BEGIN, str(root), str(own), *told]


def env() -> dict[str, str]:
    """What a service that faces a network gets of this process's variables: nothing that it does not need."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}


def packages(folder: Path, sealed: str) -> Path:
    """The packages of the service's lock, as links in a new folder below `folder`. `sealed`: its SHA-256, as the plan
    has it; `PlanError` where it is another or none, `BadInput` for a package that is not here as it is locked."""
    path = lock.SERVING
    data = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(data).hexdigest() if data else ""
    if not found or found != sealed:
        wanted = f"SHA-256 {sealed[:12]}, as the plan has it" if sealed else "one that the policy names, in `within`"
        raise PlanError(f"{path.name}: found {f'SHA-256 {found[:12]}' if found else 'no such lock'}; allowed: {wanted}")
    made = folder / PACKAGES
    made.mkdir(exist_ok=False)
    here, owners = _here()
    for pin in pinned(data.decode()):
        if pin.applies:
            for name, target in _links(pin, here.get(pin.name), owners, path.name):
                (made / name).symlink_to(target)
    return made


def logs(evidence: Path) -> dict[str, Path]:
    """The log in a run's evidence, and those of the runs before it, as the service wants them: path -> file. Of runs
    that only deployed none is among them: what they add is not asked, and an image would be another each time."""
    while (evidence / BEFORE).is_dir() and _deploys(evidence / LOG):
        evidence /= BEFORE
    found, folder = dict[str, Path](), evidence
    while (file := folder / LOG).is_file():
        found[file.relative_to(evidence).as_posix()] = file
        folder /= BEFORE
    if not found:
        raise StoreError(f"{evidence.name}: found no {LOG}; allowed: the log of the run that made the release")
    return found


def _deploys(log: Path) -> bool:
    """Whether a run only deploys, by its plan. Nothing is believed of it here: the service reads what it is handed."""
    with log.open("rb") as file:
        payload = json.loads(file.readline())["payload"]
    return list(json.loads(base64.b64decode(payload))["predicate"]["plan"]["matrix"]) == ["deploy"]


Record = tuple[Dist, Path, Mapping[str, str]]
"""A package, the folder that it is installed in, and the files that its record lists there: name -> `sha256=...`."""


def _read(record: bytes) -> tuple[Mapping[str, str], frozenset[str]]:
    """The files that a record lists beside it, with what it says of their bytes; and the first names of their paths."""
    rows = [row for row in csv.reader(record.decode().splitlines()) if row]
    files = {row[0]: row[1] if len(row) > 1 else "" for row in rows if _top(row[0]) not in ("..", "/")}
    return MappingProxyType(files), frozenset(map(_top, files))


def _top(path: str) -> str:
    """The first name of a path, as `PurePosixPath` has it: that of a record with many files is soon told."""
    first = path.partition("/")[0]
    return first if first not in ("", ".") else PurePosixPath(path).parts[0]


_LISTED = Memo(_read, 1024)
"""What the records of packages list: the same bytes say the same."""


def _here() -> tuple[dict[str, Record], dict[str, set[str]]]:
    """The packages of this process, of one name the first on its path; and of each name that lies where packages do,
    whose it is."""
    here: dict[str, Record] = {}
    owners: dict[str, set[str]] = {}
    for where in map(Path, process.packages()):
        for dist, found in environment.every([where]):
            files, tops = _LISTED((found.read_text("RECORD") or "").encode())
            here.setdefault(dist.name, (dist, where, files))
            for top in tops:
                owners.setdefault(top, set()).add(dist.name)
    return here, owners


def _links(pin: Pin, found: Record | None, owners: dict[str, set[str]], lock_: str) -> list[tuple[str, Path]]:
    """What of a package is to be linked: each file and folder that is its own, and holds what its record lists."""
    if found is None or Version(found[0].version) != Version(pin.version):
        told = f"version {found[0].version}" if found else "no such package installed"
        raise BadInput(lock_, pin.name, told, f"version {pin.version}, as it is locked")
    _, where, files = found
    tops = sorted(set(map(_top, files)) - {"__pycache__"})
    if not tops:
        raise BadInput(lock_, pin.name, "no record of its files", "a package that lists them")
    for top in tops:
        if others := sorted(owners[top] - {pin.name}):
            raise BadInput(lock_, pin.name, f"{top}, which {others[0]} has too", "files and folders of its own")
        for path in (where / top).rglob("*") if (where / top).is_dir() else ():
            name = path.relative_to(where).as_posix()
            if path.is_symlink() or not (path.is_dir() or name in files or "__pycache__" in path.parts):
                raise BadInput(lock_, pin.name, f"{name}, which its record does not list", "what it lists, and no link")
            if (wanted := files.get(name, "")) and not path.is_dir() and spelled(hashed(path)[0]) != wanted:
                raise BadInput(lock_, pin.name, f"{name} with other bytes", "those that its record has")
    return [(top, where / top) for top in tops]
