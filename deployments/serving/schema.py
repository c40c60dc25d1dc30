"""What goes over the wire: the forms of what is asked and answered, their limits, and refusals.

The document of the service (`openapi`) is made from these very forms. None of them takes a property that is not here.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from starlette.responses import Response

from security.errors import SluiceError

MOST = 100
"""Items in one answer."""
LENGTH = 200
"""Items in one session, repeated ones counted."""
NAME = 256
"""Characters of an id."""
BODY = 65_536
"""Bytes of a body."""
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME)]
Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]


class Session(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody did just now: items in any order. One that is there twice counts once."""

    items: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=LENGTH)]
    k: Count = 10


class Item(msgspec.Struct, frozen=True):
    """One recommended item."""

    item: str
    score: float


class Recommendations(msgspec.Struct, frozen=True):
    """The answer for one user; `model` is the digest of the release, `basis` is `personal` or `cold`."""

    user: str
    model: str
    items: list[Item]
    basis: str


class Suggestions(msgspec.Struct, frozen=True):
    """The answer for one session: `basis` is `session`, or `cold` where none of its items is known.

    `counted` is how many different items of the session the answer is of, `unknown` how many the release does not have.
    """

    model: str
    items: list[Item]
    basis: str
    counted: int
    unknown: int


class Version(msgspec.Struct, frozen=True):
    """Which release answers."""

    model: str
    name: str
    version: int
    run: str


class Error(msgspec.Struct, frozen=True):
    """A refusal: one sentence, nothing of the inside."""

    error: str


class Health(msgspec.Struct, frozen=True):
    """Whether the process answers."""

    ok: bool


class Ready(msgspec.Struct, frozen=True):
    """All that a caller without a token learns: whether it would recommend, and by which model, which whoever rolls it
    out compares with the one that was approved."""

    ok: bool
    model: str


class Refusal(SluiceError):
    """A request that is not answered: the status, one sentence, and headers that belong to it."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


def answer(body: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def refused(why: Refusal) -> Response:
    """A refusal as a response."""
    return answer(Error(str(why)), why.status, why.headers)
