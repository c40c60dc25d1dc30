"""A small API server over TLS. Schemas are Kubernetes' own (`kubernetes-validate`), and say which lists are merged
by keys. What it does not know it refuses: it has no answer 200 for a question that it did not understand."""

import copy
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from deployments.kubernetes.kinds import KINDS
from deployments.lake.certs import certificates

Told = dict[str, Any]
Field = tuple[str, ...]
Key = tuple[str, str, str]
Owners = dict[tuple[str, str], dict[Field, None]]
FILE = files("kubernetes_validate") / "kubernetes-json-schema/v1.36.0-local-strict/_definitions.json"
SCHEMAS: Told = json.loads(FILE.read_text(encoding="utf-8"))
OWN = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "name", "namespace"})
FIXED = {"Deployment": ["selector"], "Job": ["template", "completions"], "Service": ["clusterIP"]}
DEFAULTS: dict[str, Told] = {
    "Service": {"ipFamilies": ["IPv4"], "sessionAffinity": "None", "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]},
    "Job": {"completions": 1, "parallelism": 1, "suspend": False, "completionMode": "NonIndexed",
            "podReplacementPolicy": "TerminatingOrFailed"},
    "Pod": {"schedulerName": "default-scheduler", "dnsPolicy": "ClusterFirst"},
    "Box": {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"},
}  # fmt: skip
PLURALS = {(known.version, known.plural): kind for kind, known in KINDS.items()}
VERBS = {"GET": "get", "PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}
PATH = re.compile(r"/(?:api/(v1)|apis/([a-z0-9.]+/v1))(?:/namespaces/([a-z0-9-]+)(?=/))?/([a-z]+)(?:/([a-z0-9.-]+))?")
KNOWN = {"force", "labelSelector", "fieldSelector", "limit", "watch", "resourceVersion", "resourceVersionMatch",
         "timeout", "timeoutSeconds", "allowWatchBookmarks", "sendInitialEvents", "dryRun", "fieldManager",
         "fieldValidation"}  # fmt: skip


class Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        self.code, self.reason, self.message, self.details = code, reason, message, details


def invalid(told: Told, field: str, message: str) -> Refusal:
    causes, name = [{"reason": "FieldValueInvalid", "message": message, "field": field}], told["metadata"].get("name")
    return Refusal(422, "Invalid", f'{told["kind"]} "{name}" is invalid: {field}: {message}', name=name, causes=causes)


@cache
def validator(kind: str) -> Draft202012Validator:
    group = KINDS[kind].group.removesuffix(".k8s.io") or "core"
    registry = Resource.from_contents(SCHEMAS) @ Registry()
    return Draft202012Validator({"$ref": f"{SCHEMAS['$id']}#/$defs/io.k8s.api.{group}.v1.{kind}"}, registry=registry)


def valid(told: Told, *, applied: bool) -> None:
    about, spec = told["metadata"], told.get("spec", {})
    for error in validator(told["kind"]).iter_errors(told):
        more = re.findall(r"'(\w+)' was unexpected", error.message)
        field = ".".join(map(str, [*error.absolute_path, *more[:1]]))
        if error.validator not in ("additionalProperties", "type"):
            raise invalid(told, field, error.message[:200])
        if applied:
            of = f"({about['name']}; {told['apiVersion']}, Kind={told['kind']})"
            raise Refusal(500, "", f"failed to create typed patch object {of}: .{field}: field not declared in schema")
        raise Refusal(400, "BadRequest", f'strict decoding error: unknown field "{field}": {error.message[:120]}')
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", about.get("name", "")):
        raise invalid(told, "metadata.name", "Invalid value")
    boxes = spec.get("template", {}).get("spec", {}).get("containers", [])
    if boxes := [at for at, box in enumerate(boxes) if not box.get("image")]:
        raise invalid(told, f"spec.template.spec.containers[{boxes[0]}].image", "Required value")
    if told["kind"] == "Deployment":
        wanted, labels = spec["selector"].get("matchLabels", {}), spec["template"].get("metadata", {}).get("labels", {})
        if not wanted or not wanted.items() <= labels.items():
            raise invalid(told, "spec.template.metadata.labels", "`selector` does not match template `labels`")


def leaves(value: Any, schema: Told, path: Field = ()) -> Iterator[tuple[Field, Any]]:
    while "$ref" in schema:
        schema = SCHEMAS["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict) and value and schema.get("x-kubernetes-map-type") != "atomic":
        for key, each in value.items():
            inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}
            yield from leaves(each, inner if isinstance(inner, dict) else {}, (*path, f"f:{key}"))
    elif isinstance(value, list) and value and schema.get("x-kubernetes-list-type") == "map":
        for each in value:
            keys = {key: each[key] for key in schema["x-kubernetes-list-map-keys"] if key in each}
            yield from leaves(each, schema["items"], (*path, f"k:{json.dumps(keys, separators=(',', ':'))}"))
    else:
        yield path, value


def flat(told: Told) -> dict[Field, Any]:
    about = {key: each for key, each in told["metadata"].items() if key not in OWN}
    kept = {key: each for key, each in told.items() if key not in ("apiVersion", "kind", "status", "metadata")}
    kept |= {"metadata": about} if about else {}
    return dict(leaves(kept, {"$ref": validator(told["kind"]).schema["$ref"]})) if kept else {}


def tree(fields: dict[Field, Any]) -> Told:
    made: Told = {}
    for path, value in fields.items():
        at = made
        for each in path[:-1]:
            at = at.setdefault(each, {})
        at[path[-1]] = at.get(path[-1], {}) if value == {} else copy.deepcopy(value)
    return made


def untied(told: Any) -> Any:
    if not isinstance(told, dict) or not told or next(iter(told))[:2] not in ("f:", "k:"):
        return told
    made = {key[2:]: untied(each) for key, each in told.items()}
    return list(made.values()) if next(iter(told))[0] == "k" else made


def spelled(path: Field) -> str:
    keys = {each: json.loads(each[2:]).items() for each in path if each[0] == "k"}
    items = {each: "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys[each]) + "]" for each in keys}
    return "".join(items.get(each) or f".{each[2:]}" for each in path)


class Objects:
    """All objects. `step`: what controllers do before objects of a kind are looked at."""

    def __init__(self, step: Callable[["Objects", str], None]) -> None:
        self.step, self.version = step, 1000
        self.held: dict[Key, Told] = {}
        self.owners: dict[str, Owners] = {}

    def put(self, told: Told) -> None:
        self.version += 1
        told["metadata"]["resourceVersion"] = str(self.version)
        self.held[told["kind"], told["metadata"].get("namespace", ""), told["metadata"]["name"]] = told

    def __getitem__(self, key: Key) -> Told:
        if key not in self.held:
            of = ".".join(filter(None, (KINDS[key[0]].plural, KINDS[key[0]].group)))
            raise Refusal(404, "NotFound", f'{of} "{key[2]}" not found', kind=KINDS[key[0]].plural, name=key[2])
        return self.held[key]

    def apply(self, told: Told, manager: str, *, force: bool, dry: bool) -> tuple[Told, bool]:
        """Server-side apply: the object, and whether it is new."""
        live, have, owners = self._live(told)
        valid(told, applied=True)
        mine, wanted = (manager, "Apply"), flat(told)
        held = [(path, who) for path, value in wanted.items() if path in have and have[path] != value
                for who, paths in owners.items() if who != mine and path in paths]  # fmt: skip
        if held and not force:
            causes = [{"reason": "FieldManagerConflict", "message": f'conflict with "{who}" using {told["apiVersion"]}',
                       "field": spelled(path)} for path, (who, _) in held]  # fmt: skip
            text = "; ".join(f"{each['message']}: {each['field']}" for each in causes)
            raise Refusal(409, "Conflict", f"Apply failed with {len(held)} conflict(s): {text}", causes=causes)
        for path, who in held:
            owners[who].pop(path, None)
        others = {path for who, paths in owners.items() if who != mine for path in paths}
        gone = owners.get(mine, {}).keys() - wanted.keys() - others
        owners[mine] = dict.fromkeys(wanted)
        kept = {path: each for path, each in have.items() if path not in gone}
        return self._put(told, live, kept | wanted, owners, dry), not live

    def write(self, told: Told, manager: str, *, new: bool, dry: bool) -> Told:
        """Create or update: whoever sets a field has it from then on."""
        live, have, owners = self._live(told)
        if new and live:
            raise Refusal(409, "AlreadyExists", f'{told["kind"]} "{told["metadata"]["name"]}" already exists')
        if not new:
            self[told["kind"], told["metadata"].get("namespace", ""), told["metadata"]["name"]]
        valid(told, applied=False)
        wanted, mine = flat(told), (manager, "Update")
        changed = [path for path, each in wanted.items() if path not in have or have[path] != each]
        for who in owners:
            owners[who] = {path: None for path in owners[who] if path in wanted and path not in changed}
        owners[mine] = owners.get(mine, {}) | dict.fromkeys(changed)
        return self._put(told, live, wanted, owners, dry)

    def _live(self, told: Told) -> tuple[Told | None, dict[Field, Any], Owners]:
        about = told["metadata"]
        if KINDS[told["kind"]].namespaced:
            self["Namespace", "", about.get("namespace", "")]
        live = self.held.get((told["kind"], about.get("namespace", ""), about.get("name", "")))
        seen = (live or {"metadata": {}})["metadata"]
        if any(about.get(each, "") not in ("", seen.get(each)) for each in ("resourceVersion", "uid")):
            said = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on "{about["name"]}": {said}')
        return live, flat(live) if live else {}, copy.deepcopy(self.owners[live["metadata"]["uid"]]) if live else {}

    def _put(self, told: Told, live: Told | None, fields: dict[Field, Any], owners: Owners, dry: bool) -> Told:
        kind, now = told["kind"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = {"apiVersion": told["apiVersion"], "kind": kind, "metadata": {}, **untied(tree(fields))}
        self._default(made, told["metadata"]["name"])
        for field in FIXED.get(kind, []) if live else []:
            if made["spec"].get(field) != live["spec"].get(field):  # type: ignore[index]
                raise invalid(made, f"spec.{field}", "field is immutable")
        if live and live.get("immutable") and made.get("data") != live.get("data"):
            raise invalid(made, "data", "field is immutable when `immutable` is set")
        about = live["metadata"] if live else {"uid": str(uuid.uuid4()), "generation": 0, "creationTimestamp": now}
        same = live is not None and flat(live) == flat(made) and self.owners[about["uid"]] == owners
        managed = [{"manager": who, "operation": how, "apiVersion": told["apiVersion"], "time": now,
                    "fieldsType": "FieldsV1", "fieldsV1": tree(dict.fromkeys(paths, {}))}
                   for (who, how), paths in owners.items() if paths]  # fmt: skip
        made["metadata"] |= {key: each for key, each in told["metadata"].items() if key in ("name", "namespace")} | {
            "uid": about["uid"], "creationTimestamp": about["creationTimestamp"], "managedFields": managed,
            "generation": about["generation"] + (live is None or live.get("spec") != made.get("spec")),
            "resourceVersion": about.get("resourceVersion", str(self.version + 1)),
        }  # fmt: skip
        made |= {"status": live["status"]} if live and "status" in live else {}
        if not dry and not same:
            self.owners[about["uid"]] = owners
            self.put(made)
        return made

    @staticmethod
    def _default(made: Told, name: str) -> None:
        if made["kind"] == "Namespace":
            made["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
            made["spec"] = {"finalizers": ["kubernetes"]}
        elif made["kind"] in DEFAULTS:
            made["spec"] = copy.deepcopy(DEFAULTS[made["kind"]]) | made["spec"]
        if pod := made.get("spec", {}).get("template", {}).get("spec"):
            pod |= DEFAULTS["Pod"] | {"serviceAccount": pod.get("serviceAccountName", "default")} | pod
            for box in pod["containers"]:
                box |= DEFAULTS["Box"] | box

    def delete(self, kind: str, namespace: str, name: str, options: Told) -> Told:
        told = self[kind, namespace, name]
        uid = options.get("preconditions", {}).get("uid", told["metadata"]["uid"])
        if uid != told["metadata"]["uid"]:
            raise Refusal(409, "Conflict", f"Precondition failed: UID in precondition: {uid}, in object meta: another")
        orphan, inside = options.get("propagationPolicy") == "Orphan", name if kind == "Namespace" else None
        owners = {key: each["metadata"].get("ownerReferences", [{}])[0].get("uid") for key, each in self.held.items()}
        gone = {key for key, owner in owners.items() if (owner == uid and not orphan) or key[1] == inside}
        self.held = {key: each for key, each in self.held.items() if key not in gone | {(kind, namespace, name)}}
        return told


class Cluster(ThreadingHTTPServer):
    """The server. `users`: token -> name; `rights`: name -> rules as a Role has them, of all namespaces unless one
    says `namespaces`. `faults`: a pattern of what they are for, and status (0: cut off) and headers, each once. `more`:
    what is answered at other paths; `decode`: how reviews are read that are no JSON."""

    def __init__(self, folder: Path, objects: Objects, users: dict[str, str], rights: dict[str, list[Told]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects, self.users, self.rights, self.lock = objects, users, rights, threading.RLock()
        self.faults: list[tuple[str, int, dict[str, str]]] = []
        self.decode: Callable[[bytes], bytes] = lambda body: body
        self.asked, self.more = list[str](), dict[str, Told]()
        (context := ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)).load_cert_chain(certificates(folder))
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url, self.authority = f"https://127.0.0.1:{self.server_port}", (folder / "ca.pem").read_text()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()

    def may(self, user: str, *at: str) -> bool:
        keys = ("verbs", "apiGroups", "resources", "namespaces", "resourceNames")
        rules = [{"namespaces": ["*"], "resourceNames": ["*"]} | rule for rule in self.rights.get(user, [])]
        return any(all({each, "*"} & {*rule[key]} for key, each in zip(keys, at, strict=True)) for rule in rules)

    def review(self, user: str, kind: str, spec: Told) -> Told:
        if kind == "SelfSubjectReview":
            return {"userInfo": {"username": user, "groups": ["system:authenticated"]}}
        if kind == "SelfSubjectAccessReview":
            at = dict.fromkeys(("verb", "group", "resource", "namespace", "name"), "") | spec["resourceAttributes"]
            at["resource"] += f"/{at['subresource']}" if at.get("subresource") else ""
            return {"allowed": self.may(user, *list(at.values())[:5])}
        rules = [{key: each for key, each in rule.items() if key != "namespaces"} for rule in self.rights.get(user, [])
                 if {spec["namespace"], "*"} & {*rule.get("namespaces", "*")}]  # fmt: skip
        return {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}


class _Handler(BaseHTTPRequestHandler):
    server: Cluster
    protocol_version, timeout, disable_nagle_algorithm = "HTTP/1.1", 20, True

    def log_message(self, *_: object) -> None: ...

    def answer(self) -> None:
        line, body = f"{self.command} {self.path}", self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {"Content-Type": "application/json"}
        try:
            with self.server.lock:
                self.server.asked.append(line)
                for fault in [each for each in self.server.faults if re.search(each[0], line)][:1]:
                    self.server.faults.remove(fault)
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
        user = self.server.users.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        parts, objects = urlsplit(self.path), self.server.objects
        match = PATH.fullmatch(parts.path)
        kind = PLURALS.get((match[1] or match[2], match[4])) if match else None
        asked = {key: each[0] for key, each in parse_qs(parts.query, keep_blank_values=True).items()}
        if user is None:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if match is None or kind is None or (match[3] and not KINDS[kind].namespaced):
            if self.command != "GET" or parts.path not in self.server.more:
                raise Refusal(404, "NotFound", "the server could not find the requested resource")
            return self.server.more[parts.path], 200
        if asked.keys() - KNOWN or asked.get("fieldValidation", "Strict") != "Strict":
            raise Refusal(400, "BadRequest", "a parameter that is not known, or a fieldValidation that is not Strict")
        namespace, name = match[3] or "", match[5] or ""
        verb = VERBS[self.command] if name or self.command != "GET" else "watch" if "watch" in asked else "list"
        if kind.endswith("Review") and verb == "create":
            told = self.body(self.server.decode(body), kind, namespace, "")
            return told | {"metadata": {}, "status": self.server.review(user, kind, told.get("spec", {}))}, 201
        self.allowed(user, verb, kind, namespace, name)
        if self.command == "GET":
            objects.step(objects, kind)
            return objects[kind, namespace, name] if verb == "get" else self.read(verb, kind, namespace, asked), 200
        options = asked | (json.loads(body) if verb == "delete" and body else {})
        dry = options.get("dryRun") in ("All", ["All"])
        if "dryRun" in options and (not dry or verb == "delete"):
            raise Refusal(400, "BadRequest", "dryRun: only All, and of no deletion")
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
        if not self.server.may(user, verb, known.group, known.plural, namespace, name):
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
        objects, pairs = self.server.objects, r"([^=,]+)==?([^=,]+)"
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
                with self.server.lock:
                    objects.step(objects, kind)
                    now = found()
                yield from ({"type": "MODIFIED", "object": each} for each in now if each not in seen)
                seen = now
                time.sleep(0.1)

        items = [{key: part for key, part in each.items() if key not in ("apiVersion", "kind")} for each in found()]
        whole = {"apiVersion": KINDS[kind].version, "kind": f"{kind}List", "items": items}
        return events() if verb == "watch" else whole | {"metadata": {"resourceVersion": str(objects.version)}}
