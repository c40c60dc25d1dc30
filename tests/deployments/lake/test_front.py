"""The front as an S3 server: what must work, and what must not get through its door."""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from deployments.lake import front as module
from deployments.lake import store
from deployments.lake.front import Front
from deployments.lake.sigv4 import Request, S3Error
from tests.deployments.lake.door import BLOCKS, PEOPLE, Door, code, statement


def test_versions_round_trip(op: Any) -> None:
    first = op.put_object(Bucket="out", Key="v", Body=b"1", Metadata={"a-b": "x", "a_c": "y"})["VersionId"]
    second = op.put_object(Bucket="out", Key="v", Body=b"22")["VersionId"]
    assert op.get_object(Bucket="out", Key="v", VersionId=first)["Body"].read() == b"1"
    assert op.head_object(Bucket="out", Key="v")["ContentLength"] == 2
    assert op.head_object(Bucket="out", Key="v", VersionId=first)["Metadata"] == {"a-b": "x", "a_c": "y"}
    listed = op.list_object_versions(Bucket="out", Prefix="v")["Versions"]
    assert {version["VersionId"] for version in listed} == {first, second}
    assert op.delete_object(Bucket="out", Key="v")["DeleteMarker"]
    assert code(op.get_object, Bucket="out", Key="v") == "NoSuchKey"
    assert [found["Key"] for found in op.list_objects_v2(Bucket="out")["Contents"]] == ["k/one"]


KEYS = ["a b+c&d=e", "ü/ñ/日本", "x//y", "../z", "per%20cent", "semi;colon", "hash#q?uestion", "tilde~'()*!"]


@pytest.mark.parametrize("key", KEYS)
def test_odd_keys(op: Any, key: str) -> None:
    op.put_object(Bucket="out", Key=key, Body=key.encode())
    assert op.get_object(Bucket="out", Key=key)["Body"].read() == key.encode()
    assert key in [found["Key"] for found in op.list_objects_v2(Bucket="out")["Contents"]]
    op.copy_object(Bucket="out", Key=f"copy of {key}", CopySource={"Bucket": "out", "Key": key})
    assert op.get_object(Bucket="out", Key=f"copy of {key}")["Body"].read() == key.encode()
    for name in (key, f"copy of {key}"):
        op.delete_object(Bucket="out", Key=name)


def test_paging_reaches_every_object_and_version(op: Any) -> None:
    for number in range(7):
        op.put_object(Bucket="out", Key=f"page/{number}", Body=b"")
    first = op.list_objects_v2(Bucket="out", Prefix="page/", MaxKeys=3)
    assert first["IsTruncated"]
    assert len(first["Contents"]) == 3
    pages = op.get_paginator("list_objects_v2").paginate(Bucket="out", Prefix="page/", PaginationConfig={"PageSize": 3})
    assert [found["Key"] for page in pages for found in page["Contents"]] == [f"page/{n}" for n in range(7)]
    versions = op.get_paginator("list_object_versions").paginate(
        Bucket="out", Prefix="page/", PaginationConfig={"PageSize": 2}
    )
    assert [found["Key"] for page in versions for found in page["Versions"]] == [f"page/{n}" for n in range(7)]


def test_multipart_and_range(op: Any) -> None:
    body, parts = os.urandom(20 << 20), TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    op.upload_fileobj(io.BytesIO(body), "out", "big", Config=parts)
    assert op.get_object(Bucket="out", Key="big")["Body"].read() == body
    for start, end in ((5, 9), (5 << 20, (5 << 20) + 3), (7, 19 << 20)):
        got = op.get_object(Bucket="out", Key="big", Range=f"bytes={start}-{end}")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == body[start : end + 1]
    assert op.get_object(Bucket="out", Key="big", Range="bytes=-4")["Body"].read() == body[-4:]


def test_objects_stay_in_memory(op: Any) -> None:
    op.put_object(Bucket="out", Key="six", Body=bytes(6 << 20))
    stored = store.bucket("out")
    assert stored is not None
    assert stored.keys["six"]._value_buffer._rolled is False
    op.delete_object(Bucket="out", Key="six")


def test_configuration_round_trip(op: Any) -> None:
    sse = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": sse}]}
    op.put_bucket_encryption(Bucket="out", ServerSideEncryptionConfiguration=rules)
    found = op.get_bucket_encryption(Bucket="out")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert found["ApplyServerSideEncryptionByDefault"] == sse
    op.put_public_access_block(Bucket="out", PublicAccessBlockConfiguration=dict.fromkeys(BLOCKS, True))
    assert op.get_public_access_block(Bucket="out")["PublicAccessBlockConfiguration"] == dict.fromkeys(BLOCKS, True)
    op.put_bucket_acl(Bucket="out", ACL="private")
    assert len(op.get_bucket_acl(Bucket="out")["Grants"]) == 1
    assert len(op.get_object_acl(Bucket="out", Key="k/one")["Grants"]) == 1
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    op.put_bucket_ownership_controls(Bucket="out", OwnershipControls=owned)
    assert op.get_bucket_ownership_controls(Bucket="out")["OwnershipControls"] == owned
    assert op.get_bucket_versioning(Bucket="out")["Status"] == "Enabled"
    assert op.get_bucket_location(Bucket="out")["LocationConstraint"] is None
    assert {found["Name"] for found in op.list_buckets()["Buckets"]} == {"lake", "out", "open"}
    assert code(op.get_bucket_policy, Bucket="out") == "NoSuchBucketPolicy"
    op.delete_public_access_block(Bucket="out")
    assert code(op.get_public_access_block, Bucket="out") == "NoSuchPublicAccessBlockConfiguration"


def test_unseekable_stream(op: Any) -> None:
    read, write = os.pipe()
    os.write(write, b"x" * 3000)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        op.upload_fileobj(pipe, "out", "stream")
    assert op.head_object(Bucket="out", Key="stream")["ContentLength"] == 3000


def test_one_writer_wins(door: Door, op: Any) -> None:
    start, said = threading.Barrier(6), list[str]()

    def race(number: int) -> None:
        s3 = door.client("OPKEY")
        start.wait()
        said.append(code(s3.put_object, Bucket="out", Key="pointer", Body=b"%d" % number, IfNoneMatch="*"))
        s3.close()

    racers = [threading.Thread(target=race, args=(number,)) for number in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(said) == ["PreconditionFailed"] * 5 + ["ok"]


@pytest.mark.parametrize(("method", "most"), [("PUT", 1), ("DELETE", 1), ("GET", 3)])
def test_writers_wait_and_readers_do_not(monkeypatch: pytest.MonkeyPatch, method: str, most: int) -> None:
    inside, seen = list[int](), list[int]()

    def slow(*_: object) -> tuple[int, dict[str, str], bytes]:
        inside.append(1)
        seen.append(len(inside))
        time.sleep(0.1)
        inside.pop()
        return 200, {}, b""

    monkeypatch.setattr(store.Response, "key_dispatch", slow)
    asked = Request(method, "/out/x", {}, {}, b"", "127.0.0.1")
    callers = [threading.Thread(target=store.serve, args=(asked,)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert max(seen) == most


def test_plain_http_refused(door: Door, op: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(door.front.url.replace("https", "http") + "/open/k/one")
    with refusal.value:
        assert refusal.value.code == 403
        assert refusal.value.read() == b"HTTPS required\n"


def test_tls_is_1_2_or_newer(door: Door) -> None:
    context = ssl.create_default_context(cafile=str(door.front.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", door.front.server_port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        assert tls.version() == "TLSv1.2"
    assert door.front.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_idle_connection_blocks_nobody(door: Door, op: Any) -> None:
    with socket.create_connection(("127.0.0.1", door.front.server_port)):
        assert op.list_buckets()["Buckets"]


CONFUSIONS: list[tuple[str, dict[str, str]]] = [
    ("/%6cake/k/one", {}),
    ("/open/k/one?acl&policy", {}),
    ("/open/k/one?x=1", {}),
    ("/open/k/one?acl", {}),
    ("/open/../lake/k/one", {}),
    ("/open/%2e%2e/lake/k/one", {}),
    ("//lake/k/one", {}),
    ("/open/%ff", {}),
    ("/open/k/one?versionId=a&versionId=b", {}),
    ("/open/k/one?response-content-type=text%2Fhtml", {}),
    ("/open/k/one", {"Host": "lake.s3.amazonaws.com", "x-amz-copy-source": "lake/k/one"}),
    ("/open/k/one", {"x-amz-security-token": "t"}),
    ("/open/k/one", {"x-amz-server-side-encryption-customer-algorithm": "AES256"}),
    ("/open/k/one", {"x-amz-expected-bucket-owner": "999999999999"}),
    ("/open/k/one", {"Content-Type": "application/x-www-form-urlencoded"}),
]


@pytest.mark.parametrize(("path", "headers"), CONFUSIONS)
def test_confusions_refused(door: Door, op: Any, policy: Any, path: str, headers: dict[str, str]) -> None:
    policy("open", statement("Allow", "s3:GetObject", "open"))
    status, body = door.fetch(path, headers=headers)
    assert status in (400, 403, 404, 501)
    assert b"<Error><Code>" in body
    assert door.fetch("/open/k/one") == (200, b"one")


def test_path_alone_names_the_bucket(door: Door, policy: Any) -> None:
    policy("open", statement("Allow", "s3:GetObject", "open"))
    for headers in ({"Host": "lake.s3.amazonaws.com"}, {"x-moto-account-id": "999999999999"}):
        assert door.fetch("/open/k/one", headers=headers) == (200, b"one")


def test_double_slash_is_one_for_everybody(door: Door, op: Any) -> None:
    assert b"SignatureDoesNotMatch" in door.fetch("//lake", headers=door.sign("GET", "//lake"))[1]
    with pytest.raises(S3Error, match="InvalidURI"):
        Request("GET", "//lake", {}, {}, b"", "127.0.0.1")
    assert b"<Name>lake</Name>" in door.fetch("/", headers=door.sign("GET", "/"))[1]


def test_not_implemented_says_so(door: Door, op: Any) -> None:
    for method, path in (("PUT", "/lake?website"), ("GET", "/lake/k/one?torrent"), ("POST", "/lake/k/one")):
        assert b"NotImplemented" in door.fetch(path, method, door.sign(method, path))[1]
    assert door.fetch("/lake", "PATCH")[0] == 501


def talk(door: Door, *pieces: bytes) -> bytes:
    """What the front answers to these bytes, until it closes the connection."""
    context = ssl.create_default_context(cafile=str(door.front.ca))
    with (
        socket.create_connection(("127.0.0.1", door.front.server_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        for piece in pieces:
            tls.sendall(piece)
        return b"".join(iter(lambda: tls.recv(1 << 16), b""))


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"Content-Length: 99999999999\r\n\r\n",
    ],
)
def test_ambiguous_length_ends_the_connection(door: Door, framing: bytes) -> None:
    smuggled = b"GET /open/k/one HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(door, b"PUT /out/x HTTP/1.1\r\nHost: x\r\n" + framing, smuggled)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_chunked_body_is_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY", 10)
    head = b"PUT /out/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b"EntityTooLarge" in talk(door, head + b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n")
    assert b"EntityTooLarge" in talk(door, b"PUT /out/x HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
    assert b"AccessDenied" in talk(door, head.replace(b"Host: x", b"Connection: close"), b"3\r\nabc\r\n0\r\n\r\n")


def test_crash_refuses_and_tells_nothing(
    door: Door, op: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(req: object) -> None:
        raise RuntimeError("inner secret")

    monkeypatch.setattr(store, "serve", broken)
    status, body = door.fetch("/", headers=door.sign("GET", "/"))
    assert status == 500
    assert b"InternalError" in body
    assert b"inner secret" not in body
    assert "inner secret" in capsys.readouterr().err


def test_closed_front_serves_no_open_connection(tmp_path: Path) -> None:
    with Front(PEOPLE, tmp_path) as front:
        s3 = Door(front).client("OPKEY")
        assert s3.create_bucket(Bucket="gone")
        context = ssl.create_default_context(cafile=str(front.ca))
        plain = socket.create_connection(("127.0.0.1", front.server_port), timeout=10)
        tls = context.wrap_socket(plain, server_hostname="localhost")
        tls.sendall(b"HEAD /gone HTTP/1.1\r\nHost: x\r\n\r\n")
        assert tls.recv(1 << 16).startswith(b"HTTP/1.1 403")
    with tls:
        assert silent(tls)
    s3.close()


def silent(tls: ssl.SSLSocket) -> bool:
    """Whether the other side has hung up."""
    try:
        tls.sendall(b"HEAD /gone HTTP/1.1\r\nHost: x\r\n\r\n")
        return tls.recv(1 << 16) == b""
    except OSError:
        return True


def test_second_front_on_a_port_is_refused(door: Door, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        Front(PEOPLE, tmp_path, door.front.server_port)
