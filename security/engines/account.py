"""What an account says of itself: its public access block, its access points and trails, and a principal's policies.

Only AWS has these interfaces, at addresses of its own; of another store nobody is asked, which the answer says. That a
principal's policies may not be read is an answer too: few pipelines may, and the gate then says what it could not see.
Access points are the account's own: those by which another account reaches the bucket are not told to it.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from security.engines.caller import Caller
from security.engines.patterns import meets
from security.engines.s3 import AMAZON, ATTEMPTS, CONNECT, PRINCIPAL, READ, Credentials, Endpoint, deaf
from security.engines.settings import Answer
from security.engines.trails import recording
from security.errors import CannotTell

Service = Literal["cloudtrail", "iam", "s3control", "sts"]
UNASKED: Answer = {"asked": False}
ALL = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
OREGON = "us-west-2"
"""The region that answers for points of all regions, which only the partition `aws` has."""


def questions(endpoint: Endpoint, own: Credentials, bucket: str, prefix: str) -> Mapping[str, Callable[[], Answer]]:
    """Each question about the account and the principal, and who answers it."""

    def control(ask: Callable[[Any], Answer]) -> Answer:
        return ask(service(endpoint, own, "s3control")) if endpoint.amazon else UNASKED

    def at(name: Service, region: str) -> Any:
        return service(endpoint.model_copy(update={"region": region}), own, name)

    def partition() -> str:
        return deaf().get_partition_for_region(endpoint.region)

    def regional() -> Answer:
        there = endpoint.amazon and partition() == "aws"
        return multi_region(at("s3control", OREGON), endpoint.account, bucket) if there else UNASKED

    def trail() -> Answer:
        if not endpoint.amazon:
            return UNASKED
        return recording(partial(at, "cloudtrail"), endpoint.region, f"arn:{partition()}:s3:::{bucket}/{prefix}")

    def who() -> Answer:
        arn = caller(service(endpoint, own, "sts"), endpoint.principal) if endpoint.amazon else endpoint.principal
        return {"status": 200, "arn": arn} if arn else UNASKED

    def identity() -> Answer:
        return policies(service(endpoint, own, "iam"), str(who()["arn"])) if endpoint.amazon else UNASKED

    return {
        "account_block": lambda: control(partial(block, account=endpoint.account)),
        "access_points": lambda: control(partial(points, account=endpoint.account, bucket=bucket)),
        "multi_region_points": regional,
        "data_events": trail,
        "principal": who,
        "identity": identity,
    }


def service(endpoint: Endpoint, credentials: Credentials, name: Service) -> Any:
    """A client of another of AWS's interfaces, where AWS has it; `CannotTell` if it came out elsewhere."""
    from botocore.config import Config

    unread: dict[str, Any] = {"ignore_configured_endpoint_urls": True}
    made = deaf().client(
        name,
        region_name=endpoint.region,
        verify=endpoint.ca or True,
        aws_access_key_id=credentials.access,
        aws_secret_access_key=credentials.secret,
        config=Config(
            **unread,
            proxies={},
            connect_timeout=CONNECT,
            read_timeout=READ,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        ),
    )
    session, at = made._endpoint.http_session, urlsplit(made.meta.endpoint_url)
    verified = session._verify == (endpoint.ca or True) and not session._proxy_config._proxies
    if at.scheme != "https" or not (at.hostname or "").endswith(AMAZON) or not verified:
        raise CannotTell(f"the {name} client was resolved to another endpoint, authority or proxy than AWS has")
    return made


def caller(sts: Any, given: str) -> str:
    """The principal, by AWS's own word; `CannotTell` if another one was given. A session is taken for its role."""
    found = str(sts.get_caller_identity()["Arn"])
    session = given and Caller(given, "").kind == "role" and meets(Caller(given, "").pattern, found)
    if given and found != given and not session:
        raise CannotTell("the key is not that of the principal that was given")
    if not PRINCIPAL.fullmatch(found):
        raise CannotTell("the key is that of no user and no role")
    return given or found


def block(control: Any, account: str) -> Answer:
    """Which of the four settings of the account's public access block are on."""
    found: Mapping[str, Any] = control.get_public_access_block(AccountId=account)["PublicAccessBlockConfiguration"]
    return {"status": 200, "on": sorted(name for name, value in found.items() if value is True)}


def points(control: Any, account: str, bucket: str) -> Answer:
    """How many access points lead to the bucket, and how many of them do not block all public access."""
    count = unblocked = 0
    for each in _tokened(control.list_access_points, "AccessPointList", AccountId=account, Bucket=bucket):
        found: Mapping[str, Any] = control.get_access_point(AccountId=account, Name=each["Name"])
        closed = _closed(found.get("PublicAccessBlockConfiguration", {}))
        count, unblocked = count + 1, unblocked + (not closed)
    return {"status": 200, "count": count, "unblocked": unblocked}


def multi_region(control: Any, account: str, bucket: str) -> Answer:
    """How many points of several regions lead to the bucket, and the names of those that let the public in.

    A point that does not say which buckets it leads to is a `KeyError`.
    """
    listed = _tokened(control.list_multi_region_access_points, "AccessPoints", AccountId=account)
    ours = [each for each in listed if bucket in [part["Bucket"] for part in each["Regions"]]]
    unblocked = [each["Name"] for each in ours if not _closed(each.get("PublicAccessBlock", {}))]
    return {"status": 200, "count": len(ours), "unblocked": sorted(unblocked)}


def _closed(blocks: Mapping[str, Any]) -> bool:
    return all(blocks.get(name) is True for name in ALL)


def _tokened(listing: Callable[..., Mapping[str, Any]], member: str, **about: str) -> Iterator[Any]:
    """Every page of a listing that goes on by tokens; an empty token, or one that was followed before, is an error."""
    seen, mark = set[str](), dict[str, str]()
    while True:
        page = listing(**about, **mark)
        yield from page[member]
        if "NextToken" not in page:
            return
        token = page["NextToken"]
        if not token or token in seen:
            raise ValueError("a listing is cut off, and does not say where it goes on")
        seen.add(token)
        mark = {"NextToken": token}


def policies(iam: Any, arn: str) -> Answer:
    """Every policy of a user and of its groups, or of a role: inline, and attached in its default version."""
    kind, *path = arn.split(":", 5)[5].split("/")
    of_user = kind == "user"
    name = path[0] if kind == "assumed-role" else path[-1]
    holders = [("user" if of_user else "role", name)]
    if of_user:
        holders += [("group", each["GroupName"]) for each in _all(iam, "list_groups_for_user", "Groups", UserName=name)]
    return {"status": 200, "documents": [each for kind, name in holders for each in _of(iam, kind, name)]}


def _of(iam: Any, kind: str, name: str) -> Iterator[Any]:
    who = {f"{kind.title()}Name": name}
    for inline in _all(iam, f"list_{kind}_policies", "PolicyNames", **who):
        yield getattr(iam, f"get_{kind}_policy")(**who, PolicyName=inline)["PolicyDocument"]
    for attached in _all(iam, f"list_attached_{kind}_policies", "AttachedPolicies", **who):
        arn = attached["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        yield iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def _all(iam: Any, call: str, member: str, **who: str) -> Iterator[Any]:
    """Every page of a listing; one that says there is more and not where is a `ValueError`."""
    mark: dict[str, str] = {}
    while True:
        page = getattr(iam, call)(**who, **mark)
        yield from page[member]
        if not page.get("IsTruncated"):
            return
        further = {"Marker": page.get("Marker", "")}
        if not further["Marker"] or further == mark:
            raise ValueError(f"{call} is cut off, and does not say where it goes on")
        mark = further
