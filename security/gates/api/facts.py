"""What is asked, what a refusal may be, and what is kept of an answer."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from security.verdict import Frozen

TOKEN = frozenset({401, 403})
USER = frozenset({401, 403, 404})
METHOD = frozenset({401, 403, 404, 405, 501})
ROUTE = frozenset({400, 401, 403, 404})
QUERY = frozenset({400, 422})
BUSY = frozenset({429, 502, 503, 504})
FORM = frozenset({400, 413, 415, 422})
SERVED = ("right", "right-other", "right-version", "right-session")
"""What must work, with the right token: without it no refusal proves anything."""
REFUSED: Mapping[str, tuple[frozenset[int], tuple[str, ...]]] = {
    "API-01": (TOKEN, ("none", "session-none")),
    "API-02": (TOKEN, ("garbage", "basic")),
    "API-03": (TOKEN, ("expired",)),
    "API-04": (TOKEN, ("early",)),
    "API-05": (TOKEN, ("audience",)),
    "API-06": (TOKEN, ("issuer",)),
    "API-07": (TOKEN, ("altered", "stranger", "embedded")),
    "API-08": (TOKEN, ("unsigned", "unsigned-mixed")),
    "API-09": (TOKEN, ("confused-pem", "confused-der")),
    "API-10": (TOKEN, ("no-exp", "no-aud", "no-iss", "no-sub", "no-tenant")),
    "API-11": (USER, ("other",)),
    "API-12": (TOKEN, ("scope", "no-scope", "session-scope")),
    "API-13": (TOKEN, ("identity", "identity-other")),
    "API-14": (METHOD, ("override", "override-open")),
    "API-15": (METHOD, ("post", "put", "patch", "delete")),
    "API-16": (ROUTE, ("slashes", "trailing", "dot", "letter", "rewritten")),
    "API-17": (TOKEN, ("version",)),
    "API-18": (frozenset({401, 403, 404}), ("docs", "redoc", "openapi", "metrics", "metrics-read")),
    "API-20": (QUERY | USER, ("twice", "twice-turned")),
    "API-21": (QUERY, ("huge", "session-huge")),
    "API-26": (TOKEN, ("tenant",)),
    "API-27": (FORM, ("session-large", "session-long", "session-id")),
    "API-30": (FORM, ("session-form", "session-twice", "session-more")),
}
"""Rule -> what a refusal may be, and the questions that must get one."""
DOCUMENT, FLOOD, FLOODED = "document", "flood", "right-flooded"
"""What is declared, one request more than an identity may be served at once, and what another asks right after it."""
OPEN = frozenset({("GET", "/healthz"), ("GET", "/readyz")})
"""The operations that need no token."""
Header = Literal["nosniff", "no-store", "default-src 'none'"]
HEADERS: tuple[Header, ...] = ("nosniff", "no-store", "default-src 'none'")


Word = Annotated[str, Field(pattern=r"^[!-~]+$")]


class Callers(Frozen):
    """Who issues tokens to those who call a service in a cluster: what tokens name, and its public keys (a JWK set)."""

    issuer: Word
    audience: Word
    tenant: Word
    jwks: Annotated[str, Field(pattern=r"^\{")]


class Limits(Frozen):
    """What a policy may set: how many of the ten items asked for the right call must bring, and how many requests one
    identity may be served, as fast as they come, before it is refused. `callers`: whom a release in a cluster believes;
    what is asked here is a process that believes the pipeline's own issuer, and is asked as a cluster's would be."""

    items: int = Field(default=10, ge=1, le=10)
    burst: int = Field(default=300, ge=1, le=10_000)
    callers: Callers | None = None


class Reply(Frozen):
    """What is known of one answer: never its text.

    `items` counts those in it; `same`: the expected release; `mine`: about the user asked for; `exact`: the declared
    properties and no other; `spills`: text of the inside; `bare`: missing headers; `challenge`: `Bearer` is asked for;
    `later`: after how many seconds it may be asked again.
    """

    status: StrictInt = Field(ge=100, le=599)
    items: StrictInt = Field(ge=0)
    same: StrictBool
    mine: StrictBool
    exact: StrictBool
    spills: StrictBool
    bare: tuple[Header, ...]
    challenge: StrictBool
    later: StrictBool


class Operation(Frozen):
    """One that is declared, whether its declaration asks for a credential, and the status for whoever has none."""

    method: str
    path: str
    secured: StrictBool
    status: StrictInt = Field(ge=100, le=599)


class Document(Frozen):
    """What is declared, and what was served and is not."""

    operations: tuple[Operation, ...] = Field(min_length=1)
    undeclared: tuple[str, ...]


class Facts(Frozen):
    """The reply to each question, and what is declared."""

    replies: dict[str, Reply]
    document: Document
