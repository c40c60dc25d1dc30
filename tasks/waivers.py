"""Where the waivers of a home lie: a file each, named by its digest, never changed. Whether one counts is decided
elsewhere (`security/waiver.py`)."""

import hashlib

from security.errors import PlanError
from security.keys import once
from tasks.home import Home

LARGEST = 1 << 16
"""Bytes of a waiver."""
MOST = 1_000


def keep(home: Home, envelope: bytes) -> str:
    """Keep a waiver; its id."""
    id = hashlib.sha256(envelope).hexdigest()
    once(home.folder("waivers") / f"{id}.json", lambda: envelope)
    return id


def there(home: Home) -> tuple[str, ...]:
    """Every waiver that there is, by id, as it lies there. `PlanError` for one that cannot be read."""
    paths = sorted((home.root / "waivers").glob("*.json"))
    if len(paths) > MOST:
        raise PlanError(f"waivers: found {len(paths):,}; allowed: {MOST:,}; remove those that have ended")
    found = []
    for path in paths:
        try:
            if path.stat().st_size > LARGEST:
                raise PlanError(f"waivers/{path.name}: found {path.stat().st_size:,} bytes; allowed: {LARGEST:,}")
            found.append(path.read_bytes().decode("ascii"))
        except (OSError, UnicodeDecodeError) as why:
            raise PlanError(f"waivers/{path.name}: {type(why).__name__}; allowed: a signed waiver") from None
    return tuple(found)
