"""Who may: the pipeline's own rights, bucket policies, ACLs and the public access block, through the front."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployments.lake.access import needed
from deployments.lake.sigv4 import Request, S3Error
from tests.deployments.lake.door import BLOCKS, PIPELINE, Door, code, statement


def block(s3: Any, bucket: str, only: str) -> None:
    """Switch on one of the four blocks, and the others off."""
    said = {**dict.fromkeys(BLOCKS, False), only: True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=said)


def test_pipeline_may_what_it_may(pl: Any) -> None:
    assert pl.get_object(Bucket="lake", Key="k/one")["Body"].read() == b"one"
    assert pl.list_objects_v2(Bucket="lake")["KeyCount"] == 1
    assert pl.put_object(Bucket="out", Key="mine", Body=b"")["VersionId"]
    assert pl.copy_object(Bucket="out", Key="c", CopySource="lake/k/one")["VersionId"]


BEYOND: list[tuple[str, dict[str, Any]]] = [
    ("put_object", {"Bucket": "lake", "Key": "x"}),
    ("delete_object", {"Bucket": "lake", "Key": "k/one"}),
    ("get_object", {"Bucket": "open", "Key": "k/one"}),
    ("put_bucket_policy", {"Bucket": "lake", "Policy": "{}"}),
    ("delete_bucket_policy", {"Bucket": "lake"}),
    ("put_bucket_acl", {"Bucket": "lake", "ACL": "private"}),
    ("put_bucket_versioning", {"Bucket": "lake", "VersioningConfiguration": {"Status": "Suspended"}}),
    ("delete_public_access_block", {"Bucket": "lake"}),
    ("list_buckets", {}),
    ("delete_bucket_encryption", {"Bucket": "lake"}),
    ("create_bucket", {"Bucket": "mine"}),
    ("delete_bucket", {"Bucket": "lake"}),
    ("delete_objects", {"Bucket": "lake", "Delete": {"Objects": [{"Key": "k/one"}]}}),
    ("copy_object", {"Bucket": "out", "Key": "c", "CopySource": "open/k/one"}),
    ("list_objects_v2", {"Bucket": "open"}),
    ("get_object", {"Bucket": "lake", "Key": "k/one", "ExpectedBucketOwner": "999999999999"}),
    (
        "copy_object",
        {"Bucket": "out", "Key": "c", "CopySource": "lake/k/one", "ExpectedSourceBucketOwner": "999999999999"},
    ),
]


@pytest.mark.parametrize(("call", "args"), BEYOND)
def test_pipeline_may_nothing_beyond(pl: Any, call: str, args: dict[str, Any]) -> None:
    assert code(getattr(pl, call), **args) == "AccessDenied"


SOURCES = [
    "//open/k/one",
    "lake/k/../../open/k/one;x",
    "open/k/one#lake",
    "lake/%2e%2e/open?x=1",
    "open/k/one?versionId=",
    "lake/sec\tret",
]


@pytest.mark.parametrize("source", SOURCES)
def test_odd_copy_source_refused(door: Door, pl: Any, source: str) -> None:
    headers = door.sign("PUT", "/out/c", b"", {"x-amz-copy-source": source}, "PLKEY")
    assert door.fetch("/out/c", "PUT", headers, b"")[0] in (400, 403)


LISTS = [
    "<Object><Key>k/one</Key><Key>x</Key></Object>",
    "<Object></Object>",
    "",
    "<Object><Key>x</Key><Other>k</Other></Object>",
    "<Object><Key>x<b/></Key></Object>",
    "<Object><Key a='b'>x</Key></Object>",
]


@pytest.mark.parametrize("objects", LISTS)
def test_odd_delete_list_refused(door: Door, op: Any, objects: str) -> None:
    body = f"<Delete>{objects}</Delete>".encode()
    headers = door.sign("POST", "/out?delete", body)
    assert b"MalformedXML" in door.fetch("/out?delete", "POST", headers, body)[1]


@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
def test_document_type_refused(coding: str) -> None:
    text = '<!DOCTYPE d [<!ENTITY e "k/one">]><Delete><Object><Key>&e;</Key></Object></Delete>'
    with pytest.raises(S3Error, match="document type"):
        needed(Request("POST", "/out", {"delete": ""}, {}, text.encode(coding), "127.0.0.1"))


def test_delete_objects(op: Any) -> None:
    op.put_object(Bucket="out", Key="d1", Body=b"")
    done = op.delete_objects(Bucket="out", Delete={"Objects": [{"Key": "d1"}]})
    assert done["Deleted"][0]["DeleteMarker"]
    assert code(op.head_object, Bucket="out", Key="d1") == "404"


def test_public_policy_serves_anybody_until_blocked(door: Door, op: Any, policy: Any) -> None:
    policy("open", statement("Allow", "s3:GetObject", "open"))
    assert door.fetch("/open/k/one") == (200, b"one")
    assert door.fetch("/open")[0] == 403
    assert door.fetch("/open/k/one", "PUT", data=b"x")[0] == 403
    block(op, "open", "RestrictPublicBuckets")
    assert door.fetch("/open/k/one")[0] == 403
    block(op, "open", "BlockPublicPolicy")
    text = json.dumps({"Statement": statement("Allow", "s3:GetObject", "open")})
    assert code(op.put_bucket_policy, Bucket="open", Policy=text) == "AccessDenied"
    op.delete_public_access_block(Bucket="open")
    assert code(op.put_bucket_policy, Bucket="open", Policy=text) == "ok"


def test_public_acl_serves_anybody_until_blocked(door: Door, op: Any) -> None:
    op.put_object_acl(Bucket="open", Key="k/one", ACL="public-read")
    assert door.fetch("/open/k/one") == (200, b"one")
    assert door.fetch("/open")[0] == 403
    op.put_bucket_acl(Bucket="open", ACL="public-read")
    assert door.fetch("/open")[0] == 200
    block(op, "open", "IgnorePublicAcls")
    assert door.fetch("/open")[0] == 403 == door.fetch("/open/k/one")[0]
    block(op, "open", "BlockPublicAcls")
    assert code(op.put_bucket_acl, Bucket="open", ACL="public-read") == "AccessDenied"
    assert code(op.put_object, Bucket="open", Key="p", ACL="public-read") == "AccessDenied"
    anybody = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
    assert code(op.put_bucket_acl, Bucket="open", GrantRead=anybody) == "AccessDenied"
    op.delete_public_access_block(Bucket="open")
    assert door.fetch("/open")[0] == 200
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    op.put_bucket_ownership_controls(Bucket="open", OwnershipControls=owned)
    assert door.fetch("/open")[0] == 403
    op.delete_bucket_ownership_controls(Bucket="open")
    op.put_bucket_acl(Bucket="open", ACL="private")
    op.put_object_acl(Bucket="open", Key="k/one", ACL="private")
    assert door.fetch("/open")[0] == 403 == door.fetch("/open/k/one")[0]


def test_acl_in_the_body_is_seen_by_the_block(door: Door, op: Any) -> None:
    grant = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}}
    said = {"Owner": {"ID": "o"}, "Grants": [{**grant, "Permission": "READ"}]}
    block(op, "open", "BlockPublicAcls")
    assert code(op.put_bucket_acl, Bucket="open", AccessControlPolicy=said) == "AccessDenied"
    op.delete_public_access_block(Bucket="open")


def test_deleted_object_has_no_acl(door: Door, op: Any) -> None:
    op.put_object(Bucket="open", Key="gone", Body=b"", ACL="public-read")
    assert door.fetch("/open/gone")[0] == 200
    op.delete_object(Bucket="open", Key="gone")
    assert door.fetch("/open/gone")[0] == 403


def test_policy_denies_over_own_rights(op: Any, pl: Any, policy: Any) -> None:
    op.put_object(Bucket="lake", Key="secret/x", Body=b"")
    secret = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::lake/secret/*"}
    policy("lake", secret)
    for s3 in (pl, op):
        assert code(s3.get_object, Bucket="lake", Key="secret/x") == "AccessDenied"
    both = {"Objects": [{"Key": "ok"}, {"Key": "secret/x"}]}
    assert code(op.delete_objects, Bucket="lake", Delete=both) == "AccessDenied"
    assert code(pl.get_object, Bucket="lake", Key="k/one") == "ok"


def test_root_repairs_a_policy_that_denies_everything(op: Any) -> None:
    text = json.dumps({"Statement": statement("Deny", "s3:*", "lake")})
    op.put_bucket_policy(Bucket="lake", Policy=text)
    assert code(op.list_objects_v2, Bucket="lake") == "AccessDenied"
    assert op.get_bucket_policy(Bucket="lake")["Policy"] == text
    op.delete_bucket_policy(Bucket="lake")
    assert code(op.list_objects_v2, Bucket="lake") == "ok"


@pytest.mark.parametrize("operator", ["Bool", "BoolIfExists"])
def test_tls_only_deny(pl: Any, policy: Any, operator: str) -> None:
    policy("lake", statement("Deny", "s3:*", "lake", Condition={operator: {"aws:SecureTransport": "false"}}))
    assert code(pl.get_object, Bucket="lake", Key="k/one") == "ok"
    policy("lake", statement("Deny", "s3:*", "lake", Condition={operator: {"aws:SecureTransport": ["true"]}}))
    assert code(pl.get_object, Bucket="lake", Key="k/one") == "AccessDenied"
    assert code(pl.list_objects_v2, Bucket="lake") == "AccessDenied"


def test_old_tls_deny(pl: Any, policy: Any, door: Door) -> None:
    policy("lake", statement("Deny", "s3:*", "lake", Condition={"NumericLessThan": {"s3:TlsVersion": "1.3"}}))
    assert code(pl.get_object, Bucket="lake", Key="k/one") == "ok"
    policy("lake", statement("Deny", "s3:*", "lake", Condition={"NumericLessThan": {"s3:TlsVersion": 1.4}}))
    assert code(pl.get_object, Bucket="lake", Key="k/one") == "AccessDenied"
    policy("open", statement("Allow", "s3:GetObject", "open", Condition={"NumericEquals": {"s3:TlsVersion": "1.3"}}))
    assert door.fetch("/open/k/one")[0] == 200


def test_unknown_condition_fails_closed(pl: Any, policy: Any, door: Door) -> None:
    unknown = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
    policy("lake", statement("Deny", "s3:*", "lake", Condition=unknown))
    assert code(pl.get_object, Bucket="lake", Key="k/one") == "AccessDenied"
    policy("open", statement("Allow", "s3:GetObject", "open", Condition=unknown))
    assert door.fetch("/open/k/one")[0] == 403


def test_malformed_policy_is_not_stored(op: Any) -> None:
    for text in ('{"Statement": [{"Effect": "Deny"}]}', "{}", "not JSON"):
        assert code(op.put_bucket_policy, Bucket="lake", Policy=text) == "MalformedPolicy"
    assert code(op.get_bucket_policy, Bucket="lake") == "NoSuchBucketPolicy"


def test_policy_requires_kms_header(pl: Any, policy: Any) -> None:
    only = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    policy("out", statement("Deny", "s3:PutObject", "out", Condition=only))
    assert code(pl.put_object, Bucket="out", Key="p", Body=b"") == "AccessDenied"
    assert code(pl.put_object, Bucket="out", Key="p", Body=b"", ServerSideEncryption="aws:kms") == "ok"


def test_policy_grants_named_principal(pl: Any, policy: Any) -> None:
    policy("open", statement("Allow", "s3:GetObject", "open", {"AWS": PIPELINE.arn}))
    assert code(pl.get_object, Bucket="open", Key="k/one") == "ok"
    assert code(pl.list_objects_v2, Bucket="open") == "AccessDenied"
