"""Bucket policies: which statements apply to a request.

What is unknown fails closed: a Deny applies, an Allow does not.

Source: AWS, "Policy evaluation logic" and "IAM JSON policy elements", IAM User Guide.
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Statement = Mapping[str, Any]
Test = Callable[[str, str], bool]

ELEMENTS = {
    *("Sid", "Effect", "Condition"),
    *("Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource"),
}


@dataclass(frozen=True)
class Ask:
    """One thing that a request wants: an action on a resource, by somebody, in these circumstances."""

    action: str
    resource: str
    caller: str | None
    """ARN; None for an anonymous request."""
    account: str
    """The account to which every named caller belongs."""
    context: Mapping[str, str | None]
    """By lower-case condition key: None where the key is known and absent from this request."""


def glob(text: str, pattern: str) -> bool:
    """Whether the whole text matches a pattern with * and ?."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL) is not None


def _number(compare: Callable[[float, float], bool]) -> Test:
    return lambda have, want: compare(float(have), float(want))


def _in_network(have: str, want: str) -> bool:
    return ipaddress.ip_address(have) in ipaddress.ip_network(want, strict=False)


def _same(have: str, want: str) -> bool:
    return have.lower() == want.lower()


def _truth(have: str, want: str) -> bool:
    if want.lower() not in ("true", "false"):
        raise ValueError(want)
    return _same(have, want)


# A negated operator is here by its positive test; `condition` turns the answer round.
OPERATORS: Mapping[str, Test] = {
    "StringEquals": operator.eq,
    "StringNotEquals": operator.eq,
    "StringEqualsIgnoreCase": _same,
    "StringNotEqualsIgnoreCase": _same,
    "StringLike": glob,
    "StringNotLike": glob,
    "ArnEquals": glob,
    "ArnNotEquals": glob,
    "ArnLike": glob,
    "ArnNotLike": glob,
    "Bool": _truth,
    "IpAddress": _in_network,
    "NotIpAddress": _in_network,
    "NumericEquals": _number(operator.eq),
    "NumericNotEquals": _number(operator.eq),
    "NumericLessThan": _number(operator.lt),
    "NumericLessThanEquals": _number(operator.le),
    "NumericGreaterThan": _number(operator.gt),
    "NumericGreaterThanEquals": _number(operator.ge),
}


def many(value: Any) -> list[str]:
    """A policy's one-or-many as a list of texts; JSON's true and 5 become "true" and "5"."""
    values = value if isinstance(value, list) else [value]
    return [str(v).lower() if isinstance(v, bool) else str(v) for v in values]


def statements(text: bytes | str | None) -> list[dict[str, Any]]:
    """The statements of a stored policy; none where there is no policy."""
    found = _parse(text)["Statement"] if text else []
    return found if isinstance(found, list) else [found]


def condition(block: Mapping[str, Mapping[str, Any]], context: Mapping[str, str | None]) -> bool | None:
    """Whether a Condition holds, as AWS has it; None where an operator, a key or a value is not known here."""
    verdict = True
    for name, keys in block.items():
        base = name.removesuffix("IfExists")
        for key, wanted in keys.items():
            if key.lower() not in context or (base not in OPERATORS and name != "Null"):
                return None
            have, negated = context[key.lower()], "Not" in base
            try:
                if name == "Null":
                    (want,) = many(wanted)
                    held = _truth("true" if have is None else "false", want)
                elif have is None:
                    held = negated or name != base
                else:
                    held = any(OPERATORS[base](have, want) for want in many(wanted)) != negated
            except ValueError:
                return None
            verdict = verdict and held
    return verdict


def applying(text: bytes | str | None, ask: Ask) -> Iterator[tuple[str, bool]]:
    """Effect, and whether it is open to anybody, of every statement of a stored policy that applies to this."""
    for statement in statements(text):
        effect = statement["Effect"]
        if not (_listed(statement, "Action", ask.action) and _listed(statement, "Resource", ask.resource)):
            continue
        holds = condition(statement.get("Condition", {}), ask.context)
        if _concerns(statement, ask) and (holds or (holds is None and effect == "Deny")):
            yield effect, open_to_all(statement)


def _listed(statement: Statement, name: str, text: str) -> bool:
    patterns = many(statement.get(name, statement.get(f"Not{name}")))
    if name == "Action":
        text, patterns = text.lower(), [pattern.lower() for pattern in patterns]
    return any(glob(text, pattern) for pattern in patterns) == (name in statement)


def open_to_all(statement: Statement) -> bool:
    """Whether a statement allows something to everybody. Stricter than AWS: a Condition makes it no less public."""
    return statement["Effect"] == "Allow" and ("NotPrincipal" in statement or "*" in _named(statement["Principal"]))


def _named(principal: Any) -> list[str]:
    return many(principal.get("AWS", [])) if isinstance(principal, dict) else many(principal)


def _concerns(statement: Statement, ask: Ask) -> bool:
    listed, named = "Principal" in statement, _named(statement.get("Principal", statement.get("NotPrincipal")))
    hit = "*" in named or ask.caller in named
    # The account as such stands for everybody in it where that refuses. Where it would grant (an Allow to it, or a
    # Deny to all but it) it only delegates to what the account itself allows, which is asked elsewhere.
    if ask.caller is not None and (statement["Effect"] == "Deny") == listed:
        hit = hit or not {ask.account, f"arn:aws:iam::{ask.account}:root"}.isdisjoint(named)
    return hit == listed


def problem(text: bytes | str) -> str | None:
    """Why this text must not be stored as a policy: malformed, or evaluated wrongly here. None where it may be."""
    try:
        if "${" in (text if isinstance(text, str) else text.decode()):
            return "policy variables are not evaluated"
        if unknown := _parse(text).keys() - {"Version", "Id", "Statement"}:
            return f"unknown elements {sorted(unknown)}"
        listed = statements(text)
        return next(filter(None, map(_fault, listed)), None) if listed else "no statement"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"


def _fault(statement: Statement) -> str | None:
    if unknown := statement.keys() - ELEMENTS:
        return f"unknown elements {sorted(unknown)}"
    if statement["Effect"] not in ("Allow", "Deny"):
        return "Effect is neither Allow nor Deny"
    for name in ("Principal", "Action", "Resource"):
        if (name in statement) == (f"Not{name}" in statement):
            return f"exactly one of {name} and Not{name} is needed"
        value = statement.get(name, statement.get(f"Not{name}"))
        if name == "Principal" and value != "*":
            if not isinstance(value, dict) or not value or not all(map(_texts, value.values())):
                return 'Principal is neither "*" nor an object of names'
        elif not _texts(value):
            return f"{name} is not one text or more"
    for key_values in statement.get("Condition", {}).values():
        if not key_values or not all(many(v) for v in key_values.values()):
            return "a Condition without a key or without a value"
    return None


def _texts(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(v, str) and v for v in values)


def _parse(text: bytes | str) -> dict[str, Any]:
    parsed = json.loads(text if isinstance(text, str) else text.decode(), object_pairs_hook=_once)
    if not isinstance(parsed, dict):
        raise TypeError("a policy is an object")
    return parsed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers may take different ones of two equal names, and so read different policies.
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)
