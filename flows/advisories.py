"""`sluice advisories`: the file of advisories that dependencies are held against, brought up to date or shown."""

import json
from datetime import UTC, datetime
from typing import Any

from security.advisories import mirror, update
from security.advisories.export import source
from security.errors import CannotTell
from tasks.home import Home

PUBLIC = "https://osv-vulnerabilities.storage.googleapis.com/PyPI"
"""Where OSV publishes its export of the ecosystem."""


def fetch(told: str, *, as_json: bool = False) -> int:
    """Bring the file up to date from an export. Where that cannot be, say so, and how old what is here is: 2."""
    home, now = Home.here(), datetime.now(UTC)
    try:
        change = update.update(home.advisories, source(told or PUBLIC), lambda _: None if as_json else print(_), now)
    except CannotTell as why:
        raise CannotTell(f"{why}; {_kept(home, now)}", why.cause) from None
    said = _said(change.head, now) | {"fetched": change.fetched, "dropped": change.dropped}
    if as_json:
        print(json.dumps(said))
    else:
        print(f"fetched {change.fetched:,}, dropped {change.dropped:,}\n{_line(said)}")
    return 0


def status(*, as_json: bool = False) -> int:
    """What is here, proven, and how old it is."""
    said = _said(mirror.load(Home.here().advisories).head, datetime.now(UTC))
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


def _kept(home: Home, now: datetime) -> str:
    try:
        held = mirror.load(home.advisories).head
    except CannotTell:
        return "there are none here"
    return f"what is here stays, its newest advisory {mirror.days(held.newest, now):,.1f} days old"
