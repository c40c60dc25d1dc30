"""What the API server of the tests keeps: objects, whose fields are whose, and what becomes of them.

Schemas are Kubernetes' own, by `kubernetes-validate`; they say too which lists are merged by keys. Whatever is not
known here is refused as Kubernetes spells it.
"""

import copy
import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from deployments.kubernetes.kinds import KINDS

Told = dict[str, Any]
Path = tuple[str, ...]
Key = tuple[str, str, str]
Owners = dict[tuple[str, str], dict[Path, None]]
ROOT = "https://kubernetes.io/api/_definitions.json"
PACKAGES = {"": "core", "networking.k8s.io": "networking", "coordination.k8s.io": "coordination",
            "authorization.k8s.io": "authorization", "authentication.k8s.io": "authentication"}  # fmt: skip
OWN = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "name", "namespace"})
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
POD = {"schedulerName": "default-scheduler", "dnsPolicy": "ClusterFirst"}
BOX = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}


class Refusal(Exception):
    """A Status: code, reason, message, details."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details


def invalid(told: Told, field: str, message: str) -> Refusal:
    causes, name = [{"reason": "FieldValueInvalid", "message": message, "field": field}], told["metadata"].get("name")
    return Refusal(422, "Invalid", f'{told["kind"]} "{name}" is invalid: {field}: {message}', name=name, causes=causes)


@cache
def schemas() -> Told:
    at = files("kubernetes_validate").joinpath("kubernetes-json-schema/v1.36.0-local-strict/_definitions.json")
    return json.loads(at.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def definition(kind: str) -> str:
    known = KINDS[kind]
    return f"io.k8s.api.{PACKAGES.get(known.group, known.group)}.v1.{kind}"


@cache
def validator(kind: str) -> Draft202012Validator:
    registry = Registry().with_resource(ROOT, Resource.from_contents(schemas()))
    return Draft202012Validator({"$ref": f"{ROOT}#/$defs/{definition(kind)}"}, registry=registry)


def valid(told: Told, *, applied: bool) -> None:
    """By the schema, strictly, and by what the API server looks at besides."""
    about, spec = told["metadata"], told.get("spec", {})
    for error in validator(told["kind"]).iter_errors(told):
        more = re.findall(r"'(\w+)' was unexpected", error.message)
        field = ".".join(map(str, [*error.absolute_path, *more[:1]]))
        if error.validator not in ("additionalProperties", "type"):
            raise invalid(told, field, error.message[:200])
        if applied:
            of = f"({about.get('namespace', '')}/{about['name']}; {told['apiVersion']}, Kind={told['kind']})"
            raise Refusal(500, "", f"failed to create typed patch object {of}: .{field}: field not declared in schema")
        raise Refusal(400, "BadRequest", f'strict decoding error: unknown field "{field}": {error.message[:120]}')
    if not NAME.fullmatch(about.get("name", "")) or (told["kind"] in ("Job", "Service") and len(about["name"]) > 63):
        raise invalid(told, "metadata.name", "Invalid value")
    pod = spec.get("template", {}).get("spec", {}) if isinstance(spec, dict) else {}
    for number, box in enumerate(pod.get("containers", [])):
        if not box.get("image"):
            raise invalid(told, f"spec.template.spec.containers[{number}].image", "Required value")
    if told["kind"] == "Deployment":
        wanted, labels = spec["selector"].get("matchLabels", {}), spec["template"].get("metadata", {}).get("labels", {})
        if not wanted or not wanted.items() <= labels.items():
            raise invalid(told, "spec.template.metadata.labels", "`selector` does not match template `labels`")


def _schema(told: Told) -> Told:
    while "$ref" in told:
        told = schemas()["$defs"][told["$ref"].rpartition("/")[2]]
    return told


def leaves(value: Any, schema: Told, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each field that an owner can have, as `managedFields` names it, with its value."""
    schema = _schema(schema)
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


def flat(told: Told) -> dict[Path, Any]:
    kept = {key: each for key, each in told.items() if key not in ("apiVersion", "kind", "status")}
    kept["metadata"] = {key: each for key, each in told["metadata"].items() if key not in OWN}
    return dict(leaves(kept, schemas()["$defs"][definition(told["kind"])])) if kept["metadata"] or len(kept) > 1 else {}


def whole(fields: dict[Path, Any]) -> Told:
    """The object of its fields: the inverse of `flat`."""
    tree: Told = {}
    for path, value in fields.items():
        at = tree
        for each in path[:-1]:
            at = at.setdefault(each, {})
        at.setdefault(path[-1], copy.deepcopy(value)) if value == {} else at.update({path[-1]: copy.deepcopy(value)})
    return _untied(tree)  # type: ignore[no-any-return]


def _untied(tree: Any) -> Any:
    if not isinstance(tree, dict) or not tree or next(iter(tree))[:2] not in ("f:", "k:"):
        return tree
    made = {key[2:]: _untied(each) for key, each in tree.items()}
    return list(made.values()) if next(iter(tree))[0] == "k" else made


def spelled(path: Path) -> str:
    def item(keys: Told) -> str:
        return "[" + ",".join(f"{key}={json.dumps(each)}" for key, each in keys.items()) + "]"

    return "".join(f".{each[2:]}" if each[0] == "f" else item(json.loads(each[2:])) for each in path)


class Objects:
    """All objects. `step`: what controllers do before objects of a kind are looked at."""

    def __init__(self, step: Callable[["Objects", str], None]) -> None:
        self.step, self.version = step, 1000
        self.held: dict[Key, Told] = {}
        self.owners: dict[str, Owners] = {}

    def put(self, told: Told) -> None:
        """As controllers write, who own no fields here."""
        self.version += 1
        told["metadata"]["resourceVersion"] = str(self.version)
        self.held[told["kind"], told["metadata"].get("namespace", ""), told["metadata"]["name"]] = told

    def __getitem__(self, key: Key) -> Told:
        kind, namespace, name = key
        if kind != "Namespace" and KINDS[kind].namespaced and ("Namespace", "", namespace) not in self.held:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found', kind="namespaces", name=namespace)
        if key not in self.held:
            of = ".".join(filter(None, (KINDS[kind].plural, KINDS[kind].group)))
            raise Refusal(404, "NotFound", f'{of} "{name}" not found', kind=KINDS[kind].plural, name=name)
        return self.held[key]

    def apply(self, told: Told, manager: str, *, force: bool, dry: bool) -> tuple[Told, bool]:
        """Server-side apply: the object, and whether it is new."""
        key, live = self._live(told)
        mine, wanted = (manager, "Apply"), flat(told)
        self._seen(told, live)
        valid(told, applied=True)
        have = flat(live) if live else {}
        owners = copy.deepcopy(self.owners[live["metadata"]["uid"]]) if live else {}
        held = [
            (path, who) for path, value in wanted.items() if path in have and have[path] != value
            for who, paths in owners.items() if who != mine and path in paths
        ]  # fmt: skip
        if held and not force:
            causes = [{"reason": "FieldManagerConflict", "message": f'conflict with "{who}" using {told["apiVersion"]}',
                       "field": spelled(path)} for path, (who, _) in held]  # fmt: skip
            text = "; ".join(f"{each['message']}: {each['field']}" for each in causes)
            many = "conflict" if len(held) == 1 else "conflicts"
            raise Refusal(409, "Conflict", f"Apply failed with {len(held)} {many}: {text}", causes=causes)
        for path, who in held:
            owners[who].pop(path, None)
        others = {path for who, paths in owners.items() if who != mine for path in paths}
        gone = owners.get(mine, {}).keys() - wanted.keys() - others
        owners[mine] = dict.fromkeys(wanted)
        fields = {path: each for path, each in have.items() if path not in gone} | wanted
        return self._put(key, told, live, fields, owners, dry), live is None

    def write(self, told: Told, manager: str, *, new: bool, dry: bool) -> Told:
        """Create or update: whoever sets a field has it from then on."""
        key, live = self._live(told)
        if new and live:
            raise Refusal(409, "AlreadyExists", f'{KINDS[key[0]].plural} "{key[2]}" already exists', name=key[2])
        if not new and not live:
            self[key]
        self._seen(told, live)
        valid(told, applied=False)
        have, wanted, mine = flat(live) if live else {}, flat(told), (manager, "Update")
        owners = copy.deepcopy(self.owners[live["metadata"]["uid"]]) if live else {}
        changed = [path for path, each in wanted.items() if path not in have or have[path] != each]
        for who in owners:
            owners[who] = {path: None for path in owners[who] if path in wanted and path not in changed}
        owners[mine] = owners.get(mine, {}) | dict.fromkeys(changed)
        return self._put(key, told, live, wanted, owners, dry)

    def _live(self, told: Told) -> tuple[Key, Told | None]:
        key = told["kind"], told["metadata"].get("namespace", ""), told["metadata"].get("name", "")
        try:
            return key, self[key]
        except Refusal as none:
            if none.details.get("kind") == "namespaces" and key[0] != "Namespace":
                raise
            return key, None

    def _seen(self, told: Told, live: Told | None) -> None:
        known = {each: told["metadata"].get(each) for each in ("resourceVersion", "uid")}
        if any(value and (live is None or live["metadata"][name] != value) for name, value in known.items()):
            text = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on "{told["metadata"]["name"]}": {text}')

    def _put(self, key: Key, told: Told, live: Told | None, fields: dict[Path, Any],
             owners: Owners, dry: bool) -> Told:  # fmt: skip
        kind, namespace, name = key
        made = {"apiVersion": told["apiVersion"], "kind": kind} | whole(fields)
        _default(made := {**made, "metadata": {"name": name, **made.get("metadata", {})}}, live, str(len(self.held)))
        if live:
            _fixed(made, live)
        about = live["metadata"] if live else {"uid": str(uuid.uuid4()), "generation": 0, "creationTimestamp": _now()}
        same = live is not None and flat(live) == flat(made) and self.owners[about["uid"]] == owners
        spec = live is None or live.get("spec") != made.get("spec")
        self.version += not (dry or same)
        made["metadata"] |= {"namespace": namespace} if namespace else {}
        made["metadata"] |= {
            "uid": about["uid"], "creationTimestamp": about["creationTimestamp"],
            "resourceVersion": about["resourceVersion"] if live and (dry or same) else str(self.version),
            "generation": about["generation"] + spec,
            "managedFields": [_managed(who, told["apiVersion"], paths) for who, paths in owners.items() if paths],
        }  # fmt: skip
        if live and "status" in live:
            made["status"] = live["status"]
        if not dry and not same:
            self.held[key], self.owners[about["uid"]] = made, owners
        return made

    def delete(self, kind: str, namespace: str, name: str, options: Told) -> Told:
        """Take away, and what belongs to it unless it is to be orphaned."""
        told = self[kind, namespace, name]
        uid = options.get("preconditions", {}).get("uid", told["metadata"]["uid"])
        if uid != told["metadata"]["uid"]:
            raise Refusal(409, "Conflict", f"Precondition failed: UID in precondition: {uid}, in object meta: another")
        del self.held[kind, namespace, name]
        owned = options.get("propagationPolicy", "Background") != "Orphan"
        for key, each in list(self.held.items()):
            mine = any(owner["uid"] == uid for owner in each["metadata"].get("ownerReferences", []))
            if (owned and mine) or (kind == "Namespace" and key[1] == name):
                del self.held[key]
        return told


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _managed(who: tuple[str, str], version: str, paths: dict[Path, None]) -> Told:
    tree: Told = {}
    for path in paths:
        at = tree
        for each in path:
            at = at.setdefault(each, {})
    return {"manager": who[0], "operation": who[1], "apiVersion": version, "time": _now(), "fieldsType": "FieldsV1",
            "fieldsV1": tree}  # fmt: skip


def _default(made: Told, live: Told | None, number: str) -> None:
    """What the server sets where nobody did."""
    kind, spec = made["kind"], made.setdefault("spec", {}) if made["kind"] in ("Namespace",) else made.get("spec", {})
    if kind == "Namespace":
        made["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = made["metadata"]["name"]
        spec.setdefault("finalizers", ["kubernetes"])
    elif kind == "Service":
        address = live["spec"]["clusterIP"] if live else f"10.0.0.{int(number) % 250 + 1}"
        for key, each in {"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"], "sessionAffinity": "None",
                          "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster"}.items():  # fmt: skip
            spec.setdefault(key, each)
    elif kind == "Job":
        for key, each in {"completions": 1, "parallelism": 1, "suspend": False, "completionMode": "NonIndexed",
                          "podReplacementPolicy": "TerminatingOrFailed"}.items():  # fmt: skip
            spec.setdefault(key, each)
    if pod := spec.get("template", {}).get("spec"):
        for key, each in (POD | {"serviceAccount": pod.get("serviceAccountName", "default")}).items():
            pod.setdefault(key, each)
        for box in pod["containers"]:
            box |= BOX | box


def _fixed(made: Told, live: Told) -> None:
    """What may not be changed."""
    fixed = {"Deployment": ["selector"], "Job": ["template", "selector", "completions"], "Service": ["clusterIP"]}
    for field in fixed.get(made["kind"], []):
        if made["spec"].get(field) != live["spec"].get(field):
            raise invalid(made, f"spec.{field}", "field is immutable")
    if live["kind"] == "ConfigMap" and live.get("immutable") and made.get("data") != live.get("data"):
        raise invalid(made, "data", "field is immutable when `immutable` is set")
