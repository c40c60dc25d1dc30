"""A client of an API server that believes nothing that it is told.

TLS by the config's own CA, no proxy of the environment, no redirect, no answer without end, none that is of another
kind or name than what was asked for. What a server refuses is an error of its own kind, in one sentence; what it cannot
answer now is asked again a few times, when it says so, and then ends as an error too. Every call can be sent twice: an
object is applied, not made, but for `create`, whose caller must expect to find it there.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from deployments.kubernetes import answers, kinds
from deployments.kubernetes.config import Config
from deployments.kubernetes.errors import (
    Busy,
    ClusterError,
    Missing,
    Odd,
    Unreachable,
)

if TYPE_CHECKING:
    import httpx

MANAGER = "sluice"
"""Whose fields those are that are applied."""
SECONDS, TRIES, PAUSE, MOST_PAUSE = 10.0, 4, 0.5, 10.0
MOST = 8 << 20
"""Bytes of an answer."""
PAGE, PAGES = 200, 50
APPLY = "application/apply-patch+yaml"
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
_VERBS = {"GET": "get", "PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}


class Client:
    """Calls to one API server. `warnings` are what it said beside its answers, each once."""

    def __init__(
        self,
        config: Config,
        *,
        manager: str = MANAGER,
        seconds: float = SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx

        self.config, self.manager, self.sleep, self.seconds = config, manager, sleep, seconds
        self.warnings: list[str] = []
        headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
        self._web = httpx.Client(
            base_url=config.server,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": MANAGER, **headers},
            verify=config.tls(),
            trust_env=False,
            follow_redirects=False,
            timeout=seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self._web.close()

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """An object; `Missing` where there is none."""
        told = self._send("GET", kinds.path(kind, namespace, name), f"{kind}/{name}")
        return answers.same(told, kind, name, namespace)

    def find(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """An object, or None."""
        try:
            return self.get(kind, name, namespace)
        except Missing:
            return None

    def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """All objects of a kind in a namespace, or those with these labels."""
        selector = ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))
        found: list[dict[str, Any]] = []
        more = ""
        for _ in range(PAGES):
            asked = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
            asked |= {"continue": more} if more else {}
            told = self._send("GET", kinds.path(kind, namespace), kinds.KINDS[kind].plural, asked)
            items = told.get("items")
            if told.get("kind") != f"{kind}List" or not isinstance(items, list):
                raise Odd(f"{kind}: the answer is no {kind}List")
            for each in items:  # which says neither kind nor version of its own
                whole = {"apiVersion": kinds.KINDS[kind].version, "kind": kind} | each if isinstance(each, dict) else {}
                found.append(answers.same(whole, kind, None, namespace))
            more = (told.get("metadata") or {}).get("continue") or ""
            if not more:
                return found
        raise Odd(f"{kind}: the list has no end; allowed: {PAGES * PAGE:,} objects")

    def apply(self, told: dict[str, Any], *, dry: bool = False) -> dict[str, Any]:
        """Server-side apply, never by force: the object as it is then, or with `dry` as it would be. `Conflict` where a
        field is somebody else's, `Moved` where `metadata.resourceVersion` is given and another one is there."""
        kind, name, namespace = kinds.where(told)
        asked = {"fieldManager": self.manager, "force": "false", "fieldValidation": "Strict"}
        asked |= {"dryRun": "All"} if dry else {}
        made = self._send("PATCH", kinds.path(kind, namespace, name), kinds.place(told), asked, told, APPLY)
        return answers.same(made, kind, name, namespace)

    def create(self, told: dict[str, Any]) -> dict[str, Any]:
        """Make an object, or have a review answered. `Moved` where an object of that name is there."""
        kind, about = told["kind"], told.get("metadata", {})
        asked = {"fieldManager": self.manager, "fieldValidation": "Strict"}
        namespace = about.get("namespace", "")
        made = self._send("POST", kinds.path(kind, namespace), kinds.place(told), asked, told)
        return answers.same(made, kind, about.get("name"), namespace)

    def replace(self, told: dict[str, Any]) -> dict[str, Any]:
        """Put an object in the place of the version that it names; `Moved` where that is not there any more."""
        kind, name, namespace = kinds.where(told)
        asked = {"fieldManager": self.manager, "fieldValidation": "Strict"}
        made = self._send("PUT", kinds.path(kind, namespace, name), kinds.place(told), asked, told)
        return answers.same(made, kind, name, namespace)

    def delete(self, kind: str, name: str, namespace: str, *, uid: str) -> None:
        """Take away that very object, and what belongs to it; nothing where it is gone. `Moved` where another one is
        called the same."""
        asked = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **asked}
        try:
            self._send("DELETE", kinds.path(kind, namespace, name), f"{kind}/{name}", body=body)
        except Missing:
            return

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """The status and the JSON of one answer, whatever it is; None where it is no object."""
        content = json.dumps(body, allow_nan=False).encode() if body is not None else None
        status, told, _ = self._once(method, path, f"{method} {path}", None, content, "application/json")
        return status, told or None

    def _send(
        self,
        method: str,
        path: str,
        about: str,
        asked: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
        form: str = "application/json",
    ) -> dict[str, Any]:
        """The answer, as JSON. What cannot be answered now is asked again."""
        content = json.dumps(body, allow_nan=False).encode() if body is not None else None
        what = f"{_VERBS[method]} {about}"
        for tried in range(1, TRIES + 1):
            pause = PAUSE * 2 ** (tried - 1)
            last: ClusterError
            try:
                status, told, later = self._once(method, path, what, asked, content, form)
            except Unreachable as why:
                last = why
            else:
                if 200 <= status < 300:
                    return told
                last = answers.refused(status, told, what)
                if not isinstance(last, Busy):
                    raise last
                pause = later if later is not None else pause
            if tried < TRIES:
                self.sleep(min(pause, MOST_PAUSE))
        raise type(last)(f"{last}; asked {TRIES} times")

    def _once(
        self, method: str, path: str, what: str, asked: Mapping[str, str] | None, content: bytes | None, form: str
    ) -> tuple[int, dict[str, Any], float | None]:
        import httpx

        headers = {"Content-Type": form} if content is not None else {}
        until, data = time.monotonic() + 3 * self.seconds, b""
        try:
            with self._web.stream(method, path, params=dict(asked or {}), content=content, headers=headers) as reply:
                if reply.headers.get("content-encoding", "identity") != "identity":
                    raise Odd(f"{what}: the answer is in a coding that was not asked for; allowed: none")
                for piece in reply.iter_bytes():
                    data += piece
                    if len(data) > MOST:
                        raise Odd(f"{what}: the answer has no end; allowed: {MOST:,} bytes")
                    if time.monotonic() > until:
                        raise Unreachable(f"{what}: the answer takes its time; allowed: {3 * self.seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as why:
            raise Unreachable(f"{what}: no answer of {self.config.server} ({type(why).__name__})") from None
        self._warned(reply)
        if 300 <= reply.status_code < 400:
            raise Odd(f"{what}: it is sent elsewhere ({reply.status_code}); allowed: an answer")
        later = answers.pause(reply.headers.get("retry-after", ""))
        return reply.status_code, answers.parsed(what, reply.status_code, data), later

    def _warned(self, reply: "httpx.Response") -> None:
        for header in reply.headers.get_list("warning"):
            for said in _WARNING.findall(header) or [header]:
                if (line := answers.line(said)) not in self.warnings and len(self.warnings) < PAGE:
                    self.warnings.append(line)
