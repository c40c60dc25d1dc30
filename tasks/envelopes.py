"""Where what people sign lies in a home: waivers and approvals, a file each, named by its digest, never changed.

Whether one counts is decided elsewhere (`security/waiver.py`, `security/gates/approval`).
"""

import hashlib
from typing import Literal

from security.errors import PlanError
from security.keys import once
from tasks.home import Home

Folder = Literal["waivers", "approvals"]
LARGEST = 1 << 16
"""Bytes of an envelope."""
MOST = 1_000


def keep(home: Home, folder: Folder, envelope: bytes) -> str:
    """Keep an envelope; its id."""
    id = hashlib.sha256(envelope).hexdigest()
    once(home.folder(folder) / f"{id}.json", lambda: envelope)
    return id


def there(home: Home, folder: Folder) -> tuple[str, ...]:
    """Every envelope that there is, by id, as it lies there. `PlanError` for one that cannot be read."""
    paths = sorted((home.root / folder).glob("*.json"))
    if len(paths) > MOST:
        raise PlanError(f"{folder}: found {len(paths):,}; allowed: {MOST:,}; remove those that have ended")
    found = []
    for path in paths:
        try:
            if path.stat().st_size > LARGEST:
                raise PlanError(f"{folder}/{path.name}: found {path.stat().st_size:,} bytes; allowed: {LARGEST:,}")
            found.append(path.read_bytes().decode("ascii"))
        except (OSError, UnicodeDecodeError) as why:
            raise PlanError(f"{folder}/{path.name}: {type(why).__name__}; allowed: what somebody signed") from None
    return tuple(found)
