"""Known-bad approvals: for each rule a maker that takes what lies there and breaks that rule."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from security.errors import LogBroken
from security.fresh import Fresh
from security.gate import Violation
from security.gates.approval.claim import read, sign
from security.gates.approval.facts import APPROVAL, ASKED, OTHER, Asked, Item

DAY = 86_400.0


def _asked(sample: Sequence[Item]) -> Asked:
    return Asked.model_validate(json.loads(next(item.data for item in sample if item.kind == ASKED)))


def _approvals(sample: Sequence[Item]) -> list[bytes]:
    return [item.data for item in sample if item.kind == APPROVAL]


def _rest(sample: Sequence[Item]) -> list[Item]:
    return [item for item in sample if item.kind != APPROVAL]


def _signer(envelope: bytes) -> str:
    try:
        return read(envelope).signer
    except LogBroken:
        return ""


def _claim(sample: Sequence[Item], draw: random.Random) -> dict[str, Any]:
    """What an approval of the sample says, or something made up where there is none."""
    for envelope in _approvals(sample):
        try:
            return read(envelope).claim.model_dump(exclude={"key"})
        except LogBroken:
            continue
    at = _asked(sample).at
    made = {"name": "made", "target": "up", "reason": "made up for a look", "requester": "Eve", "approver": "Mallory"}
    return made | {"issued": at - 1, "expires": at + DAY, "image": _asked(sample).image}


Change = Callable[[dict[str, Any], Asked, random.Random], str | None]
"""Changes a claim; the digest that the approval is of, where that is to be another."""


def _resigned(change: Change) -> Violation[Item]:
    """Only an approver can sign another claim, so a fresh key signs it in place of all that there are."""

    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        claim, asked = _claim(sample, draw), _asked(sample)
        model = change(claim, asked, draw) or asked.model
        return [*_rest(sample), Item(APPROVAL, sign(model, Fresh(draw), **claim))]

    return make


def _same(claim: dict[str, Any], asked: Asked, draw: random.Random) -> None:
    return None


def _model(claim: dict[str, Any], asked: Asked, draw: random.Random) -> str:
    return f"{draw.getrandbits(256):064x}"


def _target(claim: dict[str, Any], asked: Asked, draw: random.Random) -> None:
    claim[draw.choice(["target", "name"])] += draw.choice(["_2", "x", "_test"])


def _time(claim: dict[str, Any], asked: Asked, draw: random.Random) -> None:
    ended = {"issued": max(asked.at - 9 * DAY, 0.0), "expires": asked.at}
    ahead = {"issued": asked.at + 1, "expires": asked.at + DAY}
    ever = {"issued": asked.at, "expires": asked.at + 400 * DAY}
    claim.update(draw.choice([ended, ahead, ever]))


def _image(claim: dict[str, Any], asked: Asked, draw: random.Random) -> None:
    """Of another image, or of none where there is one."""
    claim["image"] = draw.choice([f"{draw.getrandbits(256):064x}", *([""] if asked.image else [])])


def _alone(claim: dict[str, Any], asked: Asked, draw: random.Random) -> None:
    claim["requester"] = draw.choice([claim["approver"], claim["approver"].upper()])


def _none(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """Nobody approved it; or all who did, did another model."""
    return [*_rest(sample), *[Item(OTHER, b"")] * draw.choice([0, len(_approvals(sample))])]


def _altered(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """Beside those that are there, one that is none: cut off, another's signature, or no envelope at all."""
    good, asked = sign(_asked(sample).model, Fresh(draw), **_claim(sample, draw)), _asked(sample)
    other = json.loads(sign(asked.model, Fresh(draw), **_claim(sample, draw)))
    mixed = json.dumps({**json.loads(good), "signatures": other["signatures"]}).encode()
    return [*sample, Item(APPROVAL, draw.choice([good[:-9], mixed, b"", b"{}", good + b" ", draw.randbytes(40)]))]


def _revoked(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """The keys of all who approved it were revoked."""
    asked, envelopes = _asked(sample), [each for each in _approvals(sample) if _signer(each)]
    envelopes = envelopes or [sign(asked.model, Fresh(draw), **_claim(sample, draw))]
    gone = tuple(sorted({*asked.revoked, *map(_signer, envelopes)}))
    told = asked.model_copy(update={"revoked": gone})
    rest = [item for item in _rest(sample) if item.kind != ASKED]
    return [
        Item(ASKED, told.model_dump_json().encode()),
        *rest,
        *(Item(APPROVAL, each) for each in envelopes),
    ]


VIOLATIONS: dict[str, Violation[Any]] = {
    "APR-01": _none,
    "APR-02": _altered,
    "APR-03": _resigned(_same),
    "APR-04": _revoked,
    "APR-05": _resigned(_model),
    "APR-06": _resigned(_target),
    "APR-07": _resigned(_time),
    "APR-08": _resigned(_alone),
    "APR-09": _resigned(_image),
}
