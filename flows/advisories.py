"""`sluice advisories`: the file of advisories that dependencies are held against, brought up to date or shown."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from security.advisories import mirror, update
from security.advisories.export import source
from security.errors import CannotTell
from tasks.home import Home

PUBLIC = "https://osv-vulnerabilities.storage.googleapis.com"
"""Where OSV publishes its exports, a folder an ecosystem."""
FOLDERS = {"pypi": "PyPI", "debian": "Debian"}


def fetch(told: str, ecosystem: str = "pypi", *, as_json: bool = False) -> int:
    """Bring the file up to date from an export. Where that cannot be, say so, and how old what is here is: 2."""
    path, now = _path(ecosystem), datetime.now(UTC)
    export = source(told or f"{PUBLIC}/{FOLDERS[ecosystem]}")
    try:
        change = update.update(path, export, lambda _: None if as_json else print(_), now)
    except CannotTell as why:
        raise CannotTell(f"{why}; {_kept(path, now)}", why.cause) from None
    said = _said(change.head, now) | {"fetched": change.fetched, "dropped": change.dropped}
    if as_json:
        print(json.dumps(said))
    else:
        print(f"fetched {change.fetched:,}, dropped {change.dropped:,}\n{_line(said)}")
    return 0


def status(ecosystem: str = "pypi", *, as_json: bool = False) -> int:
    """What is here, proven, and how old it is."""
    said = _said(mirror.load(_path(ecosystem)).head, datetime.now(UTC))
    print(json.dumps(said) if as_json else _line(said))
    return 0


def _said(head: mirror.Head, now: datetime) -> dict[str, Any]:
    return head.model_dump() | {
        "days": round(mirror.days(head.newest, now), 1),
        "days_since_check": round(mirror.days(head.checked, now), 1),
    }


def _line(said: dict[str, Any]) -> str:
    return (
        f"{said['count']:,} advisories from {said['source']}\n"
        f"the newest is of {said['newest']}, {said['days']:,} days ago; "
        f"asked for newer ones {said['days_since_check']:,} days ago\n"
        f"sha256 {said['sha256']}"
    )


def _path(ecosystem: str) -> Path:
    home = Home.here()
    return home.advisories if ecosystem == "pypi" else home.systems


def _kept(path: Path, now: datetime) -> str:
    try:
        held = mirror.load(path).head
    except CannotTell:
        return "there are none here"
    return f"what is here stays, its newest advisory {mirror.days(held.newest, now):,.1f} days old"
