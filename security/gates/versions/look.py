"""Looks at a model's files, its chain and the revocations. Everything of the chain is verified here, by the keys that
were handed out."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from configs.card import card as declared
from configs.files import ConfigError
from security.errors import CannotTell, KeyBroken, LogBroken
from security.gates.versions.facts import (
    APPROVER,
    DECLARED,
    ENTRY,
    FILE,
    GONE,
    KEY,
    KINDS,
    ROLES,
    TOLD,
    Chain,
    Entered,
    Facts,
    Item,
    Said,
    Told,
    release,
)
from security.keys import PublicKey
from security.models.chain import Keys, Move
from security.models.manifest import NEWEST
from security.models.standing import Standing, stands
from security.models.statement import card
from security.verdict import digest


class Packed(NamedTuple):
    """What was handed out, by kind. Keys are not read yet; entries are in the order in which they came."""

    files: dict[str, bytes]
    entries: tuple[Item, ...]
    gone: tuple[Item, ...]
    keys: Keys
    told: Told
    declared: Item


def unpack(items: Iterable[Item]) -> Packed:
    """All items, by kind; `CannotTell` where something is missing, twice, or of no kind that is known."""
    held: dict[str, list[Item]] = {kind: [] for kind in sorted(KINDS)}
    for item in items:
        if item.kind not in held:
            raise CannotTell(f"handed out: {item.kind!a}; allowed: {', '.join(held)}")
        held[item.kind].append(item)
    if not held[FILE]:
        raise CannotTell("there is nothing to look at: no files", "coverage")
    for kind in (FILE, ENTRY, GONE, APPROVER):
        if len({item.name for item in held[kind]}) != len(held[kind]):
            raise CannotTell(f"handed out twice: one {kind}")
    if (len(held[TOLD]), len(held[DECLARED])) != (1, 1):
        raise CannotTell("what is told of the run, and the declared card, are handed out once each")
    if unknown := sorted({item.name for item in held[KEY]} - {*ROLES}):
        raise CannotTell(f"a key for {unknown[0]!a}; allowed: {', '.join(ROLES)}")
    try:
        by = {role: tuple(PublicKey(item.data) for item in held[KEY] if item.name == role) for role in ROLES}
        persons = {item.name: item.data.decode() for item in held[APPROVER]}
        keys, told = Keys(**by, approvers=persons), Told.model_validate_json(held[TOLD][0].data)
    except (KeyBroken, ValidationError, ValueError) as why:
        raise CannotTell(f"the keys, or what is told of the run, cannot be read ({type(why).__name__})") from None
    files = {item.name: item.data for item in held[FILE]}
    return Packed(files, tuple(held[ENTRY]), tuple(held[GONE]), keys, told, held[DECLARED][0])


def found(items: Iterable[Item]) -> Facts:
    """The facts of a model that is handed out with its chains, the keys, and what is told."""
    packed, at = unpack(items), round(time.time(), 3)
    said, problem = _said(packed.files)
    chain, broken = None, ""
    try:
        name = packed.told.name
        entries, gone = _lines(packed.entries, name), _lines(packed.gone, "revoked")
        chain = _chain(stands(entries, gone, packed.keys, name, now=at, known=packed.told.known), said, packed)
    except (LogBroken, KeyBroken) as why:
        broken = str(why)
    sha, lacks = _declared(packed.declared)
    by = {"producer": packed.keys.producer, "verifier": packed.keys.verifier, "owner": packed.keys.owner}
    ids = {role: tuple(sorted(key.id for key in each)) for role, each in by.items()}
    return Facts(
        at=at,
        files=len(packed.files),
        entries=len(packed.entries) + len(packed.gone),
        release=release(packed.files),
        card=said,
        problem=problem,
        told=packed.told,
        keys=ids | {"approver": tuple(sorted(packed.keys.approvers))},
        chain=chain,
        broken=broken,
        declared=packed.declared.name,
        sha256=sha,
        lacks=lacks,
    )


def _said(files: dict[str, bytes]) -> tuple[Said | None, str]:
    try:
        said = Said.model_validate(card(files)[0].model_dump())
    except LogBroken as why:
        return None, str(why)
    if said.version > NEWEST:
        return None, f"found a version above {NEWEST}, which no registry has"
    return said, ""


def _lines(items: Sequence[Item], name: str) -> list[bytes]:
    """The entries of a chain in their order, from 1; `LogBroken` where one is missing or has no number."""
    for number, item in enumerate(items, 1):
        if item.name != str(number):
            raise LogBroken(f"{name}: found the entry {item.name[:40]!a} in the place of {number}")
    return [item.data for item in items]


def _chain(standing: Standing, said: Said | None, packed: Packed) -> Chain:
    moves = [entry.claim for row in standing.rows for entry in row.moves]
    production = [move.version for move in moves if isinstance(move, Move) and move.alias == "production"]
    row = next((row for row in standing.rows if said and row.claim.version == said.version), None)
    origin = {packed.told.data, *(key.id for key in packed.keys.producer)}
    origin |= {said.data} if said else set()
    origin |= {row.claim.manifest, row.signer, *row.claim.data} if row else set()
    return Chain(
        head=standing.head,
        revocations=standing.revocations,
        newest=standing.newest,
        production=max(production, default=0),
        entered=Entered(manifest=row.claim.manifest, release=row.claim.release, wrong=row.wrong) if row else None,
        revoked={sha: standing.barred[sha] for sha in sorted(origin & standing.barred.keys())},
    )


def _declared(item: Item) -> tuple[str, str]:
    """The digest of a declared card, and why it is none."""
    if not item.data:
        return "", "there is none"
    try:
        data: Any = json.loads(item.data)
        sha = digest(data)
    except (ValueError, RecursionError) as why:
        return "", f"it cannot be read ({type(why).__name__})"
    try:
        declared(data, item.name)
    except ConfigError as why:
        return sha, str(why)
    return sha, ""
