"""A registry that is none: in memory, with one user, who may read and create tags, and whatever else it is told to let.

It speaks enough of OCI distribution 1.1 for the engine to go its whole way, challenge and token among it, and listens
nowhere: known-bad registries are asked by the very code that asks the real one.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

from security.engines.line import MANIFEST
from security.engines.login import Login, Place
from security.engines.probe import CANARY

if TYPE_CHECKING:
    import httpx

Acts = Literal["overwrite", "version", "approved", "production", "untag", "delete", "erase"]
ACTS: tuple[Acts, ...] = ("overwrite", "version", "approved", "production", "untag", "delete", "erase")
Asks = Literal["basic", "bearer", "nobody"]


class Double:
    """One repository. `lets`: what it grants its user beyond creating tags; `lies`: what it refuses and does all the
    same; `asks`: how it asks for credentials. `tags` has the manifests, `seen` every request as method and path."""

    def __init__(
        self,
        place: Place,
        login: Login,
        *,
        tags: Mapping[str, bytes] | None = None,
        lets: Collection[str] = (),
        lies: Collection[str] = (),
        asks: Asks = "basic",
    ) -> None:
        self.place, self.login, self.lets, self.lies, self.asks = place, login, {*lets}, {*lies}, asks
        self.tags, self.blobs, self.seen = dict(tags or {}), dict[str, bytes](), list[str]()
        self.token = hashlib.sha256(login.basic().encode()).hexdigest()

    def transport(self) -> "httpx.MockTransport":
        """What a client sends its requests through."""
        import httpx

        return httpx.MockTransport(self.answer)

    def answer(self, request: "httpx.Request") -> "httpx.Response":
        """The answer to one request."""
        path = request.url.path
        self.seen.append(f"{request.method} {path}")
        if path == "/token":
            return self._given(request)
        if not self._known(request):
            return self._said(401, "UNAUTHORIZED", {"www-authenticate": self._challenge()})
        if path == "/v2/":
            return self._said(200)
        root = f"/v2/{self.place.repository}/"
        if not path.startswith(root):
            return self._said(404, "NAME_UNKNOWN")
        what, _, which = path.removeprefix(root).partition("/")
        kinds: dict[str, Callable[[httpx.Request, str], httpx.Response]] = {
            "tags": self._listed,
            "manifests": self._manifests,
            "blobs": self._blobs,
        }
        return kinds[what](request, which) if what in kinds else self._said(404, "NAME_UNKNOWN")

    def _challenge(self) -> str:
        if self.asks == "basic":
            return 'Basic realm="a double"'
        scope = f"repository:{self.place.repository}:pull,push,delete"
        return f'Bearer realm="{self.place.base.removesuffix("v2/")}token",service="double",scope="{scope}"'

    def _given(self, request: "httpx.Request") -> "httpx.Response":
        import httpx

        if request.headers.get("authorization") != self.login.basic():
            return self._said(401, "UNAUTHORIZED")
        return httpx.Response(200, json={"token": self.token})

    def _known(self, request: "httpx.Request") -> bool:
        wanted = {"basic": self.login.basic(), "bearer": f"Bearer {self.token}", "nobody": None}[self.asks]
        return wanted is None or request.headers.get("authorization") == wanted

    def _listed(self, request: "httpx.Request", which: str) -> "httpx.Response":
        import httpx

        return httpx.Response(200, json={"name": self.place.repository, "tags": sorted(self.tags)})

    def _manifests(self, request: "httpx.Request", which: str) -> "httpx.Response":
        import httpx

        named = {f"sha256:{hashlib.sha256(data).hexdigest()}": tag for tag, data in self.tags.items()}
        tag = named.get(which, which)
        if request.method == "PUT":
            if which in named and self.tags[tag] == request.content:
                return self._said(201)  # what is there already, by what it is: no tag moves
            return self._put(tag, request.content)
        if tag not in self.tags:
            return self._said(404, "MANIFEST_UNKNOWN")
        if request.method == "DELETE":
            return self._may("delete" if which in named else "untag", 202, lambda: self.tags.pop(tag))
        return httpx.Response(200, content=self.tags[tag], headers={"content-type": MANIFEST})

    def _put(self, tag: str, data: bytes) -> "httpx.Response":
        act = tag if tag in ("approved", "production") else "" if tag not in self.tags else "version"
        act = "overwrite" if act and tag == CANARY else act
        try:
            whole = isinstance(json.loads(data), dict)
        except ValueError:
            whole = False
        if not whole and (not act or act in self.lets):
            return self._said(400, "MANIFEST_INVALID")
        return self._may(act, 201, lambda: self.tags.__setitem__(tag, data))

    def _blobs(self, request: "httpx.Request", which: str) -> "httpx.Response":
        if request.method == "POST":
            return self._said(202, headers={"location": f"{request.url.path}one"})
        if request.method == "PUT":
            digest = parse_qs(request.url.query.decode())["digest"][0]
            self.blobs[digest] = request.content
            return self._said(201)
        if which not in self.blobs:
            return self._said(404, "BLOB_UNKNOWN")
        if request.method == "DELETE":
            return self._may("erase", 202, lambda: self.blobs.pop(which))
        return self._said(200)

    def _may(self, act: str, status: int, do: Callable[[], object]) -> "httpx.Response":
        """Done where it may be, or where the registry lies; and answered."""
        if not act or act in {*self.lets, *self.lies}:
            do()
        return self._said(403, "DENIED") if act and act not in self.lets else self._said(status)

    def _said(self, status: int, code: str = "", headers: Mapping[str, str] | None = None) -> "httpx.Response":
        import httpx

        body = {"errors": [{"code": code, "message": "no"}]} if code else None
        return httpx.Response(status, json=body, headers=headers) if body else httpx.Response(status, headers=headers)


def login(word: str) -> Login:
    """The user of a double, of whom nobody else knows."""
    return Login("producer", base64.b16encode(word.encode()).decode())
