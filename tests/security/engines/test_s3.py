"""A client that nothing around it can turn, a listing that is believed only whole, and bytes that are pinned."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.lake import store
from deployments.lake.server import Lake
from security.engines import s3
from security.engines.s3 import Credentials, Endpoint, Object, client, fetch, listing, resolved
from security.errors import CannotTell, KeyBroken, StoreError

Keys = Callable[[str], Credentials]

HOSTILE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_PROFILE": "nobody",
    "AWS_ACCESS_KEY_ID": "WRONG",
    "AWS_SECRET_ACCESS_KEY": "wrong",
    "AWS_SESSION_TOKEN": "wrong",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
    "AWS_CA_BUNDLE": "nowhere.pem",
    "REQUESTS_CA_BUNDLE": "nowhere.pem",
    "SSL_CERT_FILE": "nowhere.pem",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_MAX_ATTEMPTS": "50",
    "AWS_DEFAULTS_MODE": "auto",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "nonsense",
    "AWS_DATA_PATH": "nowhere",
}


@pytest.fixture
def own(keys: Keys) -> Credentials:
    return keys("pipeline")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://127.0.0.1:1"},
        {"url": "127.0.0.1:1"},
        {"url": ""},
        {"url": "https://"},
        {"url": "https://user@host"},
        {"url": "https://host/path"},
        {"url": "https://host?x=1"},
        {"region": ""},
        {"account": ""},
        {"account": "12345678901"},
        {"account": "١٢٣٤٥٦٧٨٩٠١٢"},
        {"verify": False},
        {"principal": "pipeline"},
        {"principal": "arn:aws:iam::123456789012:root"},
        {"principal": "arn:aws:iam::123456789012:user/*"},
        {"principal": "arn:aws:sts::123456789012:assumed-role/only"},
    ],
)
def test_an_endpoint_that_is_none(wrong: dict[str, Any]) -> None:
    good = {"url": "https://127.0.0.1:1", "region": "us-east-1", "account": "123456789012"}
    assert Endpoint.model_validate(good).ca == ""
    for arn in ("user/a/b", "role/r"):
        assert Endpoint.model_validate({**good, "principal": f"arn:aws:iam::123456789012:{arn}"}).principal
    assert Endpoint.model_validate({**good, "principal": "arn:aws:iam:::user/ceph"}).principal
    with pytest.raises(ValidationError):
        Endpoint.model_validate({**good, **wrong})


def test_credentials_are_not_shown() -> None:
    shown = f"{Credentials('ACCESS', 'SECRET')!r} {Credentials('ACCESS', 'SECRET')}"
    assert "ACCESS" not in shown
    assert "SECRET" not in shown


def test_nothing_around_a_client_turns_it(
    endpoint: Endpoint, own: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = tmp_path / "config"
    evil.write_text("[default]\nendpoint_url = http://127.0.0.1:9\nca_bundle = x\ns3 =\n  addressing_style = virtual\n")
    for name, value in {**HOSTILE, "AWS_CONFIG_FILE": str(evil), "AWS_SHARED_CREDENTIALS_FILE": str(evil)}.items():
        monkeypatch.setenv(name, value)
    s3.deaf.cache_clear()
    made = client(endpoint, own)
    s3.deaf.cache_clear()
    assert resolved(made, endpoint) == {"url": endpoint.url, "region": "us-east-1", "ca": "given", "proxies": 0}
    assert made.get_object(Bucket="good", Key="p/1", ExpectedBucketOwner=endpoint.account)["Body"].read() == b"xx"


@pytest.mark.parametrize("how", ["unverified", "elsewhere", "proxy", "region", "authority"])
def test_a_client_that_came_out_otherwise_is_refused(endpoint: Endpoint, own: Credentials, how: str) -> None:
    made: Any = client(endpoint, own)
    session = made._endpoint.http_session
    if how == "unverified":
        session._verify = False
    elif how == "elsewhere":
        made.meta._endpoint_url = "https://127.0.0.1:1"
    elif how == "proxy":
        session._proxy_config._proxies = {"https": "http://127.0.0.1:9"}
    elif how == "region":
        made.meta._client_config.region_name = "eu-west-1"
    else:
        session._verify = True
    with pytest.raises(CannotTell, match="resolved to another"):
        resolved(made, endpoint)


def test_half_a_key_and_a_missing_authority(endpoint: Endpoint, own: Credentials, tmp_path: Path) -> None:
    for half in (Credentials("", own.secret), Credentials(own.access, "")):
        with pytest.raises(KeyBroken, match="one of them is empty"):
            client(endpoint, half)
    with pytest.raises(KeyBroken, match="not a file"):
        client(endpoint.model_copy(update={"ca": str(tmp_path / "none.pem")}), own)


def test_a_server_of_an_unknown_authority_is_not_spoken_to(endpoint: Endpoint, own: Credentials) -> None:
    with pytest.raises(CannotTell, match="SSLError"):
        listing(endpoint.model_copy(update={"ca": ""}), own, "good", "p/")


def test_what_is_there(embedded: Lake, endpoint: Endpoint, own: Credentials) -> None:
    embedded.make_bucket("listed")
    embedded.publish("listed", "p/b", b"1")
    newest = embedded.publish("listed", "p/b", b"22")
    embedded.publish("listed", "p/a", b"333")
    embedded.publish("listed", "p/gone", b"4")
    embedded.publish("listed", "q/other", b"5")
    embedded.client("operator").delete_object(Bucket="listed", Key="p/gone")
    found = listing(endpoint, own, "listed", "p/")
    assert [(each.key, each.size) for each in found] == [("p/a", 3), ("p/b", 2)]
    assert found[1].version == newest
    assert listing(endpoint, own, "listed", "nothing/") == []


def test_all_pages_of_a_long_listing(embedded: Lake, endpoint: Endpoint, own: Credentials) -> None:
    embedded.make_bucket("long")
    for number in range(7):
        for body in (b"old", b"new"):
            embedded.publish("long", f"p/{number}", body)
    pages = []

    def short(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 3
        pages.append(dict(params))

    kept: Any = s3.kept(endpoint, own)
    kept.meta.events.register("provide-client-params.s3.ListObjectVersions", short)
    try:
        found = listing(endpoint, own, "long", "p/")
    finally:
        kept.meta.events.unregister("provide-client-params.s3.ListObjectVersions", short)
    assert [each.key for each in found] == [f"p/{number}" for number in range(7)]
    assert len(pages) >= 5
    assert len({each.version for each in found}) == 7


def row(key: str = "p/1", version: str = "v", latest: bool = True) -> dict[str, Any]:
    return {"Key": key, "VersionId": version, "IsLatest": latest, "Size": 1, "ETag": '"e"'}


class Pages:
    """A store that answers with these pages, whatever is asked."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages, self.asked = list(pages), list[dict[str, Any]]()

    def list_object_versions(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return self.pages[min(len(self.asked), len(self.pages)) - 1]


@pytest.mark.parametrize(
    ("pages", "sentence"),
    [
        ([{"IsTruncated": True, "Versions": [row()]}], "does not say where"),
        ([{"IsTruncated": True, "Versions": [], "NextKeyMarker": "p/1"}], "does not say where"),
        ([{"IsTruncated": False, "Versions": [row(), row(version="w")]}], "names a key twice"),
        ([{"IsTruncated": False, "Versions": [row("q/1")]}], "from elsewhere"),
        ([{"IsTruncated": False, "Versions": [row(version="null")]}], "no version"),
        ([{"IsTruncated": False, "Versions": [row(version="")]}], "no version"),
    ],
)
def test_a_listing_that_is_not_believed(
    endpoint: Endpoint, own: Credentials, monkeypatch: pytest.MonkeyPatch, pages: list[Any], sentence: str
) -> None:
    monkeypatch.setattr(s3, "kept", lambda *_: Pages(*pages))
    with pytest.raises(CannotTell, match=sentence):
        listing(endpoint, own, "b", "p/")


def test_each_page_is_asked_of_the_expected_owner(
    endpoint: Endpoint, own: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Pages(
        {"IsTruncated": True, "Versions": [row()], "NextKeyMarker": "p/1", "NextVersionIdMarker": "v"},
        {"IsTruncated": False, "Versions": [row("p/1", "old", latest=False), row("p/2")]},
    )
    monkeypatch.setattr(s3, "kept", lambda *_: store)
    assert [each.key for each in listing(endpoint, own, "b", "p/")] == ["p/1", "p/2"]
    assert {asked["ExpectedBucketOwner"] for asked in store.asked} == {endpoint.account}
    assert store.asked[1]["KeyMarker"] == "p/1"
    assert store.asked[1]["VersionIdMarker"] == "v"


def test_bytes_are_those_of_the_version_that_was_listed(embedded: Lake, endpoint: Endpoint, own: Credentials) -> None:
    embedded.make_bucket("pinned")
    body = bytes(range(256)) * 9000
    embedded.publish("pinned", "p/x", body)
    (wanted,) = listing(endpoint, own, "pinned", "p/")
    embedded.publish("pinned", "p/x", b"another")
    out = io.BytesIO()
    assert fetch(endpoint, own, "pinned", wanted, out) == (hashlib.sha256(body).hexdigest(), len(body))
    assert out.getvalue() == body


def test_another_size_or_version_than_listed(embedded: Lake, endpoint: Endpoint, own: Credentials) -> None:
    (_, _, wanted) = listing(endpoint, own, "good", "p/")
    for size in (0, 2, 4):
        with pytest.raises(StoreError, match=f"{size} were listed"):
            fetch(endpoint, own, "good", wanted.model_copy(update={"size": size}), io.BytesIO())
    with pytest.raises(CannotTell, match="cannot be read"):
        fetch(endpoint, own, "good", wanted.model_copy(update={"version": "0" * 32}), io.BytesIO())


def test_a_store_that_sends_another_version(
    endpoint: Endpoint, own: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        def get_object(self, **asked: Any) -> dict[str, Any]:
            return {"Body": io.BytesIO(b"x"), "VersionId": "w"}

    monkeypatch.setattr(s3, "kept", lambda *_: Other())
    with pytest.raises(StoreError, match="another version"):
        fetch(endpoint, own, "b", Object(key="k", version="v", size=1, etag=""), io.BytesIO())


class Summed:
    """A store that sends `x` and says something about its SHA-256."""

    def __init__(self, **said: str) -> None:
        self.said = said

    def get_object(self, **asked: Any) -> dict[str, Any]:
        assert asked["ChecksumMode"] == "ENABLED"
        return {"Body": Body(b"x"), "VersionId": "v", **self.said}


class Body(io.BytesIO):
    """What boto3 hands out to be read."""

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        yield from iter(lambda: self.read(size), b"")


OF_X = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
OF_Y = base64.b64encode(hashlib.sha256(b"y").digest()).decode()


@pytest.mark.parametrize(
    ("said", "good"),
    [
        ({}, True),
        ({"ChecksumSHA256": OF_X}, True),
        ({"ChecksumSHA256": OF_X, "ChecksumType": "FULL_OBJECT"}, True),
        ({"ChecksumSHA256": f"{OF_Y}-3", "ChecksumType": "COMPOSITE"}, True),
        ({"ChecksumSHA256": f"{OF_Y}-3"}, True),
        ({"ChecksumCRC32": "AAAAAA=="}, True),
        ({"ChecksumSHA256": OF_Y}, False),
        ({"ChecksumSHA256": OF_Y, "ChecksumType": "FULL_OBJECT"}, False),
        ({"ChecksumSHA256": "x"}, False),
    ],
)
def test_a_store_that_keeps_another_checksum_than_it_sends(
    endpoint: Endpoint, own: Credentials, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], good: bool
) -> None:
    monkeypatch.setattr(s3, "kept", lambda *_: Summed(**said))
    wanted = Object(key="k", version="v", size=1, etag="")
    if good:
        assert fetch(endpoint, own, "b", wanted, io.BytesIO()) == (hashlib.sha256(b"x").hexdigest(), 1)
    else:
        with pytest.raises(StoreError, match="S3-SHA"):
            fetch(endpoint, own, "b", wanted, io.BytesIO())


def test_the_lake_keeps_a_checksum_and_it_is_compared(embedded: Lake, endpoint: Endpoint, own: Credentials) -> None:
    embedded.make_bucket("summed")
    embedded.publish("summed", "p/x", b"x")
    (wanted,) = listing(endpoint, own, "summed", "p/")
    told = client(endpoint, own).get_object(
        Bucket="summed", Key="p/x", ExpectedBucketOwner=endpoint.account, ChecksumMode="ENABLED"
    )
    assert told["ChecksumSHA256"] == OF_X
    assert fetch(endpoint, own, "summed", wanted, io.BytesIO())[0] == hashlib.sha256(b"x").hexdigest()
    kept: Any = store.bucket("summed")
    kept.keys["p/x"].checksum_value = OF_Y
    with pytest.raises(CannotTell, match="FlexibleChecksumError"):  # boto3 compares too, and is the first
        fetch(endpoint, own, "summed", wanted, io.BytesIO())


def test_a_bucket_of_somebody_else_is_not_read(endpoint: Endpoint, own: Credentials) -> None:
    theirs = endpoint.model_copy(update={"account": "210987654321"})
    with pytest.raises(CannotTell, match="AccessDenied"):
        listing(theirs, own, "good", "p/")
    with pytest.raises(CannotTell, match="AccessDenied"):
        fetch(theirs, own, "good", listing(endpoint, own, "good", "p/")[0], io.BytesIO())
