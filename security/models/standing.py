"""What of a registry is valid now. The one function that decides it, for a person who lists models, for a gate, for the
decision to deploy, and for the service that loads one.

It takes the chains as bytes, and the keys from its caller. In order:

 (1) both chains are whole: every entry signed by a role that may say so, each naming the one before;
 (2) what the caller knows to have been there (`known`: digests of entries) is there;
 (3) no entry knows a revocation that is not there, or fewer than the entry before it;
 (4) versions only increase; an alias names a version that was entered, with that manifest, and never an older one than
     before; `approved` only what was `candidate`, `production` only what was `approved`, and with the run's log;
 (5) of what is left, a version does not stand that was revoked, that comes from a dataset that was, that was entered by
     a key that was, or that has expired; and a move does not stand that such a key signed, or whose step before fell.

Anything wrong in (1) to (4) is `LogBroken`: of such a registry nothing is said. What (5) takes away is told with its
reason; an alias whose newest move does not stand names nothing, and never what it named before.

What this cannot tell: that the newest entries of a model's chain were cut off, or that two callers were shown two
different ends, unless the caller knows an entry that is missing. Of the revocations it can tell as far as an entry of
the model's chain names them. When an entry was made is its signer's word: a key that was revoked counts for nothing,
whenever it signed, but its versions are still the floor of those to come.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from security.errors import LogBroken, Refused
from security.models.chain import Entry, Keys, Move, Revocation, Version, read
from security.models.manifest import REVOKED, named
from security.words import day

STEPS = {"candidate": "", "approved": "candidate", "production": "approved"}
"""Alias -> the one that a version must have had before."""
LATE = 60.0
"""Seconds by which clocks may differ."""


@dataclass(frozen=True)
class Row:
    """One version, why it does not stand (empty where it does), the aliases that name it now, and every move to it."""

    claim: Version
    signer: str
    wrong: str
    aliases: tuple[str, ...] = ()
    moves: tuple[Entry, ...] = ()
    expired: bool = False
    """Whether it does not stand for that alone."""


@dataclass(frozen=True)
class Standing:
    """What is valid now of one model: its versions, oldest first, and its aliases."""

    name: str
    head: str
    """Digest of the newest entry; empty where there is none."""
    revocations: str
    """Digest of the newest revocation; empty where there is none."""
    rows: tuple[Row, ...]
    aliases: dict[str, Version] = field(default_factory=dict)
    fallen: dict[str, str] = field(default_factory=dict)
    """Alias -> why its newest move does not stand."""
    past: dict[str, Version] = field(default_factory=dict)
    """Alias -> the version that it names no more for having expired, and for nothing else."""
    barred: dict[str, str] = field(default_factory=dict)
    """Digest of a manifest or a dataset, or id of a key, that was revoked -> why; of every model."""

    def at(self, alias: str) -> Version:
        """The version that an alias names; `Refused` where it names none."""
        if alias in self.aliases:
            return self.aliases[alias]
        why = self.fallen.get(alias, "it never named a version")
        raise Refused(f"{self.name}: {alias} names nothing: {why}")

    def row(self, version: int) -> Row:
        """A version, whether it stands or not; `Refused` where it was never entered."""
        for each in self.rows:
            if each.claim.version == version:
                return each
        there = ", ".join(str(each.claim.version) for each in self.rows[-5:]) or "none"
        raise Refused(f"{self.name}: no version {version} was entered; the newest: {there}")

    @property
    def newest(self) -> int:
        """The highest version that was ever entered; 0 where there is none."""
        return max((each.claim.version for each in self.rows), default=0)


def stands(
    chain: Sequence[bytes],
    revocations: Sequence[bytes],
    keys: Keys,
    name: str,
    *,
    now: float,
    known: Collection[str] = (),
) -> Standing:
    """What is valid of a model at a moment (seconds since the epoch)."""
    gone = read(revocations, keys, REVOKED)
    entries = read(chain, keys, named(name))
    heads = [each.head for each in entries]
    if lost := sorted({*known} - {"", *heads, *(each.head for each in gone)}):
        raise LogBroken(f"{name}: cut off: entry {lost[0][:12]} was there, and is gone")
    _ordered(entries, gone, name)
    if late := [each for each in (*entries, *gone) if each.claim.at > now + LATE]:
        raise LogBroken(f"{name}: an entry of {day(late[0].claim.at)}, of days to come")
    barred: dict[tuple[str, str], Revocation] = {
        (e.claim.what, e.claim.target): e.claim for e in gone if isinstance(e.claim, Revocation)
    }
    rows = {
        e.claim.version: Row(
            e.claim,
            e.signer,
            wrong := _wrong(e.claim, e.signer, barred, now),
            expired=bool(wrong) and not _wrong(e.claim, e.signer, barred, -1.0),
        )
        for e in entries
        if isinstance(e.claim, Version)
    }
    aliases: dict[str, Version] = {}
    fallen: dict[str, str] = {}
    past: dict[str, Version] = {}
    took: dict[str, set[int]] = {"": set(rows)}
    for entry in entries:
        if not isinstance(entry.claim, Move):
            continue
        move, row = entry.claim, rows[entry.claim.version]
        aliases.pop(move.alias, None)
        fallen.pop(move.alias, None)
        past.pop(move.alias, None)
        if key := barred.get(("key", entry.signer)):
            fallen[move.alias] = f"the key {entry.signer[:12]} that moved it is revoked: {key.reason}"
            continue
        if move.version not in took.get(STEPS[move.alias], set()):
            fallen[move.alias] = f"that version {move.version} was {STEPS[move.alias]} does not stand any more"
            continue
        took.setdefault(move.alias, set()).add(move.version)
        if row.wrong:
            fallen[move.alias] = f"version {move.version} {row.wrong}"
            past |= {move.alias: row.claim} if row.expired else {}
        else:
            aliases[move.alias] = row.claim
    told = tuple(_told(rows[version], entries, aliases) for version in sorted(rows))
    reasons = {target: each.reason for (_, target), each in barred.items()}
    return Standing(
        name, heads[-1] if heads else "", gone[-1].head if gone else "", told, aliases, fallen, past, reasons
    )


def _told(row: Row, entries: Sequence[Entry], aliases: dict[str, Version]) -> Row:
    moves = tuple(e for e in entries if isinstance(e.claim, Move) and e.claim.version == row.claim.version)
    return replace(row, aliases=tuple(a for a in STEPS if aliases.get(a) == row.claim), moves=moves)


def _ordered(entries: Sequence[Entry], gone: Sequence[Entry], name: str) -> None:
    """`LogBroken` unless versions and aliases only go forward, step by step, and no revocation is missing."""
    places = {"": 0} | {each.head: number for number, each in enumerate(gone, 1)}
    entered: dict[int, Version] = {}
    at: dict[str, int] = {}
    took: set[tuple[str, int]] = set()
    seen = 0
    for number, entry in enumerate(entries, 1):
        claim, where = entry.claim, f"{name}, entry {number}"
        if (place := places.get(claim.revocations, -1)) < seen:
            raise LogBroken(f"{where}: the revocations are cut off, or are others than its writer knew")
        seen = place
        if isinstance(claim, Version):
            if claim.version <= max(entered, default=0):
                raise LogBroken(f"{where}: version {claim.version} after {max(entered)}; versions only increase")
            entered[claim.version] = claim
        elif isinstance(claim, Move):
            made = entered.get(claim.version)
            if made is None or made.manifest != claim.manifest:
                raise LogBroken(f"{where}: {claim.alias} to version {claim.version}, which was not entered so")
            if claim.version < at.get(claim.alias, 0):
                raise LogBroken(f"{where}: {claim.alias} back from {at[claim.alias]} to {claim.version}")
            before = STEPS[claim.alias]
            if before and (before, claim.version) not in took:
                raise LogBroken(f"{where}: {claim.alias} for version {claim.version}, which was never {before}")
            if claim.alias == "production" and not claim.log:
                raise LogBroken(f"{where}: production without the head of the log of run {made.run}")
            at[claim.alias] = claim.version
            took.add((claim.alias, claim.version))


def _wrong(claim: Version, signer: str, barred: dict[tuple[str, str], Revocation], now: float) -> str:
    if model := barred.get(("model", claim.manifest)):
        return f"is revoked: {model.reason}"
    for sha in claim.data:
        if data := barred.get(("data", sha)):
            return f"comes from the dataset {sha[:12]}, which is revoked: {data.reason}"
    if key := barred.get(("key", signer)):
        return f"was entered by the key {signer[:12]}, which is revoked: {key.reason}"
    return f"expired on {day(claim.expires)}" if claim.expires <= now else ""
