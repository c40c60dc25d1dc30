"""Conditions of statements, of which one may not be able to tell whether they hold.

Operators by name and by their negation; whatever is not known here (sets of values, dates, numbers, addresses, policy
variables, keys without a known value) cannot be told. Grammar: "IAM JSON policy elements: Condition operators" in the
AWS documentation.
"""

from collections.abc import Mapping
from typing import Any

from security.engines.iam import Condition
from security.engines.patterns import covers

_NEGATED = {"StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike"}


def holds(condition: Condition, context: Mapping[str, str]) -> bool | None:
    """Whether a condition is met; None where that cannot be told. `context` is what is known, by lower-case key."""
    parts = [
        _holds(operator, key, value, context) for operator, keys in condition.items() for key, value in keys.items()
    ]
    if any(part is False for part in parts):
        return False
    empty = bool(condition) and not all(condition.values())
    return None if empty or None in parts else True


def _holds(operator: str, key: str, value: Any, context: Mapping[str, str]) -> bool | None:
    have = context.get(key.lower())
    base = operator.removesuffix("IfExists")
    listed = [str(each).lower() if isinstance(each, bool) else str(each) for each in _many(value)]
    if have is None or not listed or any("${" in each for each in listed):
        return None
    if base == "Null":
        return listed == ["false"] if listed in (["true"], ["false"]) and base == operator else None
    test = _TESTS.get(base)
    told = [test(have, each) for each in listed] if test else [None]
    met = True if True in told else None if None in told else False
    return met if met is None or base not in _NEGATED else not met


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _arn(have: str, want: str) -> bool | None:
    """Part by part, as ARNs are compared; a pattern with fewer parts is none."""
    parts, wanted = have.split(":", 5), want.split(":", 5)
    if len(wanted) != 6:
        return None
    return all(covers(pattern, part) for pattern, part in zip(wanted, parts, strict=True))


def _same(have: str, want: str) -> bool:
    return have == want


def _alike(have: str, want: str) -> bool:
    return have.lower() == want.lower()


def _like(have: str, want: str) -> bool:
    return covers(want, have)


_TESTS: Mapping[str, Any] = {
    "Bool": _alike,
    "StringEquals": _same,
    "StringNotEquals": _same,
    "StringEqualsIgnoreCase": _alike,
    "StringNotEqualsIgnoreCase": _alike,
    "StringLike": _like,
    "StringNotLike": _like,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "ArnNotEquals": _arn,
    "ArnNotLike": _arn,
}
"""Operator -> its positive test; a negated one turns the answer round."""
