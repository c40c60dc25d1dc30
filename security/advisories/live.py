"""A live service in the form of OSV's API, asked about packages: every page of every answer, or why there is not all.

Of each package it is asked twice: with its version, for what the audit engine is told, and without, for all that is
known of the package, over which our own matcher goes. An answer is a page of JSON by its own form and nothing else,
with the next page's token where there is one; its advisories speak of the package that was asked about. Anything else
is no answer, and after a few of those no more is asked. What every such service knows is asked too, since one that
answers nothing to everything looks like one that knows of nothing.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from security.advisories.mirror import Head, Mirror, later, stamp
from security.advisories.record import ECOSYSTEM, Advisory, read, when
from security.engines import web
from security.errors import BadInput, CannotTell

if TYPE_CHECKING:
    import httpx

CAUSE = "service"
"""Why nobody can tell: the live service gave no answer, or not every one."""
PATH = "/v1/query"
LARGEST = 64 << 20
"""Bytes of one answer, all of its pages."""
PAGES = 100
"""Of one answer."""
AT_ONCE = 8
ALL = 256 << 20
"""Bytes of all answers together."""
SECONDS = 300.0
"""How long the whole may take, up to the patience for one more piece of an answer."""
PATIENCE = 3
"""After so many questions without an answer no more are asked."""
Dated = Literal["newest", "date"]
"""What age counts from: the newest advisory, or the oldest `Date` of a service's answers."""
Key = tuple[str, str]
"""A canonical name, and a version in PEP 440's one spelling."""


@dataclass(frozen=True)
class Live(Mirror):
    """What a service answered, and to which questions: package and version -> ids. Its head's `checked` is when."""

    answers: Mapping[Key, frozenset[str]] = field(default_factory=dict)
    dated: Dated = "date"


class Told(NamedTuple):
    """Answers, and why there are not all of them; empty where there are."""

    live: Live | None
    lacking: str


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    vulns: list[msgspec.Raw] = []
    next_page_token: str = ""


class _Answer(NamedTuple):
    """To one question: advisories, each one's id and SHA-256 as it is spelled, and the oldest `Date` of its pages."""

    every: tuple[Advisory, ...]
    spelled: tuple[tuple[str, str], ...]
    at: datetime


class _Left:
    """Bytes that all answers together may still have."""

    def __init__(self) -> None:
        self.bytes, self._lock = ALL, Lock()

    def take(self, size: int, what: str) -> None:
        """Count an answer's; `CannotTell` once there are no more."""
        with self._lock:
            self.bytes -= size
            if self.bytes < 0:
                raise CannotTell(f"{what}: more than {ALL:,} bytes in all answers", CAUSE)


def ask(url: str, packages: Iterable[Key], everybody: Sequence[tuple[str, str, str]]) -> Told:
    """What the service behind a URL knows of packages. `everybody`: package, version and id that it has to know."""
    try:
        parts = web.split(url, "the URL of the live service", CAUSE)
        if parts.query or parts.fragment or not parts.hostname:
            raise CannotTell("the URL of the live service has a query or no host; allowed: https://HOST", CAUSE)
    except CannotTell as why:
        return Told(None, str(why))
    wanted = sorted({*packages, *((name, at) for name, at, _ in everybody)})
    questions = [*wanted, *((name, "") for name in dict(wanted))]
    base, ends, failed = web.bare(parts).rstrip("/"), time.monotonic() + SECONDS, list[str]()
    budget = _Left()

    def one(key: Key) -> _Answer | None:
        if len(failed) >= PATIENCE:
            return None
        try:
            return _answer(client, f"{base}{PATH}", key, ends, budget)
        except CannotTell as why:
            failed.append(str(why))
            return None

    with (
        web.client(parts, Accept="application/json") as client,
        web.ended(client, SECONDS),
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        told = {key: got for key, got in zip(questions, pool.map(one, questions), strict=True) if got is not None}
    for name in _parted(told):
        failed.append(f"the live service, {name}: says of a version what it does not say of the package")
        told = {key: got for key, got in told.items() if key[0] != name}
    made = _made(base, told)
    lost = [(name, id) for name, at, id in everybody if not _knows(made, name, at, id)]
    if lost and not failed:
        return Told(made, f"the live service does not know {lost[0][1]} of {lost[0][0]}; allowed: what everybody knows")
    left = f"{len(questions) - len(told):,} of {len(questions):,} questions have no answer"
    return Told(made, f"{failed[0]}; {left}" if failed else "")


def _parted(told: Mapping[Key, _Answer]) -> list[str]:
    """Packages of which a version's answer is no part of the package's own, advisory by advisory as it is spelled."""
    whole = {name: {*answer.spelled} for (name, version), answer in told.items() if not version}
    parts = ((name, answer) for (name, version), answer in told.items() if version and name in whole)
    return sorted({name for name, answer in parts if not {*answer.spelled} <= whole[name]})


def _knows(made: Live | None, name: str, at: str, id: str) -> bool:
    mine = made.answers.get((name, at), frozenset()) if made else frozenset()
    return any(id in (each.id, *each.aliases) for each in (made.known.get(name, ()) if made else ()) if each.id in mine)


def _made(base: str, told: Mapping[Key, _Answer]) -> Live | None:
    """The answers as advisories by package; none where there are no answers. A package counts as answered where both
    of its questions were."""
    if not told:
        return None
    known, total, newest = dict[str, dict[str, Advisory]](), hashlib.sha256(), ""
    for (name, version), answer in sorted(told.items()):
        total.update(f"{name} {version} {answer.spelled}\n".encode())
        mine = known.setdefault(name, {})
        for each in answer.every:
            newest = later(newest, each.modified)
            if each.id not in mine or when(mine[each.id].modified) < when(each.modified):
                mine[each.id] = each
    head = Head(
        source=base,
        checked=stamp(min(answer.at for answer in told.values())),
        newest=newest or stamp(datetime.min.replace(tzinfo=UTC)),
        count=len({id for mine in known.values() for id in mine}),
        sha256=total.hexdigest(),
    )
    whole = {key: answer for key, answer in told.items() if key[1] and (key[0], "") in told}
    answers = {key: frozenset(each.id for each in answer.every) for key, answer in whole.items()}
    return Live(head, {name: tuple(mine.values()) for name, mine in known.items()}, answers=answers)


def _answer(client: "httpx.Client", url: str, key: Key, ends: float, all_: _Left) -> _Answer:
    """Every page of one answer."""
    what = f"the live service, {' '.join(key).strip()}"
    question = {"package": {"name": key[0], "ecosystem": ECOSYSTEM}} | ({"version": key[1]} if key[1] else {})
    every, spelled, token, tokens, left = list[Advisory](), list[tuple[str, str]](), "", set[str](), LARGEST
    dates: list[datetime] = []
    while True:
        body, date = _page(client, url, question | ({"page_token": token} if token else {}), what, left, ends)
        left -= len(body)
        all_.take(len(body), what)
        if date is None:
            raise CannotTell(f"{what}: found no Date; allowed: when it answered", CAUSE)
        dates.append(date)
        try:
            page = msgspec.json.decode(body, type=_Page)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
            found = "another shape" if isinstance(why, msgspec.ValidationError) else "no JSON"
            raise CannotTell(f"{what}: found {found}; allowed: vulns and next_page_token", CAUSE) from None
        for each in map(bytes, page.vulns):
            every.append(_advisory(each, key[0], what))
            spelled.append((every[-1].id, hashlib.sha256(each).hexdigest()))
        token = page.next_page_token
        if not token:
            break
        if token in tokens:
            raise CannotTell(f"{what}: page {len(dates)} names one that was read; allowed: each page once", CAUSE)
        tokens.add(token)
        if len(dates) >= PAGES:
            raise CannotTell(f"{what}: pages without an end; allowed: {PAGES}", CAUSE)
    return _Answer(tuple(every), tuple(sorted(spelled)), min(dates))


def _advisory(body: bytes, name: str, what: str) -> Advisory:
    try:
        told = read(body, what)
    except BadInput as why:
        raise CannotTell(str(why), CAUSE) from None
    if name not in told.names:
        about = ", ".join(sorted(told.names)) or "no package"
        raise CannotTell(f"{what}: {told.id} is about {about[:80]}; allowed: what was asked about", CAUSE)
    return told


def _page(
    client: "httpx.Client", url: str, question: Mapping[str, object], what: str, most: int, ends: float
) -> tuple[bytes, datetime | None]:
    import httpx

    if time.monotonic() > ends:
        raise CannotTell(f"{what}: not asked within {SECONDS:g} s", CAUSE)
    try:
        with client.stream("POST", url, json=question) as reply:
            if reply.status_code != 200:
                elsewhere = ", a redirect" if reply.is_redirect else ""
                raise CannotTell(f"{what}: answered {reply.status_code}{elsewhere}; allowed: 200", CAUSE)
            return b"".join(web.pieces(reply, what, most, CAUSE, ends)), _date(reply.headers.get("date", ""))
    except (httpx.HTTPError, httpx.StreamError, RuntimeError, OSError) as why:  # some, where its time is over
        raise CannotTell(f"{what}: cannot be asked ({type(why).__name__})", CAUSE) from None


def _date(told: str) -> datetime | None:
    try:
        made = parsedate_to_datetime(told)
        return (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
