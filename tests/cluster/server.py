"""A small, strict API server of Kubernetes over TLS: tokens, rights, discovery, server-side apply, faults on demand.
Whatever it does not know it refuses: it has no answer 200 for a question that it did not understand."""

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deployments.kubernetes.kinds import KINDS
from deployments.lake.certs import certificates
from tests.cluster.objects import Objects, Refusal, Told

PLURALS = {(known.version, known.plural): kind for kind, known in KINDS.items()}
VERBS = {"GET": "get", "PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}
PATH = re.compile(r"/(?:api/(v1)|apis/([a-z0-9.]+/v1))(?:/namespaces/([a-z0-9-]+)(?=/))?/([a-z]+)(?:/([a-z0-9.-]+))?")
KNOWN = {"force", "labelSelector", "fieldSelector", "limit", "watch", "resourceVersion", "resourceVersionMatch",
         "timeout", "timeoutSeconds", "allowWatchBookmarks", "sendInitialEvents",
         "dryRun", "fieldManager", "fieldValidation"}  # fmt: skip
AT = ("verb", "group", "resource", "namespace", "name")


class Cluster:
    """The server. `users`: token -> name; `rights`: name -> rules as a Role has them, of all namespaces unless one
    says `namespaces`. `faults`: a pattern of what they are for, and status (0: cut off) and headers, each once. `more`:
    what is answered at other paths; `decode`: how reviews are read that are no JSON."""

    def __init__(self, folder: Path, objects: Objects, users: dict[str, str], rights: dict[str, list[Told]]) -> None:
        self.objects, self.users, self.rights, self.lock = objects, users, rights, threading.RLock()
        self.faults: list[tuple[str, int, dict[str, str]]] = []
        self.asked: list[str] = []
        self.decode: Callable[[bytes], bytes] = lambda body: body
        self.more: dict[str, Told] = {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates(folder))
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": self}))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.url, self.authority = f"https://127.0.0.1:{self.http.server_port}", (folder / "ca.pem").read_text()

    def __enter__(self) -> "Cluster":
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    def may(self, user: str, *at: str) -> bool:
        keys = ("verbs", "apiGroups", "resources", "namespaces", "resourceNames")
        rules = [{"namespaces": ["*"], "resourceNames": ["*"]} | rule for rule in self.rights.get(user, [])]
        return any(all({each, "*"} & {*rule[key]} for key, each in zip(keys, at, strict=True)) for rule in rules)

    def review(self, user: str, kind: str, spec: Told) -> Told:
        if kind == "SelfSubjectReview":
            return {"userInfo": {"username": user, "groups": ["system:authenticated"]}}
        if kind == "SelfSubjectAccessReview":
            at = dict(spec["resourceAttributes"])
            at |= {"resource": f"{at['resource']}/{at['subresource']}"} if at.get("subresource") else {}
            return {"allowed": self.may(user, *(at.get(each, "") for each in AT))}
        rules = [{key: each for key, each in rule.items() if key != "namespaces"} for rule in self.rights.get(user, [])
                 if {spec["namespace"], "*"} & {*rule.get("namespaces", "*")}]  # fmt: skip
        return {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version, timeout, disable_nagle_algorithm = "HTTP/1.1", 20, True

    def log_message(self, *_: object) -> None: ...

    def answer(self) -> None:
        line, body = f"{self.command} {self.path}", self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {"Content-Type": "application/json"}
        try:
            with self.cluster.lock:
                self.cluster.asked.append(line)
                for fault in [each for each in self.cluster.faults if re.search(each[0], line)][:1]:
                    self.cluster.faults.remove(fault)
                    headers |= fault[2]
                    raise Refusal(fault[1], "InternalError", "as the test wants it")
                told, status = self.ask(body)
        except Refusal as no:
            told, status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": no.code,
                            "message": no.message, "reason": no.reason, "details": no.details}, no.code  # fmt: skip
        data = json.dumps(told).encode() if isinstance(told, dict) else b""
        headers |= {"Content-Length": str(len(data) + (status == 0))} if data else {}
        self.send_response(status or 200)  # 0: the last byte of the answer never comes
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for each in [data] if data else (json.dumps(each).encode() for each in told):
            self.wfile.write(each)
        self.close_connection = status == 0 or not data

    do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - as the library calls them

    def ask(self, body: bytes) -> tuple[Any, int]:
        user = self.cluster.users.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        parts, objects = urlsplit(self.path), self.cluster.objects
        match = PATH.fullmatch(parts.path)
        kind = PLURALS.get((match[1] or match[2], match[4])) if match else None
        asked = {key: each[0] for key, each in parse_qs(parts.query, keep_blank_values=True).items()}
        if user is None:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if match is None or kind is None or (match[3] and not KINDS[kind].namespaced):
            if self.command != "GET" or parts.path not in self.cluster.more:
                raise Refusal(404, "NotFound", "the server could not find the requested resource")
            return self.cluster.more[parts.path], 200
        if strange := asked.keys() - KNOWN:
            raise Refusal(400, "BadRequest", f"unknown parameter {min(strange)}")
        namespace, name = match[3] or "", match[5] or ""
        verb = VERBS[self.command] if name or self.command != "GET" else "watch" if "watch" in asked else "list"
        if kind.endswith("Review") and verb == "create":
            told = self.body(self.cluster.decode(body), kind, namespace, "")
            return told | {"metadata": {}, "status": self.cluster.review(user, kind, told.get("spec", {}))}, 201
        self.allowed(user, verb, kind, namespace, name)
        if self.command == "GET":
            objects.step(objects, kind)
            return objects[kind, namespace, name] if verb == "get" else self.read(verb, kind, namespace, asked), 200
        options = asked | (json.loads(body) if verb == "delete" and body else {})
        dry = options.get("dryRun") in ("All", ["All"])
        if "dryRun" in options and (not dry or verb == "delete"):
            raise Refusal(400, "BadRequest", "dryRun: only All, and of no deletion")
        if asked.get("fieldValidation", "Strict") != "Strict":
            raise Refusal(400, "BadRequest", "fieldValidation: only Strict")
        if verb == "delete":
            return objects.delete(kind, namespace, name, options), 200
        told, manager = self.body(body, kind, namespace, name), asked.get("fieldManager", "")
        if verb != "patch":
            new = verb == "create"
            return objects.write(told, manager or "unknown", new=new, dry=dry), 201 if new else 200
        if self.headers.get("Content-Type") != "application/apply-patch+yaml":
            raise Refusal(415, "UnsupportedMediaType", "only application/apply-patch+yaml")
        if not manager:
            raise Refusal(422, "Invalid", "fieldManager: Required value: is required for apply patch")
        if (kind, namespace, name) not in objects.held:
            self.allowed(user, "create", kind, namespace, name)
        made, new = objects.apply(told, manager, force=asked.get("force") == "true", dry=dry)
        return made, 201 if new else 200

    def allowed(self, user: str, verb: str, kind: str, namespace: str, name: str) -> None:
        of, known = f'"{name}" ' if name else "", KINDS[kind]
        if not self.cluster.may(user, verb, known.group, known.plural, namespace, name):
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            said = f'cannot {verb} resource "{known.plural}" in API group "{known.group}" {where}'
            raise Refusal(403, "Forbidden", f'{known.plural} {of}is forbidden: User "{user}" {said}', name=name)

    def body(self, body: bytes, kind: str, namespace: str, name: str) -> Told:
        try:
            told = json.loads(body)
            about = ({"namespace": namespace} if namespace else {}) | told.get("metadata", {})
            whole = [told["kind"], told["apiVersion"], about.get("namespace", ""), about.get("name", "")]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Refusal(400, "BadRequest", "the body is no object in JSON") from None
        if whole != [kind, KINDS[kind].version, namespace, name or whole[3]]:
            raise Refusal(400, "BadRequest", "the body is of another object than the path")
        return dict(told, metadata=about)

    def read(self, verb: str, kind: str, namespace: str, asked: dict[str, str]) -> Any:
        objects, pairs = self.cluster.objects, r"([^=,]+)==?([^=,]+)"
        labels, fields = (dict(re.findall(pairs, asked.get(key, ""))) for key in ("labelSelector", "fieldSelector"))
        if fields.keys() - {"metadata.name"} or "sendInitialEvents" in asked:
            raise Refusal(422, "Invalid", "fieldSelector: only metadata.name; sendInitialEvents: not known")

        def found() -> list[Told]:
            return [each for (of, at, called), each in objects.held.items() if of == kind
                    and (at, called) == (namespace or at, fields.get("metadata.name", called))
                    and labels.items() <= each["metadata"].get("labels", {}).items()]  # fmt: skip

        def events() -> Iterator[Told]:
            until, seen = time.monotonic() + min(float(asked.get("timeoutSeconds", 10)), 10), list[Told]()
            while time.monotonic() < until:
                with self.cluster.lock:
                    objects.step(objects, kind)
                    now = found()
                yield from ({"type": "MODIFIED", "object": each} for each in now if each not in seen)
                seen = now
                time.sleep(0.1)

        items = [{key: part for key, part in each.items() if key not in ("apiVersion", "kind")} for each in found()]
        about = {"resourceVersion": str(objects.version)}
        whole = {"apiVersion": KINDS[kind].version, "kind": f"{kind}List", "items": items, "metadata": about}
        return events() if verb == "watch" else whole
