"""The two gates of the lake on a real server: what it enforces, what it cannot be asked, and what follows from that.

Where radosgw differs from AWS, the difference is written down here as it was seen. Where it knows no answer, the gate
is inconclusive; nothing that a policy can say makes it pass.
"""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.lake import people
from deployments.lake.server import Lake
from security.engines import cipher
from security.engines.asker import ask
from security.engines.s3 import Credentials, Endpoint, client
from security.gate import judge, observe
from security.gates.bucket import AccessControlS3
from security.gates.rest import DataEncryptionAtRest
from security.gates.rest import material as given
from security.gates.transit import DataEncryptionInTransit
from security.policy import Terms, effect
from security.posture import asked, part
from security.verdict import Basis, Outcome, Snapshot, Subject, Verdict
from tests.ceph.gateway import BLOCK, KEY, PIPELINE, Gateway, allowed, arns, denied, guarded

OWNED: dict[str, Any] = {"owner": "operator"}
EVERYBODY = {"Principal": "*"}
Change = Callable[[Gateway, str], object]


@pytest.fixture(scope="module")
def bucket(gateway: Gateway) -> str:
    """As good as a bucket of radosgw can be."""
    gateway.make("posture")
    gateway.put("posture", "p/one", b"one")
    return gateway.close("posture")


def asking(gateway: Gateway, bucket: str) -> Snapshot:
    own, other = gateway.credentials("pipeline"), gateway.credentials("stranger")
    return ask(gateway.endpoint, own, bucket, "p/", stranger=other)


def verdict(gateway: Gateway, bucket: str, **limits: Any) -> Verdict:
    gate = AccessControlS3()
    snapshot = part(gate, asking(gateway, bucket))
    return judge(gate, observe(gate, asked(gate, snapshot), limits, random.Random(1)), limits)


def broken(found: Verdict) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in found.findings]


def code(request: Callable[[], object]) -> str:
    """The code of a refusal; `served` where there was none."""
    try:
        request()
    except ClientError as no:
        return str(no.response["Error"]["Code"])
    return "served"


def test_every_answer_of_a_good_bucket(gateway: Gateway, bucket: str) -> None:
    """Unlike AWS: it serves whoever expects another owner, and knows no ownership controls. All else is as due.

    Nothing but TLS is spoken on the port that the pipeline uses, so a request in the clear is cut off.
    """
    answers = asking(gateway, bucket).answers
    no = {"status": 403, "code": "AccessDenied"}
    assert answers.pop("endpoint") | {"url": "", "wanted": ""} == {
        "url": "", "wanted": "", "proxies": 0,
        "region": "us-east-1", "ca": "given", "account": gateway.endpoint.account, "tls": "TLSv1.3",
    }  # fmt: skip
    version = answers["signed_head"]["version"]
    assert len(version) > 20
    assert answers == {
        "public_access_block": {"status": 200, "on": sorted(BLOCK)},
        "policy": {"status": 200, "document": {"Version": "2012-10-17", "Statement": guarded(bucket)}},
        "policy_status": {"status": 200, "public": False},
        "acl": {
            "status": 200,
            "owner": "operator",
            "grants": [{"type": "CanonicalUser", "id": "operator", "permission": "FULL_CONTROL"}],
        },
        "ownership": {"status": 200, "rules": []},
        "versioning": {"status": 200, "state": "Enabled", "mfa": False},
        "encryption": {"status": 200, "kms": True, "key": False, "customers": False},
        "logging": {"status": 200, "on": False},
        "object_lock": {"status": 404, "code": "ObjectLockConfigurationNotFoundError"},
        "principal": {"status": 200, "arn": PIPELINE},
        **dict.fromkeys(("account_block", "access_points", "multi_region_points"), {"asked": False}),
        **dict.fromkeys(("data_events", "identity"), {"asked": False}),
        **dict.fromkeys(("other_authority", "other_name"), {"taken": False}),
        **dict.fromkeys(("tls_1_0", "tls_1_1"), {"taken": False, "alert": 70}),
        **dict.fromkeys(("tls_1_2", "tls_1_3"), {"taken": True}),
        "location": {"status": 200, "region": "us-east-1"},
        "signed_list": {"status": 200, "found": True},
        "signed_head": {"status": 200, "version": version},
        "signed_get": {"status": 200, "version": version},
        "plain_http": {"status": 0, "code": "RemoteProtocolError", "control": 200, "onward": False, "told": False},
        **dict.fromkeys(("anonymous_get", "anonymous_list", "anonymous_put", "stranger_get"), no),
        **dict.fromkeys(("own_put", "own_delete", "own_policy"), no),
        "wrong_secret": {"status": 403, "code": "SignatureDoesNotMatch"},
        "unknown_key": {"status": 403, "code": "InvalidAccessKeyId"},
        "wrong_owner": {"status": 200},
    }


def test_where_the_embedded_lake_answers_otherwise(gateway: Gateway, bucket: str, tmp_path: Path) -> None:
    """The front over moto knows ownership controls, compares the owner, and refuses plain HTTP with an answer."""
    with Lake(tmp_path / "state") as lake:
        lake.make_bucket(bucket)
        lake.publish(bucket, "p/one", b"one")
        told = {who: lake._credentials[who] for who in people.NAMES}
        own = {who: Credentials(pair["access"], pair["secret"]) for who, pair in told.items()}
        about = {"account": lake.account, "ca": str(lake.ca), "principal": people.pipeline("").arn}
        place = Endpoint(url=lake.endpoint, region=lake.region, **about)
        embedded = ask(place, own["pipeline"], bucket, "p/", stranger=own["stranger"]).answers
    real = asking(gateway, bucket).answers
    assert embedded.keys() == real.keys()
    statuses = {name: (real[name].get("status"), embedded[name].get("status")) for name in real}
    different = {name: pair for name, pair in statuses.items() if pair[0] != pair[1]}
    assert different == {"wrong_owner": (200, 403), "plain_http": (0, 403)}
    assert (embedded["ownership"]["rules"], real["ownership"]["rules"]) == (["BucketOwnerEnforced"], [])
    same = ("public_access_block", "policy_status", "versioning", "location", "signed_list")
    assert [name for name in same if embedded[name] != real[name]] == []


def test_without_a_named_owner_a_bucket_of_radosgw_is_refused(gateway: Gateway, bucket: str) -> None:
    assert broken(verdict(gateway, bucket)) == [("S3-OWN", "wrong_owner")]
    assert broken(verdict(gateway, bucket, owner="somebody")) == [("S3-OWN", "acl")]


def test_a_store_without_ownership_controls_is_inconclusive_by_a_cause_of_its_own(
    gateway: Gateway, bucket: str
) -> None:
    found = verdict(gateway, bucket, **OWNED)
    assert (found.outcome, found.cause, found.findings) == (Outcome.INCONCLUSIVE, "ownership", ())
    assert "ACL may let in" in found.reason
    for observed, action in (((), "stop"), (("ownership",), "proceed")):
        assert effect(found, Terms(limits=OWNED, accepts={}, observe=observed)).action == action


def opened(gateway: Gateway, bucket: str) -> None:
    gateway.policy(bucket, *guarded(bucket), {**allowed(["s3:GetObject"], arns(bucket)), **EVERYBODY})


def named(gateway: Gateway, bucket: str) -> None:
    reader = {"Principal": {"AWS": ["arn:aws:iam:::user/stranger"]}}
    gateway.policy(bucket, *guarded(bucket), {**allowed(["s3:GetObject"], arns(bucket)), **reader})


def trusted(gateway: Gateway, bucket: str) -> None:
    writer = {"Principal": {"AWS": ["arn:aws:iam::210987654321:root"]}}
    gateway.policy(bucket, *guarded(bucket), {**allowed(["s3:GetObject"], arns(bucket)), **writer})


CHANGES: dict[str, tuple[Change, list[tuple[str, str]]]] = {
    "public policy": (
        opened,
        [("S3-PUB-READ", "anonymous_get"), ("S3-PUB-READ", "policy"), ("S3-PUB-READ", "policy_status")],
    ),
    "public ACL of an object": (
        lambda g, b: g.s3.put_object_acl(Bucket=b, Key="p/one", ACL="public-read"),
        [("S3-PUB-READ", "anonymous_get")],
    ),
    "public ACL of the bucket": (
        lambda g, b: g.s3.put_bucket_acl(Bucket=b, ACL="public-read"),
        [("S3-PUB-READ", "anonymous_list"), ("S3-PUB-READ", "policy_status"), ("S3-PUB-READ", "acl")],
    ),
    "writable by all": (
        lambda g, b: g.s3.put_bucket_acl(Bucket=b, ACL="public-read-write"),
        [("S3-PUB-READ", "anonymous_list"), ("S3-PUB-READ", "policy_status"), ("S3-PUB-READ", "acl"),
         ("S3-PUB-WRITE", "anonymous_put"), ("S3-PUB-WRITE", "acl"), ("S3-LP", "own_put"), ("S3-LP", "own_delete")],
    ),
    "another account": (trusted, [("S3-PUB-READ", "policy_status"), ("S3-XACCT", "210987654321")]),
    "no versions": (
        lambda g, b: g.s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Suspended"}),
        [("S3-VER", "versioning")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_open_is_found(gateway: Gateway, what: str) -> None:
    bucket = f"opened-{list(CHANGES).index(what)}"
    change, wanted = CHANGES[what]
    gateway.make(bucket)
    gateway.put(bucket, "p/one", b"one")
    change(gateway, bucket)
    assert broken(verdict(gateway, bucket, **OWNED)) == [("S3-PAB", "public_access_block"), *wanted]


def test_the_way_to_the_store_is_guarded_and_a_bucket_without_that_policy_is_found(
    gateway: Gateway, bucket: str
) -> None:
    gate = DataEncryptionInTransit()

    def judged(name: str) -> Verdict:
        return judge(gate, observe(gate, asked(gate, part(gate, asking(gateway, name))), {}, random.Random(1)), {})

    assert (judged(bucket).outcome, judged(bucket).reason) == (Outcome.PASS, "10/10 questions, 5 rules, TLSv1.3")
    gateway.make("unguarded")
    gateway.put("unguarded", "p/one", b"one")
    gateway.s3.delete_bucket_policy(Bucket="unguarded")
    assert broken(judged("unguarded")) == [("S3-TLS", "policy"), ("S3-TLS-VERSION", "policy")]


def test_a_principal_without_an_account_is_nobody_that_is_known(gateway: Gateway) -> None:
    """What radosgw calls `arn:aws:iam:::user/x` is no ARN of AWS: it stands for itself, and must be listed."""
    gateway.make("named")
    gateway.put("named", "p/one", b"one")
    named(gateway, "named")
    found = verdict(gateway, "named", **OWNED)
    assert ("S3-XACCT", "arn:aws:iam:::user/stranger") in broken(found)
    stranger = client(gateway.endpoint, gateway.credentials("stranger"))
    assert code(lambda: stranger.get_object(Bucket="named", Key="p/one")) == "served"


@pytest.mark.parametrize(("operator", "clear"), [("Bool", 200), ("BoolIfExists", 403)])
def test_only_a_denial_if_exists_is_enforced_in_the_clear(gateway: Gateway, operator: str, clear: int) -> None:
    """radosgw knows no `aws:SecureTransport` over HTTP, so `Bool` never matches; AWS knows it always. What is encrypted
    it serves over TLS alone, whatever the policy."""
    bucket = f"tls-{operator.lower()}"
    gateway.make(bucket, key="")
    gateway.put(bucket, "k", b"k")
    gateway.put(bucket, "sealed", b"k", ServerSideEncryption="aws:kms", SSEKMSKeyId=KEY)
    public = {**allowed(["s3:GetObject"], arns(bucket)), **EVERYBODY}
    gateway.policy(bucket, public, denied(bucket, operator))
    assert gateway.anonymous(f"{bucket}/k", clear=True) == clear
    assert gateway.anonymous(f"{bucket}/k") == 200
    assert gateway.anonymous(f"{bucket}/sealed", clear=True) in (400, 403)
    assert gateway.anonymous(f"{bucket}/sealed") == 200


def test_what_the_public_access_block_does_and_does_not(gateway: Gateway) -> None:
    """It refuses a new public policy and ignores an object's public ACL. A public policy that was there stays in force,
    and every put of an object is refused, the owner's too: AWS does neither."""
    gateway.make("blocked")
    for key in ("by-policy/k", "by-acl/k"):
        gateway.put("blocked", key, b"k")
    gateway.s3.put_object_acl(Bucket="blocked", Key="by-acl/k", ACL="public-read")
    public = {**allowed(["s3:GetObject"], ["arn:aws:s3:::blocked/by-policy/*"]), **EVERYBODY}
    gateway.policy("blocked", public)
    assert [gateway.anonymous(f"blocked/by-{way}/k") for way in ("policy", "acl")] == [200, 200]
    gateway.close("blocked")
    assert [gateway.anonymous(f"blocked/by-{way}/k") for way in ("policy", "acl")] == [200, 403]
    assert code(lambda: gateway.policy("blocked", public)) == "AccessDenied"
    assert code(lambda: gateway.put("blocked", "new", b"k")) == "AccessDenied"


def test_what_it_cannot_be_asked(gateway: Gateway, bucket: str) -> None:
    """A setting that it cannot keep is refused or lost, and it is asked for nothing that it would make up."""
    owned: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3 = gateway.s3
    assert code(lambda: s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=owned)) == "InvalidArgument"
    assert "Rules" not in s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert code(lambda: s3.get_bucket_website(Bucket=bucket)) == "MethodNotAllowed"
    locked = "ObjectLockConfigurationNotFoundError"
    assert code(lambda: s3.get_object_lock_configuration(Bucket=bucket)) == locked


def rest(gateway: Gateway, bucket: str, body: bytes = b"x") -> Verdict:
    """What the gate says of the objects of a bucket, under a policy that names the key; nothing lower is accepted.

    `body` is what was read of each of them, as both task and runner say.
    """
    gate, limits = DataEncryptionAtRest(), {"keys": [KEY]}
    listed = gateway.s3.list_object_versions(Bucket=bucket)["Versions"]
    versions = [(each["Key"], each["VersionId"]) for each in listed]
    answers = cipher.ask(gateway.endpoint, gateway.credentials("pipeline"), bucket, versions)
    volumes = dict.fromkeys(("quarantine", "staging", "evidence", "store"), "encrypted")
    subject = Subject(kind="rows", name="quarantine:raw", sha256="0" * 64)
    own = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    held = {key: {"manifest": own, "quarantine": own} for key, _ in versions}
    material = given(subject, answers, held, volumes, Basis.OBSERVED)
    return judge(gate, observe(gate, material, limits, random.Random(1)), limits)


def test_encryption_that_is_done_passes_and_a_plain_object_is_found(gateway: Gateway) -> None:
    gateway.make("rested", key="")
    gateway.put("rested", "sealed", b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=KEY)
    assert broken(rest(gateway, "rested")) == [("S3-SSE", "default")]
    gateway.encrypt("rested")
    passed = rest(gateway, "rested")
    assert passed.outcome is Outcome.PASS
    assert "1 versions by aws:kms, volumes encrypted, 0 of 1 checked against the store's own checksum" in passed.reason
    gateway.make("half", key="")
    gateway.put("half", "plain", b"x")
    gateway.encrypt("half")
    gateway.put("half", "sealed", b"x")
    assert broken(rest(gateway, "half")) == [("S3-SSE-OBJ", "plain")]


def test_its_checksum_is_not_kept_and_its_size_is_that_of_the_bytes(gateway: Gateway) -> None:
    """Also where one was sent with the object, and where the object is encrypted."""
    gateway.make("sized")
    for key, more in (("plain", {}), ("summed", {"ChecksumAlgorithm": "SHA256"})):
        version = gateway.put("sized", key, b"x" * 5000, **more)
        told = dict(cipher.ask(gateway.endpoint, gateway.credentials("pipeline"), "sized", [(key, version)]))
        assert told[key] == {"status": 200, "algorithm": "aws:kms", "key": KEY, "size": 5000, "sha256": ""}
    assert rest(gateway, "sized", b"x" * 5000).outcome is Outcome.PASS
    assert broken(rest(gateway, "sized", b"x" * 4999)) == [("S3-SHA", "plain")]


def test_a_key_that_the_store_does_not_have_encrypts_nothing(gateway: Gateway, bucket: str) -> None:
    gateway.make("keyless", key="")
    unknown: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "of-nobody"}
    assert code(lambda: gateway.put("keyless", "k", b"k", **unknown)) == "InvalidArgument"
