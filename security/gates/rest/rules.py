"""The rules about what lies in the store, and for each a maker of answers that break it alone.

Controls: AWS Security Hub FSBP, Prowler 5, NIST SP 800-53 r5, OWASP ML Top 10 2023.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from security.gate import Violation
from security.gates.rest.facts import ABSENT, DEFAULT, VOLUMES, Place
from security.posture import Answer, amended, reply
from security.verdict import Rule

RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule(
            id="S3-SSE",
            title="The bucket's default encryption is not by an expected key",
            severity="high",
            remedy="set default encryption with SSE-KMS and a key of yours, and name the key in the policy",
            controls=("FSBP:S3.17", "prowler:s3_bucket_kms_encryption", "NIST-800-53:SC-28(1)"),
        ),
        Rule(
            id="S3-SSE-OBJ",
            title="A version that was read is not encrypted by an expected key",
            severity="high",
            remedy="copy the object onto itself under the expected key; a new default changes no old object",
            controls=("NIST-800-53:SC-28(1)",),
        ),
        Rule(
            id="S3-SHA",
            title="The bytes that were read are not those of the manifest, or not those that the store keeps",
            severity="high",
            remedy="ingest again; if it stays, find out which of task, quarantine and store changed them",
            controls=("NIST-800-53:SI-7", "OWASP-ML02:2023"),
        ),
        Rule(
            id="VOL-ENC",
            title="Rows are worked with on a volume that is not encrypted",
            severity="high",
            remedy="put the home on a LUKS volume, or into a folder with an fscrypt policy",
            controls=("NIST-800-53:SC-28(1)",),
        ),
    )
}


def _key(sample: Sequence[Answer], draw: random.Random) -> str:
    return draw.choice([question for question, _ in sample if question not in (DEFAULT, VOLUMES)])


def _changed(sample: Sequence[Answer], question: str, draw: random.Random) -> Sequence[Answer]:
    """The sample with one answer that no policy can allow."""
    ways: list[dict[str, Any]] = [
        {"algorithm": "AES256", "key": ""},
        {"algorithm": "aws:kms", "key": ""},
        {"algorithm": "aws:kms", "key": f"arn:aws:kms:xx-nowhere-1:000000000000:key/{draw.getrandbits(64):016x}"},
        {"algorithm": "none", "key": ""} if question else {"status": 404, "code": ABSENT},
    ]
    change = draw.choice(ways)
    if question:
        return amended(sample, question, **change)
    return [(each, {"status": 200, **change} if each == question else answer) for each, answer in sample]


def _object(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    return _changed(sample, _key(sample, draw), draw)


def _other(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    """The sample with one version that has another SHA-256 or size than its manifest says, in quarantine or store."""
    question, sha, more = _key(sample, draw), f"{draw.getrandbits(256):064x}", draw.randrange(1, 4096)
    answer = reply(sample, question)
    held = answer.get("quarantine", {})
    ways: tuple[dict[str, Any], ...] = (
        {"quarantine": {**held, "sha256": sha}},
        {"quarantine": {**held, "size": held.get("size", 0) + more}},
        {"sha256": sha},
        {"size": answer.get("size", 0) + more},
    )
    return amended(sample, question, **draw.choice(ways))


def _plain(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    """The sample with one volume that is not encrypted."""
    return amended(sample, VOLUMES, **{draw.choice(get_args(Place)): "plain"})


VIOLATIONS: Mapping[str, Violation[Answer]] = {
    "S3-SSE": lambda sample, draw: _changed(sample, DEFAULT, draw),
    "S3-SSE-OBJ": _object,
    "S3-SHA": _other,
    "VOL-ENC": _plain,
}
