"""The lake of one machine: its principals, the posture of its buckets, and the public copy that shows as public."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.lake.server import BUCKET, KMS_KEY, Lake, LakeError
from tests.deployments.lake.door import BLOCKS, code, fetch

NAME = "source-lake"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake with one good bucket and two objects in it."""
    with Lake(tmp_path_factory.mktemp("lake") / "state") as running:
        running.make_bucket(NAME)
        running.publish(NAME, "day/one", b"one")
        running.publish(NAME, "day/two", b"two")
        yield running


@pytest.fixture(scope="module")
def pipeline(lake: Lake) -> Iterator[Any]:
    """The pipeline's client."""
    s3 = lake.client("pipeline")
    yield s3
    s3.close()


def posture(s3: Any, bucket: str) -> dict[str, Any]:
    """A bucket's posture, read with `s3`; None where S3 says that something is not configured."""

    def ask(call: str, name: str) -> Any:
        try:
            return getattr(s3, call)(Bucket=bucket, ExpectedBucketOwner="123456789012")[name]
        except ClientError as error:
            if not error.response["Error"]["Code"].startswith(("NoSuch", "OwnershipControlsNotFound")):
                raise
            return None

    policy = ask("get_bucket_policy", "Policy")
    return {
        "block": ask("get_public_access_block", "PublicAccessBlockConfiguration"),
        "versioning": ask("get_bucket_versioning", "Status"),
        "ownership": ask("get_bucket_ownership_controls", "OwnershipControls"),
        "encryption": ask("get_bucket_encryption", "ServerSideEncryptionConfiguration"),
        "statements": json.loads(policy)["Statement"] if policy else None,
        "public": ask("get_bucket_policy_status", "PolicyStatus"),
        "grants": ask("get_bucket_acl", "Grants"),
        "location": ask("get_bucket_location", "LocationConstraint"),
    }


def test_posture_of_a_bucket_as_the_pipeline_sees_it(lake: Lake, pipeline: Any) -> None:
    seen = posture(pipeline, NAME)
    assert seen["block"] == dict.fromkeys(BLOCKS, True)
    assert seen["versioning"] == "Enabled"
    assert seen["ownership"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (rule,) = seen["encryption"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY}
    conditions = [{"Bool": {"aws:SecureTransport": "false"}}, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}]
    assert [deny["Condition"] for deny in seen["statements"]] == conditions
    for deny in seen["statements"]:
        assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
        assert set(deny["Resource"]) == {f"arn:aws:s3:::{NAME}", f"arn:aws:s3:::{NAME}/*"}
    assert seen["public"] == {"IsPublic": False}
    assert [grant["Permission"] for grant in seen["grants"]] == ["FULL_CONTROL"]
    assert all("URI" not in grant["Grantee"] for grant in seen["grants"])
    assert seen["location"] is None


def test_objects_are_pinned_hashed_and_declared_encrypted(lake: Lake, pipeline: Any) -> None:
    first, second = lake.publish(NAME, "pinned", b"1"), lake.publish(NAME, "pinned", b"2")
    for version, body in ((first, b"1"), (second, b"2")):
        got = pipeline.get_object(Bucket=NAME, Key="pinned", VersionId=version, ChecksumMode="ENABLED")
        assert got["Body"].read() == body
        assert got["VersionId"] == version
        assert (got["ServerSideEncryption"], got["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)
        assert got["ChecksumSHA256"] == b64encode(hashlib.sha256(body).digest()).decode()
    assert pipeline.head_object(Bucket=NAME, Key="pinned", VersionId=first)["SSEKMSKeyId"] == KMS_KEY
    found = pipeline.list_object_versions(Bucket=NAME, Prefix="pinned")["Versions"]
    assert {version["VersionId"]: version["IsLatest"] for version in found} == {first: False, second: True}


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("put_object", {"Key": "day/one", "Body": b"x"}),
    ("delete_object", {"Key": "day/one"}),
    ("put_bucket_policy", {"Policy": "{}"}),
    ("delete_bucket_policy", {}),
    ("put_bucket_acl", {"ACL": "private"}),
    ("put_object_acl", {"Key": "day/one", "ACL": "private"}),
    ("delete_public_access_block", {}),
    ("delete_bucket_encryption", {}),
    ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
    ("delete_bucket_ownership_controls", {}),
    ("delete_bucket", {}),
]


@pytest.mark.parametrize(("call", "args"), WRITES)
def test_pipeline_changes_nothing(lake: Lake, pipeline: Any, call: str, args: dict[str, Any]) -> None:
    assert code(getattr(pipeline, call), Bucket=NAME, **args) == "AccessDenied"


def test_pipeline_reads_no_other_bucket(lake: Lake, pipeline: Any) -> None:
    operator = lake.client("operator")
    operator.create_bucket(Bucket="private-lake")
    operator.put_object(Bucket="private-lake", Key="k", Body=b"")
    assert code(pipeline.get_object, Bucket="private-lake", Key="k") == "AccessDenied"
    assert code(pipeline.list_objects_v2, Bucket="private-lake") == "AccessDenied"
    assert code(pipeline.list_buckets) == "AccessDenied"
    operator.close()


def test_stranger_and_anybody_get_nothing(lake: Lake) -> None:
    stranger = lake.client("stranger")
    for call, args in (("get_object", {"Key": "day/one"}), ("list_objects_v2", {}), ("get_bucket_policy", {})):
        assert code(getattr(stranger, call), Bucket=NAME, **args) == "AccessDenied"
    assert code(stranger.list_buckets) == "AccessDenied"
    assert fetch(lake, f"/{NAME}/day/one")[0] == fetch(lake, f"/{NAME}")[0] == 403
    stranger.close()


def test_other_owner_expected_is_refused(lake: Lake, pipeline: Any) -> None:
    args = {"Bucket": NAME, "Key": "day/one"}
    assert code(pipeline.get_object, **args, ExpectedBucketOwner=Lake.account) == "ok"
    assert code(pipeline.get_object, **args, ExpectedBucketOwner="999999999999") == "AccessDenied"


def test_public_copy_is_open_to_anybody(lake: Lake, pipeline: Any) -> None:
    assert lake.copy_public(NAME, "open-lake", "day/") == 2
    assert fetch(lake, "/open-lake/day/one") == (200, b"one")
    status, listing = fetch(lake, "/open-lake?list-type=2")
    assert status == 200
    assert b"<Key>day/one</Key>" in listing
    assert b"<Key>day/two</Key>" in listing
    assert fetch(lake, f"/{NAME}/day/one")[0] == fetch(lake, f"/{NAME}?list-type=2")[0] == 403
    assert fetch(lake, "/open-lake/day/one", "PUT", data=b"x")[0] == 403
    good, bad = posture(pipeline, NAME), posture(pipeline, "open-lake")
    assert bad["block"] is None
    assert bad["public"] == {"IsPublic": True}
    assert {name for name in good if good[name] != bad[name]} == {"block", "public", "statements"}


def test_public_copy_needs_something_new(lake: Lake) -> None:
    with pytest.raises(LakeError, match="nothing under"):
        lake.copy_public(NAME, "other-lake", "nowhere/")
    with pytest.raises(LakeError, match="there already"):
        lake.copy_public(NAME, NAME)


def test_client_listens_to_nobody(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = "http://127.0.0.1:9"
    (tmp_path / "config").write_text(
        f"[default]\nendpoint_url = {elsewhere}\nca_bundle = {tmp_path}/none\n[profile p]\n"
    )
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "missing",
        "AWS_ENDPOINT_URL": elsewhere,
        "AWS_ENDPOINT_URL_S3": elsewhere,
        "AWS_CA_BUNDLE": str(tmp_path / "none"),
        "REQUESTS_CA_BUNDLE": str(tmp_path / "none"),
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_RETRY_MODE": "nonsense",
        "HTTPS_PROXY": elsewhere,
        "https_proxy": elsewhere,
    }.items():
        monkeypatch.setenv(name, value)
    s3 = lake.client("pipeline")
    assert s3.meta.endpoint_url == lake.endpoint
    assert s3.get_object(Bucket=NAME, Key="day/one")["Body"].read() == b"one"
    assert s3.meta.config.__dict__["retries"]["total_max_attempts"] == 2
    s3.close()


def test_unknown_principal_has_no_client(lake: Lake) -> None:
    with pytest.raises(KeyError):
        lake.client("nobody")


def sample(monkeypatch: pytest.MonkeyPatch, *made: tuple[str, bytes]) -> list[int]:
    """Put these in the sample's place; the list that fills with what was asked for."""
    asked, module = list[int](), ModuleType("deployments.lake.sample")

    def partitions(days: int = 120) -> Iterator[tuple[str, bytes]]:
        asked.append(days)
        yield from made

    module.__dict__["partitions"] = partitions
    monkeypatch.setitem(sys.modules, "deployments.lake.sample", module)
    return asked


def test_seed(lake: Lake, pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sample(monkeypatch, ("users/u", b"u"), ("user_interactions/2023-10-27/p", b"p"))
    assert lake.seed(NAME, 3) == 2
    assert asked == [3]
    assert pipeline.get_object(Bucket=NAME, Key="user_interactions/2023-10-27/p")["Body"].read() == b"p"
    sample(monkeypatch)
    with pytest.raises(LakeError, match="nothing"):
        lake.seed(NAME)


def test_seed_with_the_sample(lake: Lake, pipeline: Any) -> None:
    lake.make_bucket("sample-lake")
    count = lake.seed("sample-lake", 2)
    listed = pipeline.list_objects_v2(Bucket="sample-lake")["Contents"]
    days = {found["Key"].split("/")[1] for found in listed if found["Key"].startswith("user_interactions/")}
    assert len(listed) == count > 2
    assert max(days) == "2023-10-27"
    assert len(days) == 2
    body = pipeline.get_object(Bucket="sample-lake", Key=listed[0]["Key"])["Body"].read()
    assert gzip.decompress(body).endswith(b"}\n")


def test_announcement_holds_no_secret_and_goes(tmp_path: Path) -> None:
    with Lake(tmp_path / "s") as lake:
        assert not (tmp_path / "s" / "lake.json").exists()
        path = lake.announce()
        text = path.read_text()
        assert json.loads(text) == {
            "endpoint": lake.endpoint,
            "ca": str(tmp_path / "s" / "ca.pem"),
            "bucket": BUCKET,
            "region": "us-east-1",
            "account": "123456789012",
            "principal": "arn:aws:iam::123456789012:user/pipeline",
            "pid": os.getpid(),
            "what": "embedded lake: a strict front over moto; objects are in memory; encryption at rest is declared, "
            "not done",
        }
        kept = json.loads((tmp_path / "s" / "credentials.json").read_bytes())
        assert not any(value in text for pair in kept.values() for value in pair.values())
    assert not path.exists()
    path.write_text("left behind by a lake that was killed")
    with Lake(tmp_path / "s"):
        assert not path.exists()
        assert json.loads((tmp_path / "s" / "credentials.json").read_bytes()) == kept


def test_lake_that_cannot_be_had(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="another lake"), Lake(lake.state):
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(LakeError, match=r"port \d+ of 127.0.0.1 cannot be had"),
            Lake(tmp_path / "s", taken.getsockname()[1]),
        ):
            pass
    with Lake(tmp_path / "s") as other:
        assert other.endpoint != lake.endpoint
