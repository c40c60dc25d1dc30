"""Where the chains of the registry lie: a folder each, an entry a file, numbered from 1. An entry is made once, by hard
link, so that of two writers one loses; what a chain means is decided elsewhere (`security/models/standing.py`), and no
entry is made that would not stand."""

import os
import string
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from security.errors import LogBroken, Refused, StoreError
from security.keys import Signer
from security.log import head_of
from security.models import chain
from security.models.chain import Keys, Move, Revocation, Version
from security.models.entries import entries
from security.models.manifest import REVOKED, named
from security.models.standing import Standing, stands
from tasks.home import Home


def there(home: Home, name: str) -> list[bytes]:
    """The entries of a chain, as they lie there; `LogBroken` where one is missing between others, or they cannot be
    listed: that is not the same as none."""
    mine = name if name == REVOKED else named(name)
    return entries(home.root / "chains" / mine, name) if mine in _names(home.root / "chains") else []


def _names(folder: Path) -> list[str]:
    """What lies in the registry; none where there is no registry yet."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as why:
        raise LogBroken(f"the registry cannot be read ({type(why).__name__})") from None


def names(home: Home) -> list[str]:
    """The models that have a chain."""
    every = _names(home.root / "chains")
    return sorted(name for name in every if name != REVOKED and name[0] in string.ascii_lowercase + string.digits)


def heads(home: Home, name: str) -> tuple[str, ...]:
    """Digests of the newest entries that there are: of a model's chain, and of the revocations. A plan seals them."""
    return tuple(head_of(lines[-1]) for lines in (there(home, name), there(home, REVOKED)) if lines)


def standing(home: Home, name: str, keys: Keys, *, known: Collection[str] = ()) -> Standing:
    """What is valid of a model now. The model's chain is read first: what it names of revocations is there by then."""
    mine = there(home, name)
    return stands(mine, there(home, REVOKED), keys, name, now=time.time(), known=known)


def enter(home: Home, signer: Signer, keys: Keys, **told: Any) -> Version:
    """Enter a version: `told` is what a `Version` says. The same again changes nothing."""
    name, now = named(str(told.get("name"))), round(time.time(), 3)
    before, gone = there(home, name), there(home, REVOKED)
    for row in stands(before, gone, keys, name, now=now).rows if before else ():
        if row.claim.version == told.get("version"):
            if row.claim.model_dump(include=set(told)) == told and not row.wrong:
                return row.claim
            raise Refused(f"{name}: version {row.claim.version} was entered before, with other content, or fell since")
    after = [*before, chain.sealed(before, gone, signer, Version, at=now, **told)]
    row = stands(after, gone, keys, name, now=now).rows[-1]
    if row.wrong:
        raise Refused(f"{name}: version {row.claim.version} {row.wrong}")
    _append(home, name, before, after[-1])
    return row.claim


def move(home: Home, signer: Signer, keys: Keys, name: str, alias: chain.Alias, version: int, **told: Any) -> Version:
    """Move an alias to a version. `told` has a reason; for production the head of the run's log."""
    now, before, gone = round(time.time(), 3), there(home, name), there(home, REVOKED)
    manifest = stands(before, gone, keys, name, now=now).row(version).claim.manifest
    said = {"name": name, "alias": alias, "version": version, "manifest": manifest, "at": now, **told}
    if signer.public.id in keys.approvers:
        said["key"] = signer.public.pem.decode()
    after = [*before, chain.sealed(before, gone, signer, Move, **said)]
    moved = stands(after, gone, keys, name, now=now).at(alias)
    _append(home, name, before, after[-1])
    return moved


def revoke(home: Home, signer: Signer, keys: Keys, **told: Any) -> str:
    """Revoke a model, a dataset or a key: `told` is what a `Revocation` says. The digest of the entry."""
    before = there(home, REVOKED)
    after = [*before, chain.sealed(before, before, signer, Revocation, at=round(time.time(), 3), **told)]
    entries = chain.read(after, keys, REVOKED)
    _append(home, REVOKED, before, after[-1])
    return entries[-1].head


def adopt(home: Home, name: str, newer: Sequence[bytes]) -> int:
    """Go on with a chain that came from elsewhere and was found to hold; how many entries are new. `LogBroken` where
    it does not go on from what is here."""
    older = there(home, name)
    chain.extends(newer, older, name)
    for number in range(len(older), len(newer)):
        _append(home, name, newer[:number], newer[number])
    return len(newer) - len(older)


def _append(home: Home, name: str, before: Sequence[bytes], line: bytes) -> None:
    folder = home.folder("chains", name)
    handle, fresh = tempfile.mkstemp(prefix=".", dir=folder)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(line)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(fresh, 0o444)
        try:
            os.link(fresh, folder / str(len(before) + 1))
        except FileExistsError:
            raise StoreError(f"{name}: its chain has gone on since it was read; look at it again") from None
    finally:
        Path(fresh).unlink()
