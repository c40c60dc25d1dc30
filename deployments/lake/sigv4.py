"""AWS Signature Version 4 for S3: who signed a request, in its `Authorization` header or in a presigned URL.

Within its life (15 minutes, or what a presigned URL says) a signed request can be sent again, as with S3 itself. The
signature covers a hash of the body, if any; `payload` compares the two.

Source: AWS, "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

ACCOUNT, REGION = "123456789012", "us-east-1"
SKEW, LONGEST = timedelta(minutes=15), timedelta(days=7)
ALGORITHM = "AWS4-HMAC-SHA256"
PARTS = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
PRESIGNED = frozenset(f"X-Amz-{part}" for part in PARTS)
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Error(Exception):
    """A refusal, as S3 words it: HTTP status, S3's error code, a sentence."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        """Make a refusal; without a sentence the code is the sentence."""
        super().__init__(code, message)
        self.status, self.code, self.message = status, code, message or code


def denied() -> S3Error:
    """The refusal of somebody who may not."""
    return S3Error(403, "AccessDenied", "Access Denied")


@dataclass(frozen=True)
class Principal:
    """Somebody with a secret, and what the account allows that one before any bucket policy speaks."""

    name: str
    secret: str = field(repr=False)
    allow: tuple[tuple[str, str], ...]
    """Pairs of an action pattern and a resource pattern, both with * and ?."""
    root: bool = False
    """May always repair a bucket policy, as an account's root user can."""

    @property
    def arn(self) -> str:
        """The name by which bucket policies know this principal."""
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


@dataclass
class Request:
    """One request as it came, with nothing decoded but the key; the path alone names the bucket."""

    method: str
    path: str
    """As sent, percent-encoded."""
    query: dict[str, str]
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes = field(repr=False)
    client: str
    tls: str = ""
    """Version of the TLS that it came over, such as 1.3."""
    bucket: str = field(init=False, default="")
    key: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Name bucket and key, or refuse what the front and the store could read differently."""
        self.bucket, _, rest = self.path.removeprefix("/").partition("/")
        if not self.path.startswith("/") or (not self.bucket and self.path != "/"):
            raise S3Error(400, "InvalidURI")
        if self.bucket and not BUCKET.fullmatch(self.bucket):
            raise S3Error(400, "InvalidBucketName")
        try:
            self.key = unquote(rest, errors="strict")
        except UnicodeDecodeError:
            raise S3Error(400, "InvalidURI") from None
        # The store would read the fields of a form as parameters of the query, after the query was judged.
        if self.headers.get("content-type", "").lower().startswith(("application/x-www-form", "multipart/form")):
            raise S3Error(400, "InvalidRequest", "form bodies are not accepted")


@dataclass(frozen=True)
class Claim:
    """What a request says about its own signature; nothing of it is believed yet."""

    access: str
    day: str
    headers: tuple[str, ...]
    stamp: str
    life: timedelta
    payload: str
    signature: str

    @property
    def scope(self) -> str:
        """The only scope accepted: this region, this service, this day."""
        return f"{self.day}/{REGION}/s3/aws4_request"


def authenticate(req: Request, principals: Mapping[str, Principal]) -> Principal | None:
    """The signer; None where there are no credentials at all.

    Args:
        req: its query loses the parameters of a presigned URL.
        principals: by access key.

    Raises:
        S3Error: anything about the credentials is wrong, unknown or too old.
    """
    sent, header = dict(req.query), req.headers.get("authorization")
    presigned = not PRESIGNED.isdisjoint(sent)
    if header is None and not presigned:
        return None
    if header is not None and presigned:
        raise S3Error(400, "InvalidArgument", "only one way to authenticate is allowed")
    claim = _from_header(header, req.headers) if header is not None else _from_query(sent)
    req.query = {name: value for name, value in sent.items() if name not in PRESIGNED}
    must = {"host", *(name for name in req.headers if name.startswith("x-amz-"))}
    if not must <= set(claim.headers) or not timedelta() < claim.life <= LONGEST:
        raise S3Error(403, "AccessDenied", "There were headers present in the request which were not signed")
    who = principals.get(claim.access)
    if who is None:
        raise S3Error(403, "InvalidAccessKeyId")
    expected = _signature(claim, who.secret, _canonical(claim, req, sent))
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise S3Error(403, "SignatureDoesNotMatch")
    age = datetime.now(UTC) - _time(claim.stamp)
    if age > claim.life or age < -SKEW:
        raise S3Error(403, "AccessDenied" if presigned else "RequestTimeTooSkewed", "Request has expired")
    return who


def _from_header(header: str, headers: Mapping[str, str]) -> Claim:
    algorithm, _, rest = header.partition(" ")
    given = {"Algorithm": algorithm}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        given[name] = value
    return _claim(given, headers.get("x-amz-date", ""), SKEW, headers.get("x-amz-content-sha256", ""))


def _from_query(sent: Mapping[str, str]) -> Claim:
    given = {name.removeprefix("X-Amz-"): sent[name] for name in PRESIGNED & sent.keys()}
    try:
        life = timedelta(seconds=int(given["Expires"]))
    except (KeyError, ValueError, OverflowError):
        raise S3Error(400, "AuthorizationQueryParametersError") from None
    return _claim(given, given.get("Date", ""), life, "UNSIGNED-PAYLOAD")


def _claim(given: Mapping[str, str], stamp: str, life: timedelta, payload: str) -> Claim:
    try:
        access, day, region, service, end = given["Credential"].split("/")
        headers, signature = tuple(given["SignedHeaders"].split(";")), given["Signature"]
        _time(stamp)
    except (KeyError, ValueError):
        raise S3Error(400, "AuthorizationHeaderMalformed") from None
    claim = Claim(access, day, headers, stamp, life, payload, signature)
    if given["Algorithm"] != ALGORITHM or claim.scope != f"{day}/{region}/{service}/{end}" or day != stamp[:8]:
        raise S3Error(400, "AuthorizationHeaderMalformed")
    return claim


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _canonical(claim: Claim, req: Request, sent: Mapping[str, str]) -> str:
    pairs = sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in sent.items() if n != "X-Amz-Signature")
    query = "&".join(f"{name}={value}" for name, value in pairs)
    lines = "".join(f"{name}:{' '.join(req.headers.get(name, '').split())}\n" for name in claim.headers)
    return "\n".join((req.method, req.path, query, lines, ";".join(claim.headers), claim.payload))


def _signature(claim: Claim, secret: str, canonical: str) -> str:
    key = b"AWS4" + secret.encode()
    for part in claim.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"{ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()
