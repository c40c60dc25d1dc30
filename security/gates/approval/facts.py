"""What a look at approvals shows: the model that is asked about, when, and every envelope that is about it."""

import json
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from security.errors import CannotTell
from security.material import Material
from security.verdict import Frozen, Subject
from security.words import WORD

ASKED, APPROVAL, OTHER = "asked", "approval", "other"
NOBODY: Literal["UnsafeNobody"] = "UnsafeNobody"
"""In place of a number of persons: none is asked."""
SHA = r"^[0-9a-f]{64}$"
Sha = Annotated[str, Field(pattern=SHA)]


class Asked(Frozen):
    """What the runner hands out first: the digest of the model's files, that of the image which is to bring it there
    (empty where there is none), the moment (seconds since the epoch), and the ids of keys that were revoked."""

    model: Sha
    image: str = Field(pattern=r"^([0-9a-f]{64})?$")
    at: float = Field(ge=0)
    revoked: tuple[Sha, ...]


class Facts(Asked):
    """Every envelope that is about the model, or about nothing that can be read; and how many are about others."""

    envelopes: tuple[str, ...]
    others: int = Field(ge=0)


class Limits(Frozen):
    """How many persons must have approved, who they may be (id of the public key -> name), and for how many days at the
    most. `wait`: seconds that a run waits for the first of them. `name` of the pipeline and `target` are the plan's."""

    persons: Annotated[int, Field(strict=True, ge=1, le=9)] | Literal["UnsafeNobody"] = 1
    approvers: dict[Sha, Annotated[str, Field(min_length=1)]] = {}
    days: float = Field(default=30, gt=0, le=366)
    wait: int = Field(default=0, ge=0, le=7 * 86_400, strict=True)
    name: str = Field(pattern=WORD)
    target: str = Field(pattern=WORD)


class Item(NamedTuple):
    """`asked`: a JSON object of `Asked`; `approval`: an envelope; `other`: one of another model, left out."""

    kind: str
    data: bytes


def material(asked: Asked, envelopes: Iterable[bytes], others: int, expected: int, subject: Subject) -> Material[Item]:
    """The approvals that lie there, for one look. `expected` is how many files there are, by another count."""
    items = [Item(ASKED, asked.model_dump_json().encode()), *(Item(APPROVAL, each) for each in sorted(envelopes))]
    items += [Item(OTHER, b"")] * others
    return Material(subject, lambda: items, expected=1 + expected, unit="questions and approvals", sample=len(items))


def found(items: Iterable[Item]) -> Facts:
    """The facts of what was handed out."""
    asked, envelopes, others = list[Asked](), list[str](), 0
    for kind, data in items:
        if kind == ASKED:
            try:
                asked.append(Asked.model_validate(json.loads(data)))
            except (ValidationError, ValueError) as why:
                raise CannotTell(f"what is asked cannot be read ({type(why).__name__})") from None
        elif kind == APPROVAL:
            envelopes.append(data.decode("ascii", "backslashreplace"))
        elif kind == OTHER:
            others += 1
        else:
            raise CannotTell("something was handed out that is neither a question nor an approval")
    if len(asked) != 1:
        raise CannotTell(f"{len(asked)} questions were handed out; allowed: one", "coverage")
    return Facts(**asked[0].model_dump(), envelopes=tuple(envelopes), others=others)
