"""What an API server answers: an object, or a refusal, which is an error of its own kind in one sentence."""

import json
import re
from typing import Any

from deployments.kubernetes import kinds
from deployments.kubernetes.errors import (
    Busy,
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    Missing,
    Moved,
    Odd,
    Unknown,
)

AGAIN = frozenset({429, 500, 503, 504})
"""What may be another answer a moment later."""
SENTENCE = 400
TYPED = "failed to create typed patch object"
"""What a server says, with status 500, of a field that it does not know: to ask again is of no use."""
_MANAGER = re.compile(r'conflict with "((?:[^"\\]|\\.)*)"')


def parsed(what: str, status: int, data: bytes) -> dict[str, Any]:
    """The object that an answer is; empty for a refusal that is none. `Odd` for anything else."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        return told
    if status >= 400:  # of a proxy before it, say: the status is all that is known
        return {}
    raise Odd(f"{what}: the answer is no object in JSON")


def pause(said: str) -> float | None:
    """Seconds after which a server says that it may be asked again; None where it does not."""
    return float(said) if re.fullmatch(r"[0-9]{1,6}", said) else None


def line(said: object) -> str:
    """One line of what a server says, of bounded length."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in str(said)).split())
    return line if len(line) <= SENTENCE else f"{line[:SENTENCE]}..."


def refused(status: int, told: dict[str, Any], what: str) -> ClusterError:
    """The error that a refusal is."""
    details = told.get("details") if isinstance(told.get("details"), dict) else {}
    causes = [each for each in (details or {}).get("causes") or [] if isinstance(each, dict)]
    said = line(told.get("message") or "nothing is said of why")
    if status == 409:
        fields = tuple(
            (line(each.get("field")), match[1] if (match := _MANAGER.search(str(each.get("message")))) else "somebody")
            for each in causes
            if each.get("reason") == "FieldManagerConflict"
        )
        if fields:
            whose = "; ".join(f"{path} is managed by {line(manager)}" for path, manager in fields)
            return Conflict(f"{what}: {whose}; allowed: fields of nobody else", fields)
        return Moved(f"{what}: {said}")
    known = {401: Unknown, 403: Forbidden, 404: Missing}
    if status == 500 and TYPED in said:
        return Invalid(f"{what}: {said}")
    if status in known:
        return known[status](f"{what}: {status}: {said}")
    if status in AGAIN:
        return Busy(f"{what}: the server answers {status}: {said}")
    return Invalid(f"{what}: {status}: {said}") if 400 <= status < 500 else Odd(f"{what}: {status}: {said}")


def same(told: dict[str, Any], kind: str, name: str | None, namespace: str) -> dict[str, Any]:
    """The answer, which must be of the object that was asked for."""
    about = told.get("metadata")
    if (told.get("kind"), told.get("apiVersion")) != (kind, kinds.KINDS[kind].version) or not isinstance(about, dict):
        raise Odd(f"{kind}/{name}: the answer is of another kind")
    if (name is not None and about.get("name") != name) or (namespace and about.get("namespace") != namespace):
        raise Odd(f"{kind}/{name}: the answer is of another object")
    return told
