"""A repository of a registry, a user of it, and the challenge by which it asks who somebody is."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from security.errors import CannotTell

ADDRESS = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
Scheme = Literal["https", "UnsafeHttp"]
LACKS = frozenset({"insufficient_scope", "invalid_token"})
"""What a challenge says of a token that is not the one to judge by (RFC 6750)."""
_WORDS = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s",]+))')


@dataclass(frozen=True)
class Place:
    """A repository of a registry: HOST[:PORT][/PATH], the repository's name under it, how it is spoken to, and which
    other host may ask for the credentials (HOST[:PORT]; empty for none)."""

    address: str
    name: str
    scheme: Scheme = "https"
    tokens: str = ""

    @property
    def host(self) -> str:
        """HOST[:PORT]."""
        return self.address.partition("/")[0]

    @property
    def base(self) -> str:
        """Where the registry's API begins."""
        return f"{'http' if self.scheme == 'UnsafeHttp' else 'https'}://{self.host}/v2/"

    @property
    def repository(self) -> str:
        """The repository's whole name."""
        return "/".join(filter(None, (self.address.partition("/")[2], self.name)))


@dataclass(frozen=True)
class Login:
    """A user's name and password. Neither is ever shown."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    def basic(self) -> str:
        """What HTTP's Basic scheme sends."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def within(self, text: str) -> bool:
        """Whether a text has any of it, as it is or as it is sent, in whichever spelling of Base64."""
        sent = self.basic().partition(" ")[2].rstrip("=")
        safe = sent.replace("+", "-").replace("/", "_")
        return any(len(each) >= 6 and each in text for each in (self.password, sent, safe))


@dataclass(frozen=True)
class Challenge:
    """How a registry asks for credentials: the scheme, and the words behind it."""

    scheme: str
    said: Mapping[str, str]

    @classmethod
    def of(cls, header: str) -> "Challenge":
        """What a header says; of none, no scheme and no words."""
        said = {name: quoted or bare for name, quoted, bare in _WORDS.findall(header)}
        return cls(header.split(" ")[0].lower(), said)

    @property
    def scopes(self) -> list[str]:
        """What a token is to be asked for with."""
        return self.said.get("scope", "").split()

    @property
    def lacks(self) -> str:
        """What the token that was sent lacks; empty where nothing is said of it."""
        return self.said["error"] if self.said.get("error") in LACKS else ""

    def named(self, asked: Sequence[str]) -> bool:
        """Whether scopes are named, and each of them was among those that were asked for."""
        parts = [{(of, each) for of, _, acts in [scope.rpartition(":")] for each in acts.split(",")} for scope in asked]
        had = set[tuple[str, str]]().union(*parts)
        mine = [scope.rpartition(":") for scope in self.scopes]
        return bool(mine) and all((of, each) in had for of, _, acts in mine for each in acts.split(","))

    def covers(self, method: str) -> bool:
        """Whether a token with these scopes and no more could be one for a request."""
        need = {"DELETE": "delete", "GET": "pull", "HEAD": "pull"}.get(method, "push")
        return any({need, "*"} & {*each.rpartition(":")[2].split(",")} for each in self.scopes)

    def realm(self, place: Place) -> str:
        """Where tokens are given; `CannotTell` unless that host may have the credentials."""
        realm = urlsplit(self.said.get("realm", ""))
        wanted = urlsplit(place.base).scheme
        if realm.scheme not in {"https", wanted} or realm.netloc not in {place.host, place.tokens} - {""}:
            how = realm.scheme if realm.scheme in ("", "http", "https") else "another scheme"
            found = f"{how or 'nothing'} on another host" if realm.netloc else "no address"
            raise CannotTell(
                f"the registry asks to have the credentials sent to {found}; allowed: itself, or `tokens`, by {wanted}"
            )
        return self.said["realm"]
