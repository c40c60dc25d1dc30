"""Opens a lock for the gate over dependencies: its lines, the environment that runs, advisories, and the index's word.
The advisories are the mirror's, or what a live service answers, as the policy says. And writes the environment's bill
of materials, for the gate to read.

How many lines there are is counted by other code than reads them, and packages by the names of their folders. Where
there are no advisories, or the index or the service cannot be asked, the gate is given none: it judges the rest, and
says that of this nobody can tell. Advisories that are damaged are another matter, and open nothing.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from security import whole
from security.advisories import live, mirror
from security.advisories.mirror import Mirror
from security.engines import audit, index
from security.errors import BadInput, CannotTell
from security.gates import dependencies
from security.gates.dependencies import Dist, Limits, Pin, bill, environment
from security.gates.dependencies.match import FORGET_ME_NOT
from security.material import Material
from security.verdict import Subject
from tasks.home import Home

_JOINED = re.compile(r"\\\r?\n")
_SAYS = re.compile(r"^[^\S\n]*[^\s#]", re.MULTILINE)
LONGEST = 16 << 20
"""Bytes of a lock."""
INDEX = ("SLUICE_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""Variables that may name the index, the first that is set."""
NAME = dependencies.DependencyScanning.name
SERVICE = "SLUICE_OSV"
"""The variable that names the live service, which a policy may want asked in place of the mirror."""
PIPELINE = Path(__file__).parent.parent / "requirements.lock"
"""The lock that this environment is made from."""
SERVING = PIPELINE.with_name("requirements-serving.lock")
"""The lock of the service: a part of the pipeline's, as the policy has the gate see."""


def billed(stage: str) -> str:
    """The file of a stage's bill of materials in the evidence of its run."""
    return f"{stage}.cdx.json"


def counted(text: str) -> int:
    """How many lines say something, continued ones as one."""
    return len(_SAYS.findall(_JOINED.sub(" ", text.removeprefix("\ufeff"))))


def opened(
    home: Home, path: Path, limits: dict[str, Any], of: str = "", *, root: str = "environment", out: Path | None = None
) -> Material[Any]:
    """The material of a lock, for one look under these limits. `of`: what the environment is about to work on; `root`:
    what it is called in its bill of materials, which is written to `out`."""
    asked = Limits.model_validate(limits)
    with suppress(CannotTell):  # who asks it is told
        audit.start()
    text, sha = _text(path)
    now = mirror.stamp(datetime.now(UTC))
    where = environment.paths() if asked.installed else []
    dists = environment.installed(where) if asked.installed else None
    pins = list(dependencies.pinned(text))
    known, lacking = _known(home, asked, pins, dists or ())
    url, listings = _listings(pins) if asked.index else ("", "the policy does not ask")
    listed: bytes | None = None
    if asked.bill:
        here = dists if dists is not None else [_locked(pin) for pin in pins if pin.applies]
        listed = bill.made(here, environment.needs(where), now, root=root, lock=sha)
        listed = listed if out is None else _kept(listed, out, path)
    parts = _beside(path, asked.within)
    return dependencies.material(
        Subject(kind="lock", name=path.name, sha256=sha, of=of),
        text,
        known,
        now,
        dists=dists,
        expected=sum(map(counted, (text, *parts.values()))) + environment.counted(where),
        service=lacking,
        bill=listed,
        index=url,
        listings=listings,
        also=_beside(path, asked.also),
        parts=parts,
    )


def _beside(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Name -> text of the locks beside one, of those that are there."""
    return {name: _text(beside)[0] for name in names if (beside := path.parent / name).exists()}


def _text(path: Path) -> tuple[str, str]:
    try:
        if path.stat().st_size > LONGEST:
            raise BadInput(path.name, "the whole", f"{path.stat().st_size:,} bytes", f"at most {LONGEST:,}")
        data = path.read_bytes()
        return data.decode("utf-8"), hashlib.sha256(data).hexdigest()
    except OSError as why:
        raise BadInput(path.name, "the whole", type(why).__name__, "a lock file") from None
    except UnicodeDecodeError as why:
        raise BadInput(path.name, f"byte {why.start}", "no UTF-8", "UTF-8") from None


def _locked(pin: Pin) -> Dist:
    """A package that is locked, as it would be installed: of its licence the lock says nothing."""
    return Dist(name=pin.name, version=pin.version, direct=False, licence="")


def _kept(body: bytes, out: Path, lock: Path) -> bytes:
    """A bill of materials, read again from where it was written."""
    where = f"{out.absolute().parent.name}/{out.name}"
    try:
        if out.is_dir() or out.resolve() == lock.resolve():
            raise BadInput(where, "the whole", "a folder" if out.is_dir() else "the lock", "a file of its own")
        whole.write(out, (body,))
        return out.read_bytes()
    except OSError as why:
        raise BadInput(where, "the whole", type(why).__name__, "a folder that can be written to") from None


def _known(home: Home, asked: Limits, pins: Sequence[Pin], dists: Sequence[Dist]) -> tuple[Mirror | None, str]:
    """The advisories, and why the live service gave none, or not all: empty where it did, or was not asked."""
    if asked.service == "mirror":
        return mirror.load(home.advisories) if home.advisories.exists() else None, ""
    if not (url := os.environ.get(SERVICE, "")):
        return None, f"{SERVICE} names no live service"
    here = [*((pin.name, pin.version) for pin in pins), *((dist.name, str(Version(dist.version))) for dist in dists)]
    return live.ask(url, here, FORGET_ME_NOT)


def _listings(pins: Sequence[Pin]) -> tuple[str, list[index.Listing | str] | str]:
    """Which index was asked, and its word on each line that is a pin, or why there is none."""
    if not (url := next((os.environ[name] for name in INDEX if os.environ.get(name)), "")):
        return "", f"{INDEX[0]} names no index"
    wanted = [index.Wanted(name=pin.name, version=pin.version, hashes=pin.hashes) for pin in pins]
    try:
        return index.shown(url), index.ask(url, wanted)
    except CannotTell as why:
        return "", str(why)
