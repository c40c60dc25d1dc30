"""Known-bad manifests: for each rule a maker that takes one and breaks that rule."""

import base64
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from security.fresh import Fresh
from security.gate import Violation
from security.gates.inputs.facts import DATASET, KEY, MANIFEST, REVOKED, Item
from security.keys import STATEMENT, spell
from security.verdict import canonical


def _foreign(claim: Mapping[str, Any], draw: random.Random) -> tuple[bytes, bytes]:
    """A statement signed by a fresh key: the key in PEM, and the envelope."""
    fresh, body = Fresh(draw), canonical(dict(claim))
    return fresh.public.pem, spell(body, fresh.sign(body), fresh.public.id)


def _claim(sample: Sequence[Item], draw: random.Random) -> dict[str, Any]:
    """What the sample's manifest says, whoever signed it; where it says nothing, something made up."""
    try:
        claim: dict[str, Any] = json.loads(base64.b64decode(json.loads(dict(sample)[MANIFEST])["payload"]))
        claim["predicate"]["manifest"]["sources"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        subject = [{"name": "manifest.json", "digest": {"sha256": f"{draw.getrandbits(256):064x}"}}]
        manifest = {"manifest": {"sources": {"2000-01-01": [_piece(draw)]}}}
        claim = {"_type": STATEMENT, "subject": subject, "predicateType": DATASET, "predicate": manifest}
    return claim


def _piece(draw: random.Random) -> dict[str, Any]:
    sha = f"{draw.getrandbits(256):064x}"
    return {"key": f"made/up/{sha[:9]}", "version": sha[:16], "sha256": sha, "size": draw.randrange(1, 1 << 20)}


def _signed_again(change: Callable[[dict[str, Any], random.Random], None]) -> Violation[Item]:
    """Makes the manifest with other sources. Only the producer can sign it, so a fresh key is handed out as his."""

    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        claim = _claim(sample, draw)
        change(claim["predicate"]["manifest"]["sources"], draw)
        pem, envelope = _foreign(claim, draw)
        return [Item(KEY, pem), Item(REVOKED, b"[]"), Item(MANIFEST, envelope)]

    return make


def _unsigned(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """The manifest signed by somebody else, altered, or none at all."""
    claim, held = _claim(sample, draw), dict(sample)
    envelope = draw.choice([_foreign(claim, draw)[1], held.get(MANIFEST, b"")[:-9], b"", draw.randbytes(40)])
    return [*(item for item in sample if item.name != MANIFEST), Item(MANIFEST, envelope)]


def _struck(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """The same with one of its digests on the list."""
    claim = _claim(sample, draw)
    every = [each["sha256"] for pieces in claim["predicate"]["manifest"]["sources"].values() for each in pieces]
    sha = draw.choice([claim["subject"][0]["digest"]["sha256"], *every])
    return [Item(REVOKED, json.dumps([sha]).encode()) if item.name == REVOKED else item for item in sample]


def _more(sources: dict[str, Any], draw: random.Random) -> None:
    sources[f"{draw.randrange(2200, 9999)}-01-01"] = [_piece(draw)]


def _less(sources: dict[str, Any], draw: random.Random) -> None:
    sources.pop(draw.choice(sorted(sources)), None)


def _other(sources: dict[str, Any], draw: random.Random) -> None:
    pieces = sources[draw.choice(sorted(sources))]
    change = _piece(draw)
    ways = [lambda: pieces.append(change), lambda: pieces[0].update(version=change["version"]), lambda: pieces.pop()]
    draw.choice(ways)()


VIOLATIONS: dict[str, Violation[Any]] = {
    "INP-SIGNED": _unsigned,
    "INP-REVOKED": _struck,
    "INP-EXTRA": _signed_again(_more),
    "INP-MISSING": _signed_again(_less),
    "INP-VERSION": _signed_again(_other),
}
