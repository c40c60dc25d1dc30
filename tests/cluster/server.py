"""A small, strict API server of Kubernetes over TLS: tokens, rights, discovery, server-side apply, faults on demand.

Whatever it does not know it refuses: it has no answer 200 for a question that it did not understand.
"""

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
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
ASKED = ("dryRun", "fieldManager", "fieldValidation")
KNOWN = {"force", "labelSelector", "fieldSelector", "limit", "watch", "resourceVersion", "resourceVersionMatch",
         "timeoutSeconds", "allowWatchBookmarks", "sendInitialEvents", *ASKED}  # fmt: skip
ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
NOWHERE = Refusal(404, "NotFound", "the server could not find the requested resource")


class Cluster:
    """The server. `users`: token -> name; `rights`: name -> rules as a Role has them, of all namespaces unless one
    says `namespaces`. `faults`: a pattern of what they are for, and status (0: cut off) and headers, each once."""

    def __init__(self, folder: Path, objects: Objects, users: dict[str, str], rights: dict[str, list[Told]]) -> None:
        self.objects, self.users, self.rights, self.lock = objects, users, rights, threading.RLock()
        self.faults: list[tuple[str, int, dict[str, str]]] = []
        self.asked: list[str] = []
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

    def may(self, user: str, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        asked = {"verbs": verb, "apiGroups": group, "resources": resource, "namespaces": namespace, "resourceNames": name}
        rules = [{"namespaces": ["*"], "resourceNames": ["*"]} | rule for rule in self.rights.get(user, [])]
        return any(all({each, "*"} & {*rule[key]} for key, each in asked.items()) for rule in rules)

    def review(self, user: str, told: Told) -> Told:
        if told["kind"] == "SelfSubjectReview":
            return {"userInfo": {"username": user, "groups": ["system:authenticated"]}}
        if told["kind"] == "SelfSubjectAccessReview":
            at = {key: told["spec"]["resourceAttributes"].get(key, "") for key in ATTRIBUTES}
            at["resource"] += f"/{at['subresource']}" if at["subresource"] else ""
            return {"allowed": self.may(user, *(at[key] for key in ("verb", "group", "resource", "namespace", "name")))}
        here = [rule for rule in self.rights.get(user, []) if {told["spec"]["namespace"], "*"} & {*rule.get("namespaces", "*")}]
        rules = [{key: each for key, each in rule.items() if key != "namespaces"} for rule in here]
        return {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}


def discovery(path: str) -> Told:
    groups = sorted({known.group for known in KINDS.values()} - {""})
    versions = {f"/apis/{each}/v1": f"{each}/v1" for each in groups} | {"/api/v1": "v1"}
    kinds = {kind: of for kind, of in KINDS.items() if of.version == versions.get(path.removeprefix("/openapi/v3"))}
    listed = [{"name": each, "versions": [{"groupVersion": f"{each}/v1", "version": "v1"}]} for each in groups]
    fixed: dict[str, Told] = {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed},
        "/openapi/v3": {"paths": {at[1:]: {"serverRelativeURL": f"/openapi/v3{at}"} for at in versions}},
    }
    if path not in fixed and not kinds:
        raise NOWHERE
    if path.startswith("/openapi/v3/"):
        parameters = [{"name": each, "in": "query"} for each in ASKED]
        about = {kind: {"group": of.group, "version": "v1", "kind": kind} for kind, of in kinds.items()}
        patches = {kind: {"parameters": parameters, "x-kubernetes-group-version-kind": each} for kind, each in about.items()}
        return {"openapi": "3.0.0", "paths": {f"/{kind}/{{name}}": {"patch": each} for kind, each in patches.items()}}
    named = [{"name": of.plural, "singularName": kind.lower(), "namespaced": of.namespaced, "kind": kind,
              "verbs": ["create"] if "Review" in kind else [*VERBS.values(), "list", "watch"]}
             for kind, of in kinds.items()]  # fmt: skip
    return fixed.get(path) or {"kind": "APIResourceList", "groupVersion": versions[path], "resources": named}


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version, timeout = "HTTP/1.1", 20

    def log_message(self, *_: object) -> None: ...

    def answer(self) -> None:
        line, body = f"{self.command} {self.path}", self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers: dict[str, str] = {}
        try:
            with self.cluster.lock:
                self.cluster.asked.append(line)
                for fault in [each for each in self.cluster.faults if re.search(each[0], line)][:1]:
                    self.cluster.faults.remove(fault)
                    headers = fault[2]
                    raise Refusal(fault[1], "InternalError", "as the test wants it")
                told, status = self.ask(body)
        except Refusal as no:
            told, status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": no.code,
                            "message": no.message, "reason": no.reason, "details": no.details}, no.code  # fmt: skip
        events = iter([told]) if isinstance(told, dict) else told
        data = json.dumps(told).encode() if isinstance(told, dict) else b""
        self.send_response(status or 200)
        length = {"Content-Length": str(len(data) if status else 1 << 16)} if data else {}
        for name, value in {"Content-Type": "application/json", **length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for each in events:
            self.wfile.write(data[: None if status else 9] or json.dumps(each).encode() + b"\n")
        self.close_connection = not data or status == 0

    do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer

    def ask(self, body: bytes) -> tuple[Any, int]:
        user = self.cluster.users.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        parts, objects = urlsplit(self.path), self.cluster.objects
        match = PATH.fullmatch(parts.path)
        kind = PLURALS.get((match[1] or match[2], match[4])) if match else None
        asked = {key: each[0] for key, each in parse_qs(parts.query, keep_blank_values=True).items() if key != "timeout"}
        if user is None:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if match is None or kind is None or (match[3] and not KINDS[kind].namespaced):
            if self.command != "GET":
                raise NOWHERE
            return discovery(parts.path), 200
        if strange := asked.keys() - KNOWN:
            raise Refusal(400, "BadRequest", f"unknown parameter {min(strange)}")
        namespace, name = match[3] or "", match[5] or ""
        verb = VERBS[self.command] if name or self.command != "GET" else "watch" if "watch" in asked else "list"
        if kind.endswith("Review") and verb == "create":
            told = self.reviewed(body, kind)
            return told | {"metadata": {}, "status": self.cluster.review(user, told)}, 201
        self.allowed(user, verb, kind, namespace, name)
        if self.command == "GET":
            objects.step(objects, kind)
            return self.read(verb, kind, namespace, name, asked), 200
        options = asked | (json.loads(body) if verb == "delete" and body else {})
        dry = options.get("dryRun") in ("All", ["All"])
        if ("dryRun" in options and not dry) or asked.get("fieldValidation", "Strict") != "Strict" or (dry and verb == "delete"):
            raise Refusal(400, "BadRequest", "dryRun: only All, and of no deletion; fieldValidation: only Strict")
        if verb == "delete":
            return objects.delete(kind, namespace, name, options), 200
        told, manager = self.body(body, kind, namespace, name), asked.get("fieldManager", "")
        if verb != "patch":
            return objects.write(told, manager or "unknown", new=verb == "create", dry=dry), 201 if verb == "create" else 200
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
            about = {"namespace": namespace} | told["metadata"] if namespace else told["metadata"]
            whole = [told["kind"], told["apiVersion"], about.get("namespace", ""), about["name"]]
        except (ValueError, TypeError, KeyError):
            raise Refusal(400, "BadRequest", "the body is no object in JSON") from None
        if whole != [kind, KINDS[kind].version, namespace, name or about["name"]]:
            raise Refusal(400, "BadRequest", "the body is of another object than the path")
        return dict(told, metadata=about)

    def reviewed(self, body: bytes, kind: str) -> Told:
        """A review in JSON, or in the protobuf that kubectl sends: k8s, then an envelope with the message in 2."""
        if not body.startswith(b"k8s\0"):
            return dict(json.loads(body))
        spec = _fields(_fields(_fields(body[4:])[2])[2])
        at = {ATTRIBUTES[number - 1]: each.decode() for number, each in _fields(spec.get(1, b"")).items()} if "Access" in kind else {}
        more = {"resourceAttributes": at} if at else {"namespace": spec.get(1, b"").decode("latin-1")}
        return {"apiVersion": KINDS[kind].version, "kind": kind, "spec": more}

    def read(self, verb: str, kind: str, namespace: str, name: str, asked: dict[str, str]) -> Any:
        objects = self.cluster.objects
        if verb == "get":
            return objects[kind, namespace, name]
        labels, fields = (dict(each.split("=", 1) for each in filter(None, asked.get(key, "").split(",")) if "=" in each)
                          for key in ("labelSelector", "fieldSelector"))  # fmt: skip
        if fields.keys() - {"metadata.name"} or "sendInitialEvents" in asked:
            raise Refusal(422, "Invalid", "fieldSelector: only metadata.name; sendInitialEvents: not known")

        def found() -> list[Told]:
            return [each for (of, at, called), each in objects.held.items()
                    if of == kind and at == (namespace or at) and called == fields.get("metadata.name", called)
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

        if verb == "watch":
            return events()
        items = [{key: part for key, part in each.items() if key not in ("apiVersion", "kind")} for each in found()]
        return {"apiVersion": KINDS[kind].version, "kind": f"{kind}List", "items": items, "metadata":
                {"resourceVersion": str(objects.version)}}  # fmt: skip


def _fields(data: bytes) -> dict[int, bytes]:
    """The fields of a message whose lengths are below 128, those that are bytes."""
    made: dict[int, bytes] = {}
    while data:
        size = data[1] if data[0] & 7 == 2 else 0
        made[data[0] >> 3] = data[2 : 2 + size]
        data = data[2 + size :]
    return made
