"""What a request needs, and whether its signer, or anybody, may have it.

In this order, for every (action, resource) that the request needs: a Deny of the bucket policy refuses; then the
principal's own list, an Allow of the bucket policy, or an ACL must grant; then the public access block may still refuse
what would make the bucket public. A request of a kind that is not listed here is refused, not passed on.

Source: AWS, "Actions, resources, and condition keys for Amazon S3" and "Blocking public access", S3 User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote
from xml.etree import ElementTree

from moto.s3.models import FakeBucket

from deployments.lake import store
from deployments.lake.policy import Ask, applying, glob, open_to_all, problem, statements
from deployments.lake.sigv4 import ACCOUNT, Principal, Request, S3Error, denied

ARN = "arn:aws:s3:::"
PAGING = {
    *("list-type", "prefix", "delimiter", "marker", "max-keys", "continuation-token", "start-after", "encoding-type"),
    *("fetch-owner", "key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "part-number-marker"),
    *("max-parts", "versionId", "uploadId", "partNumber", "x-id"),
}
OF_BUCKET = {
    "acl": "BucketAcl",
    "encryption": "EncryptionConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
}
OF_OBJECT = {
    "acl": "ObjectAcl",
    "attributes": "ObjectAttributes",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
}
BY_HEADER = {
    "x-amz-bucket-object-lock-enabled": "PutBucketObjectLockConfiguration",
    "x-amz-bypass-governance-retention": "BypassGovernanceRetention",
    "x-amz-object-lock-legal-hold": "PutObjectLegalHold",
    "x-amz-object-lock-mode": "PutObjectRetention",
    "x-amz-object-ownership": "PutBucketOwnershipControls",
    "x-amz-tagging": "PutObjectTagging",
}
ACL_OF_OBJECT = {"s3:GetObject": "READ", "s3:GetObjectAcl": "READ_ACP", "s3:PutObjectAcl": "WRITE_ACP"}
ACL_OF_BUCKET = {
    "s3:GetBucketAcl": "READ_ACP",
    "s3:ListBucket": "READ",
    "s3:ListBucketVersions": "READ",
    "s3:PutBucketAcl": "WRITE_ACP",
    "s3:PutObject": "WRITE",
}
OWNERS = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner")
SOURCE = re.compile(r"[a-z0-9.-]+/[^/#;?\x00-\x20\x7f-\U0010ffff][^#;?\x00-\x20\x7f-\U0010ffff]*")
SAID_IN_CONDITIONS = (
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
)


def authorise(who: Principal | None, req: Request) -> None:
    """Return if the request may be done; `who` is its signer, None for anybody.

    Raises:
        S3Error: it may not, or what it asks for is not known here.
    """
    if any(req.headers.get(name, ACCOUNT) != ACCOUNT for name in OWNERS):
        raise denied()
    if who is None and any(name.startswith("response-") for name in req.query):
        raise S3Error(400, "InvalidRequest", "only a signed request chooses the headers of its answer")
    context = _context(who, req)
    for action, arn in needed(req):
        bucket = store.bucket(arn.removeprefix(ARN).partition("/")[0])
        ask = Ask(action, arn, who.arn if who else None, ACCOUNT, context)
        # Like an account's root user: otherwise a policy that denies everything could never be taken away again.
        repairs = who is not None and who.root and action.endswith("BucketPolicy")
        if not repairs and not _granted(who, ask, bucket):
            raise denied()
        _keep_private(action, req, bucket)


def needed(req: Request) -> list[tuple[str, str]]:
    """Every (action, resource ARN) that the request needs.

    Raises:
        S3Error: 501 for a kind of request that is not known here, 400 for one that could be read in two ways.
    """
    subs = [q for q in req.query if q not in PAGING and not (q.startswith("response-") and req.method == "GET")]
    sub = (subs or [""])[0]
    unknown = S3Error(501, "NotImplemented", f"{req.method} {' '.join(subs)}")
    # With a customer's key the store would keep the object in the clear and hand it out without the key.
    if len(subs) > 1 or any(n == "x-amz-security-token" or "encryption-customer" in n for n in req.headers):
        raise unknown
    if (sub, req.method) == ("delete", "POST") and req.bucket and not req.key:
        return list(_deletions(req))
    kinds = _of_object(req, sub) if req.key else _of_bucket(sub) if req.bucket else {("", "GET"): "ListAllMyBuckets"}
    arn = ARN + (f"{req.bucket}/{req.key}" if req.key else req.bucket or "*")
    if (sub, req.method) not in kinds:
        raise unknown
    need = [(f"s3:{kinds[sub, req.method]}", arn)]
    if source := req.headers.get("x-amz-copy-source"):
        name, _, version = source.removeprefix("/").partition("?versionId=")
        if not SOURCE.fullmatch(name):
            raise S3Error(400, "InvalidArgument", "x-amz-copy-source")
        need.append(("s3:GetObjectVersion" if version else "s3:GetObject", ARN + unquote(name)))
    need += [(f"s3:{action}", arn) for name, action in BY_HEADER.items() if name in req.headers]
    if req.method in ("PUT", "POST") and any(_grants(req)):
        need.append((f"s3:Put{'Object' if req.key else 'Bucket'}Acl", arn))
    return need


def _of_bucket(sub: str) -> Mapping[tuple[str, str], str]:
    kinds = {
        ("", "GET"): "ListBucket",
        ("", "HEAD"): "ListBucket",
        ("", "PUT"): "CreateBucket",
        ("", "DELETE"): "DeleteBucket",
        ("versions", "GET"): "ListBucketVersions",
        ("uploads", "GET"): "ListBucketMultipartUploads",
    }
    if sub in OF_BUCKET:
        kinds |= {(sub, method): f"Put{OF_BUCKET[sub]}" for method in ("PUT", "DELETE")}
        kinds |= {(sub, "GET"): f"Get{OF_BUCKET[sub]}", ("policy", "DELETE"): "DeleteBucketPolicy"}
    return kinds


def _of_object(req: Request, sub: str) -> Mapping[tuple[str, str], str]:
    if "uploadId" in req.query:
        return {
            ("", "GET"): "ListMultipartUploadParts",
            ("", "PUT"): "PutObject",
            ("", "POST"): "PutObject",
            ("", "DELETE"): "AbortMultipartUpload",
        }
    verbs, version = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}, "Version" if req.query.get("versionId") else ""
    kinds = {("", method): f"{verb}Object{version}" for method, verb in verbs.items()}
    kinds |= {("", "HEAD"): kinds["", "GET"], ("uploads", "POST"): "PutObject"}
    if sub in OF_OBJECT:
        noun = OF_OBJECT[sub].replace("Object", f"Object{version}")
        kinds |= {(sub, method): verb + noun for method, verb in verbs.items()}
    return kinds


def _deletions(req: Request) -> Iterator[tuple[str, str]]:
    listed = [element for element in _xml(req.body) if element.tag.endswith("Object")]
    if not listed:
        raise S3Error(400, "MalformedXML")
    for element in listed:
        item = {child.tag.split("}")[-1]: child.text or "" for child in element}
        odd = any(len(child) or child.attrib for child in element) or len(item) != len(element) or element.attrib
        if odd or not item.get("Key") or not item.keys() <= {"Key", "VersionId"}:
            raise S3Error(400, "MalformedXML")
        action = "s3:DeleteObjectVersion" if item.get("VersionId") else "s3:DeleteObject"
        yield action, f"{ARN}{req.bucket}/{item['Key']}"


class _Plain(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise S3Error(400, "MalformedXML", "a document type is not accepted")


def _xml(body: bytes) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_Plain())  # noqa: S314 - without a document type there are no entities
    try:
        return ElementTree.fromstring(body, parser)  # noqa: S314
    except ElementTree.ParseError:
        raise S3Error(400, "MalformedXML") from None


def _context(who: Principal | None, req: Request) -> dict[str, str | None]:
    return {
        "aws:principalarn": who.arn if who else None,
        "aws:securetransport": "true",
        "aws:sourceip": req.client,
        "aws:username": who.name if who else None,
        "s3:prefix": req.query.get("prefix"),
        "s3:tlsversion": req.tls or None,
        "s3:versionid": req.query.get("versionId"),
        **{f"s3:{name}": req.headers.get(name) for name in SAID_IN_CONDITIONS},
    }


def _granted(who: Principal | None, ask: Ask, bucket: FakeBucket | None) -> bool:
    block = bucket.public_access_block if bucket else None
    found = list(applying(bucket.policy if bucket else None, ask))
    if any(effect == "Deny" for effect, _ in found):
        return False
    if who is not None and any(glob(ask.action, a) and glob(ask.resource, r) for a, r in who.allow):
        return True
    restricted = who is None and block is not None and block.restrict_public_buckets
    if any(not (public and restricted) for _, public in found):
        return True
    if bucket is None or (block and block.ignore_public_acls) or str(bucket.ownership_rule) == "BucketOwnerEnforced":
        return False
    return _acl_allows(bucket, ask, anybody=who is None)


def _acl_allows(bucket: FakeBucket, ask: Ask, *, anybody: bool) -> bool:
    right = {**ACL_OF_OBJECT, **ACL_OF_BUCKET}.get(ask.action)
    target = bucket.keys.get(ask.resource.partition("/")[2]) if ask.action in ACL_OF_OBJECT else bucket
    acl = getattr(target, "acl", None)  # a delete marker has none
    if right is None or acl is None:
        return False
    groups = ("/global/AllUsers",) if anybody else ("/global/AllUsers", "/global/AuthenticatedUsers")
    return any(
        grantee.uri.endswith(groups) and not {right, "FULL_CONTROL"}.isdisjoint(grant.permissions)
        for grant in acl.grants
        for grantee in grant.grantees
    )


def _keep_private(action: str, req: Request, bucket: FakeBucket | None) -> None:
    block = bucket.public_access_block if bucket else None
    if action == "s3:PutBucketPolicy":
        if why := problem(req.body):
            raise S3Error(400, "MalformedPolicy", why)
        if block and block.block_public_policy and any(map(open_to_all, statements(req.body))):
            raise denied()
    if action.endswith("Acl") and block and block.block_public_acls:
        said = list(_grants(req))
        if "acl" in req.query and req.body:
            said += _xml(req.body).itertext()
        if any(word in text for text in said for word in ("public", "authenticated-read", "/global/")):
            raise denied()


def _grants(req: Request) -> Iterator[str]:
    return (text for n, text in req.headers.items() if n == "x-amz-acl" or n.startswith("x-amz-grant-"))
