"""Access to one S3 endpoint with nothing left to the surroundings: list what is there, fetch one version of it.

A client takes everything from its arguments. Environment variables, profiles, configuration files, proxies and
metadata services can redirect boto3, switch its verification off or give it other credentials; none of them is read,
and the client that resulted is checked before it is used. Each call names the account that must own the bucket, so
that a bucket of the same name in other hands is refused by the server.
"""

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from pydantic import field_validator

from security.errors import CannotTell, KeyBroken, StoreError
from security.verdict import Frozen

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(iam::[\w-]*:(user|role)/[^:*?]+|sts::\d{12}:assumed-role/[^:*?/]+/[^:*?/]+)")
CONNECT, READ, ATTEMPTS = 5.0, 30.0, 3
"""Seconds to connect, seconds between two pieces of an answer, and how often one call is tried in all."""


class Endpoint(Frozen):
    """Where a bucket lies. `ca` is the path of a CA bundle, empty for the public authorities; `account` the owner.

    `principal` is the ARN under which policies know the pipeline, where that is known.
    """

    url: str
    region: str
    account: str
    ca: str = ""
    principal: str = ""

    @property
    def amazon(self) -> bool:
        """Whether this is AWS itself, which also has interfaces for accounts and principals."""
        return (urlsplit(self.url).hostname or "").endswith(AMAZON)

    @field_validator("principal")
    @classmethod
    def _arn(cls, principal: str) -> str:
        if principal and not PRINCIPAL.fullmatch(principal):
            raise ValueError("a principal is the ARN of a user, a role or an assumed role")
        return principal

    @field_validator("url")
    @classmethod
    def _https(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.path.strip("/") or parts.query:
            raise ValueError("an endpoint is https://host[:port], and nothing else")
        return url.rstrip("/")

    @field_validator("region")
    @classmethod
    def _named(cls, region: str) -> str:
        if not region:
            raise ValueError("an endpoint has a region")
        return region

    @field_validator("account")
    @classmethod
    def _account(cls, account: str) -> str:
        if len(account) != 12 or not (account.isascii() and account.isdecimal()):
            raise ValueError("an account is twelve digits")
        return account


@dataclass(frozen=True)
class Credentials:
    """An access key and its secret; neither is shown."""

    access: str = field(repr=False)
    secret: str = field(repr=False)


class Object(Frozen):
    """One version of one object: size in bytes. `etag` is the store's own mark and no digest of the content."""

    key: str
    version: str
    size: int
    etag: str


@lru_cache(maxsize=1)
def deaf() -> "Session":
    """A session to which nothing around it speaks. It holds no credentials; what it keeps is the API's description."""
    import boto3
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as VARIABLES
    from botocore.loaders import Loader
    from botocore.session import Session as Inner

    # Each variable says where it is looked for: (in the profile, in the environment, default, conversion).
    unread: dict[str, Any] = {name: (None, None, default, kind) for name, (_, _, default, kind) in VARIABLES.items()}
    unread |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    inner = Inner(session_vars=unread)
    inner.register_component("data_loader", Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False))
    return boto3.Session(botocore_session=inner)


def client(endpoint: Endpoint, credentials: Credentials, *, attempts: int = ATTEMPTS) -> "S3Client":
    """A client for exactly this endpoint; `KeyBroken` without credentials, `CannotTell` if it came out otherwise."""
    from botocore.config import Config

    if not (credentials.access and credentials.secret):
        raise KeyBroken("an access key and its secret are needed; one of them is empty")
    if endpoint.ca and not os.path.isfile(endpoint.ca):
        raise KeyBroken("the CA bundle of the endpoint is not a file")
    made = deaf().client(
        "s3",
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        verify=endpoint.ca or True,
        aws_access_key_id=credentials.access,
        aws_secret_access_key=credentials.secret,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path", "use_accelerate_endpoint": False, "payload_signing_enabled": True},
            proxies={},
            connect_timeout=CONNECT,
            read_timeout=READ,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_supported",
        ),
    )
    resolved(made, endpoint)
    return made


def resolved(made: "S3Client", endpoint: Endpoint) -> dict[str, Any]:
    """What a client came out as: url, region, authority, proxies; `CannotTell` if that is not what was asked for."""
    session = made._endpoint.http_session  # type: ignore[attr-defined]
    verify, proxies = session._verify, session._proxy_config._proxies
    wanted: tuple[Any, ...] = (endpoint.url, endpoint.region, endpoint.ca or True, {})
    if (made.meta.endpoint_url, made.meta.region_name, verify, proxies) != wanted or verify in (False, None):
        raise CannotTell("the S3 client was resolved to another endpoint, region, authority or proxy than was given")
    authority = "public" if verify is True else "given"
    return {"url": made.meta.endpoint_url, "region": made.meta.region_name, "ca": authority, "proxies": len(proxies)}


kept = lru_cache(maxsize=8)(client)
"""A client that is made once for an endpoint and a pair of keys."""


def listing(endpoint: Endpoint, credentials: Credentials, bucket: str, prefix: str) -> list[Object]:
    """The newest version of every object under `prefix`, sorted by key; an object that is deleted is left out.

    `CannotTell` where the listing cannot be had or believed: a page that says there is more and not where, a key
    outside of the prefix or listed twice, or an object without a version to pin it to. Nothing there is an empty
    list, for the caller to refuse.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    s3, listed, marks = kept(endpoint, credentials), dict[str, Object](), dict[str, str]()
    while True:
        try:
            page = s3.list_object_versions(
                Bucket=bucket,
                Prefix=prefix,
                ExpectedBucketOwner=endpoint.account,
                **marks,  # type: ignore[arg-type]
            )
        except (BotoCoreError, ClientError) as why:
            raise CannotTell(f"s3://{bucket}/{prefix} cannot be listed: {named(why)}") from None
        for each in page.get("Versions", []):
            if not each["IsLatest"]:
                continue
            found = Object(key=each["Key"], version=each["VersionId"], size=each["Size"], etag=each["ETag"].strip('"'))
            if not found.key.startswith(prefix) or found.key in listed:
                raise CannotTell(f"the listing of s3://{bucket}/{prefix} names a key twice, or one from elsewhere")
            if found.version in ("", "null"):
                raise CannotTell(f"an object of s3://{bucket}/{prefix} has no version that it could be pinned to")
            listed[found.key] = found
        if not page["IsTruncated"]:
            return [listed[key] for key in sorted(listed)]
        further = {"KeyMarker": page.get("NextKeyMarker", ""), "VersionIdMarker": page.get("NextVersionIdMarker", "")}
        further = {name: mark for name, mark in further.items() if mark}
        if "KeyMarker" not in further or further == marks:
            raise CannotTell(f"the listing of s3://{bucket}/{prefix} is cut off, and does not say where it goes on")
        marks = further


def fetch(endpoint: Endpoint, credentials: Credentials, bucket: str, wanted: Object, out: BinaryIO) -> tuple[str, int]:
    """Write one pinned version to `out`; the SHA-256 and the size in bytes of what was written.

    `StoreError` if the store answers with another version, another size, or a SHA-256 of the whole (its
    `x-amz-checksum-sha256`, where it keeps one) that is not that of what it sent; `CannotTell` if it does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    hashed, size = hashlib.sha256(), 0
    try:
        reply = kept(endpoint, credentials).get_object(
            Bucket=bucket,
            Key=wanted.key,
            VersionId=wanted.version,
            ExpectedBucketOwner=endpoint.account,
            ChecksumMode="ENABLED",
        )
        with closing(reply["Body"]) as body:
            if reply.get("VersionId") != wanted.version:
                raise StoreError(f"s3://{bucket}/{wanted.key}: another version was sent than {wanted.version}")
            for chunk in body.iter_chunks(CHUNK):
                hashed.update(chunk)
                size += len(chunk)
                if size > wanted.size:
                    break
                out.write(chunk)
    except (BotoCoreError, ClientError) as why:
        raise CannotTell(f"s3://{bucket}/{wanted.key} cannot be read: {named(why)}") from None
    if size != wanted.size:
        raise StoreError(f"s3://{bucket}/{wanted.key}: {size:,} bytes or more were sent; {wanted.size:,} were listed")
    if checksum(reply) not in ("", b64encode(hashed.digest()).decode()):
        raise StoreError(f"s3://{bucket}/{wanted.key}: S3-SHA: its store keeps another SHA-256 than was sent")
    return hashed.hexdigest(), size


def checksum(reply: Mapping[str, Any]) -> str:
    """The SHA-256 of the whole that a store says it keeps, in base64; empty where it keeps none, or one of parts."""
    told = str(reply.get("ChecksumSHA256", ""))
    return "" if "-" in told or reply.get("ChecksumType") == "COMPOSITE" else told


def named(why: Exception) -> str:
    """The code that the server gave, or the name of the error."""
    answer: dict[str, Any] = getattr(why, "response", None) or {}
    return str(answer.get("Error", {}).get("Code") or type(why).__name__)
