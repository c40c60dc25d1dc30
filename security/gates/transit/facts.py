"""The facts about the way to a bucket, read from the answers of one visit; what cannot be read is `CannotTell`."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import ValidationError, field_validator

from security.engines import iam
from security.engines.handshake import CLOSED, LOWER
from security.engines.replies import NO, Replies, complete
from security.errors import CannotTell
from security.gates.transit.rules import EVIDENCE
from security.verdict import Frozen

Version = Literal["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
Unverified = Literal["other_authority", "other_name"]

OFFERS: Mapping[Version, str] = {
    "TLSv1.0": "tls_1_0",
    "TLSv1.1": "tls_1_1",
    "TLSv1.2": "tls_1_2",
    "TLSv1.3": "tls_1_3",
}
"""Version -> the question in which it is offered alone."""
QUESTIONS = ("endpoint", "location", "policy", "plain_http", *OFFERS.values(), *get_args(Unverified))
ABSENT = {"policy": frozenset({"NoSuchBucketPolicy"})}
REFUSALS = {CLOSED, LOWER, 40, 47, 70, 71, 80, 86}
"""Alerts that refuse an offer (RFC 8446, 6): handshake failure, illegal parameter, protocol version, insufficient
security, internal error (OpenSSL's, where it may not sign as the old versions do), fallback; or none."""


class Facts(Frozen):
    """How the way to the bucket is closed. `rows`: for each rule the questions it rests on, and their answers."""

    https: bool
    as_given: bool
    proxies: int
    authority: Literal["given", "public", "none"]
    tls: str
    region: str
    location: str
    secure_transport: bool
    tls_version: bool
    plain: Literal["refused", "told", "served"]
    taken: tuple[Version, ...]
    unverified: tuple[Unverified, ...]
    rows: dict[str, dict[str, str]]

    @field_validator("rows")
    @classmethod
    def _whole(cls, rows: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return complete(rows, EVIDENCE)


def read(answers: Mapping[str, Mapping[str, Any]], bucket: str) -> Facts:
    """The facts; `CannotTell` names every question that has no answer."""
    replies = Replies(answers, QUESTIONS, ABSENT)
    statements = iam.parse(replies.member("policy", "document", dict)) if replies.declared("policy") else ()
    replies.declared("location")
    taken = [version for version, name in OFFERS.items() if _taken(replies, name)]
    if not {"TLSv1.2", "TLSv1.3"} & set(taken):
        raise CannotTell("no current version of TLS is taken up when it is offered alone: a refusal proves nothing")
    url = replies.member("endpoint", "url", str)
    try:
        return Facts.model_validate(
            {
                "https": url.startswith("https://"),
                "as_given": url == replies.member("endpoint", "wanted", str),
                "proxies": replies.member("endpoint", "proxies", int),
                "authority": replies.member("endpoint", "ca", str),
                "tls": replies.member("endpoint", "tls", str),
                "region": replies.member("endpoint", "region", str),
                "location": replies.member("location", "region", str),
                "secure_transport": iam.tls_only(statements, bucket),
                "tls_version": iam.tls_current(statements, bucket),
                "plain": _plain(replies),
                "taken": taken,
                "unverified": [name for name in get_args(Unverified) if replies.member(name, "taken", bool)],
                "rows": replies.rows(EVIDENCE),
            }
        )
    except ValidationError as why:
        raise CannotTell(f"an answer is not in the vocabulary: {why.errors()[0]['loc'][0]}") from None


def _taken(replies: Replies, name: str) -> bool:
    if replies.member(name, "taken", bool):
        return True
    alert = replies.member(name, "alert", int)
    if alert not in REFUSALS:
        raise CannotTell(f"{name} was answered with alert {alert}: neither taken up nor refused")
    return False


def _plain(replies: Replies) -> str:
    """What plain HTTP was answered with. 0: nobody there speaks it; 400, 426: told to use TLS; 30x onward to https."""
    control = replies.member("plain_http", "control", int)
    if not 200 <= control < 300:
        raise CannotTell(
            f"the request that is sent in the clear was answered with {control} over TLS: it proves nothing"
        )
    status = replies.member("plain_http", "status", int)
    if 200 <= status < 300:
        return "served"
    onward = 300 <= status < 400 and replies.member("plain_http", "onward", bool)
    if status not in (0, 400, *NO, 426) and not onward:
        raise CannotTell(f"{replies.said('plain_http')}: neither granted nor refused")
    return "told" if replies.member("plain_http", "told", bool) else "refused"
