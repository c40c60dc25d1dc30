"""What a bucket policy and an ACL grant, read more strictly than AWS reads them.

- An Allow for everybody is public whatever its Condition: AWS lets fixed values of some keys restrict it, and every
  list of such keys that was looked at had holes.
- An Allow with NotPrincipal, and one whose ARN has a wildcard for the account, is an Allow for everybody.
- Resources do not narrow a grant: whatever part of the bucket is public, the bucket is.
- A Deny counts only for what is asked of it: that everybody needs TLS, and a current one, for everything.

A document that is not understood is `CannotTell`, never "grants nothing". Grammar: "IAM JSON policy element
reference" and "Access control list (ACL) overview" in the AWS documentation.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from security.engines.patterns import covers
from security.errors import CannotTell
from security.verdict import Frozen, canonical

READING = ("get", "list", "head", "describe", "select")
"""How the names of actions that change nothing begin; every other action writes."""
LARGEST, MOST = 65_536, 131_072
"""Bytes of canonical JSON that one policy may have, and all of a principal's own. AWS allows a bucket's 20,480, and
those of a role 71,680 unless more is asked for; the time to evaluate them grows with the square."""
EVERYBODY = "*"
Condition = Mapping[str, Mapping[str, Any]]
"""Operator -> key -> value or values."""

_POLICY = frozenset({"Version", "Id", "Statement"})
_STATEMENT = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")
_READS, _WRITES = frozenset({"READ", "READ_ACP"}), frozenset({"WRITE", "WRITE_ACP"})


class Statement(Frozen):
    """One statement. `inverse` names the elements given as Not...: they mean all but what is listed.

    `who` is each principal as written, with its kind; `principals` are the accounts and names that they come to.
    """

    effect: Literal["Allow", "Deny"]
    who: tuple[tuple[str, str], ...]
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: dict[str, dict[str, Any]]
    inverse: frozenset[Literal["Principal", "Action", "Resource"]]

    @property
    def everybody(self) -> bool:
        """Whether an Allow of this form reaches anybody at all."""
        return EVERYBODY in self.principals or "Principal" in self.inverse


class Grants(Frozen):
    """What everybody may do, and who else is named: accounts, or names that begin with `service:`, `canonical:`, ..."""

    read: bool
    write: bool
    named: tuple[str, ...]


def parse(document: Mapping[str, Any], *, own: bool = False) -> tuple[Statement, ...]:
    """The statements of a bucket's policy, or of a principal's `own`, in which nobody is named.

    `CannotTell` for whatever is not in the grammar, and for a policy that is larger than any should be.
    """
    bounded([document], LARGEST)
    listed = document.get("Statement")
    raw = listed if isinstance(listed, list) else [listed]
    if not raw or not document.keys() <= _POLICY:
        raise CannotTell("a policy has no statement, or a member that is not in the grammar")
    return tuple(_statement(each, own) for each in raw)


def bounded(documents: Iterable[Any], most: int) -> None:
    """`CannotTell` if documents have more bytes than this together."""
    size = sum(len(canonical(each)) for each in documents)
    if size > most:
        raise CannotTell(f"{size:,} bytes of policies are to be evaluated; allowed: {most:,}")


def by_policy(statements: Iterable[Statement]) -> Grants:
    """What the Allow statements of a policy grant."""
    allowed = [each for each in statements if each.effect == "Allow"]
    public = [_kinds(each) for each in allowed if each.everybody]
    named = {name for each in allowed if not each.everybody for name in each.principals}
    return Grants(
        read=any("read" in kinds for kinds in public),
        write=any("write" in kinds for kinds in public),
        named=tuple(sorted(named)),
    )


def by_acl(owner: str, grants: Sequence[Mapping[str, Any]]) -> Grants:
    """What an ACL grants beyond its owner. A grant: type, permission, and id or uri."""
    read = write = False
    named: set[str] = set()
    for grant in grants:
        kind, permission = grant.get("type"), grant.get("permission")
        if permission not in {*_READS, *_WRITES, "FULL_CONTROL"}:
            raise CannotTell(f"the ACL has a permission that is not known: {permission!r}")
        group = str(grant.get("uri", "")).rpartition("/")[2]
        if kind == "Group" and group in ("AllUsers", "AuthenticatedUsers"):
            read = read or permission not in _WRITES
            write = write or permission not in _READS
        elif kind == "Group" and group:
            named.add(f"group:{group}")
        elif kind == "CanonicalUser" and grant.get("id"):
            named |= {f"canonical:{grant['id']}"} if grant["id"] != owner else set()
        else:
            raise CannotTell(f"the ACL has a grantee that is not known: {kind!r}")
    return Grants(read=read, write=write, named=tuple(sorted(named)))


def tls_only(statements: Iterable[Statement], bucket: str) -> bool:
    """Whether everybody is denied everything without TLS, on the bucket and on all of its objects."""
    return _denied(statements, bucket, _without_tls)


def tls_current(statements: Iterable[Statement], bucket: str) -> bool:
    """Whether everybody is denied everything over TLS older than 1.2, on the bucket and on all of its objects."""
    return _denied(statements, bucket, _by_old_tls)


def _denied(statements: Iterable[Statement], bucket: str, when: Callable[[Condition], bool]) -> bool:
    """Whether everybody is denied everything under a condition, on the bucket and on all of its objects.

    The objects and the bucket may be covered by two statements. A further condition would let requests through that
    it does not match, so that a statement with one covers nothing.
    """
    targets, covered = {bucket, f"{bucket}/*"}, set[str]()
    for each in statements:
        whole = each.effect == "Deny" and ("AWS", EVERYBODY) in each.who and not each.inverse
        if whole and {action.lower() for action in each.actions} & {"*", "s3:*"} and when(each.condition):
            covered |= {target for target in targets if any(_covers(known, target) for known in each.resources)}
    return covered == targets


def _statement(raw: Any, own: bool) -> Statement:
    if not isinstance(raw, dict) or not raw.keys() <= _STATEMENT or raw.get("Effect") not in ("Allow", "Deny"):
        raise CannotTell("a policy has a statement that is not in the grammar")
    if own:
        if {"Principal", "NotPrincipal"} & raw.keys():
            raise CannotTell("a principal's own policy names a principal")
        raw = {**raw, "Principal": EVERYBODY}
    inverse, values = set[str](), dict[str, Any]()
    for name in ("Principal", "Action", "Resource"):
        if (name in raw) == (f"Not{name}" in raw):
            raise CannotTell(f"a statement needs exactly one of {name} and Not{name}")
        if name not in raw:
            inverse.add(name)
        values[name] = raw[f"Not{name}" if name in inverse else name]
    condition = raw.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(keys, dict) for keys in condition.values()):
        raise CannotTell("a statement has a Condition that is not in the grammar")
    return Statement.model_validate(
        {
            "effect": raw["Effect"],
            "who": _who(values["Principal"]),
            "principals": _principals(values["Principal"]),
            "actions": _many(values["Action"]),
            "resources": _many(values["Resource"]),
            "condition": condition,
            "inverse": inverse,
        }
    )


def _many(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(each, str) and each for each in listed):
        raise CannotTell("a statement has an element that is neither text nor a list of texts")
    return tuple(listed)


def _who(value: Any) -> tuple[tuple[str, str], ...]:
    by_kind = value if isinstance(value, dict) else {"AWS": value}
    if not by_kind or not by_kind.keys() <= {"AWS", "Service", "Federated", "CanonicalUser"}:
        raise CannotTell("a statement has a principal of a kind that is not known")
    return tuple(sorted({(kind, each) for kind, listed in by_kind.items() for each in _many(listed)}))


def _principals(value: Any) -> tuple[str, ...]:
    return tuple(sorted({_principal(kind, each) for kind, each in _who(value)}))


def _principal(kind: str, text: str) -> str:
    """The account of an ARN, or a name with its kind; an ARN without an account, as Ceph has them, names itself."""
    parts = text.split(":", 5)
    account = parts[4] if kind == "AWS" and parts[0] == "arn" and len(parts) == 6 else text
    if any(wild in account for wild in "*?"):
        return EVERYBODY
    if not account:
        return text
    return account if kind == "AWS" else f"{ {'CanonicalUser': 'canonical'}.get(kind, kind.lower()) }:{text}"


def _kinds(statement: Statement) -> set[str]:
    """Whether a statement's actions read, write, or both; a pattern counts for all that it could match."""
    if "Action" in statement.inverse:
        return {"read", "write"}
    kinds = set[str]()
    for action in statement.actions:
        name = action.rpartition(":")[2].lower()
        fixed = re.split(r"[*?]", name)[0]
        reads = fixed.startswith(READING)
        if reads or (fixed != name and any(verb.startswith(fixed) for verb in READING)):
            kinds.add("read")
        if not reads:
            kinds.add("write")
    return kinds


def _without_tls(condition: Condition) -> bool:
    """Exactly `Bool` or `BoolIfExists` aws:SecureTransport false, as text, truth value or list."""
    operator, values = _alone(condition, "aws:securetransport")
    return operator in ("Bool", "BoolIfExists") and {each.lower() for each in values} == {"false"}


def _by_old_tls(condition: Condition) -> bool:
    """Exactly `NumericLessThan` s3:TlsVersion 1.2 or more, also `...IfExists`; of a list the greatest counts."""
    operator, values = _alone(condition, "s3:tlsversion")
    numbers = [float(each) for each in values if _NUMBER.fullmatch(each)]
    known = operator in ("NumericLessThan", "NumericLessThanIfExists") and len(numbers) == len(values) > 0
    return known and max(numbers) >= 1.2


def _alone(condition: Condition, name: str) -> tuple[str, list[str]]:
    """Operator and values of a condition on this key and on no other; nothing where it is another."""
    if len(condition) != 1:
        return "", []
    ((operator, keys),) = condition.items()
    if [key.lower() for key in keys] != [name]:
        return "", []
    (value,) = keys.values()
    return operator, [str(each) for each in (value if isinstance(value, list) else [value])]


def _covers(resource: str, target: str) -> bool:
    """Whether an ARN pattern matches all of `target`. A `?` stands for one character, and so never for all objects."""
    name = re.sub(r"^arn:aws[a-z-]*:s3:::", "", resource)
    if "?" in name or "$" in name or (name == resource != "*"):
        return False
    return covers(name, target)
