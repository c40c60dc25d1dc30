"""What the API server of the tests keeps: objects, and whose fields are whose. Schemas are Kubernetes' own, by
`kubernetes-validate`; they say too which lists are merged by keys. What is not known is refused as Kubernetes does it.
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
FILE = files("kubernetes_validate") / "kubernetes-json-schema/v1.36.0-local-strict/_definitions.json"
SCHEMAS: Told = json.loads(FILE.read_text(encoding="utf-8"))
OWN = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "name", "namespace"})
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
FIXED = {"Deployment": ["selector"], "Job": ["template", "completions"], "Service": ["clusterIP"]}
DEFAULTS: dict[str, Told] = {
    "Service": {"ipFamilies": ["IPv4"], "sessionAffinity": "None", "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]},
    "Job": {"completions": 1, "parallelism": 1, "suspend": False, "completionMode": "NonIndexed",
            "podReplacementPolicy": "TerminatingOrFailed"},
    "Pod": {"schedulerName": "default-scheduler", "dnsPolicy": "ClusterFirst"},
    "Box": {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"},
}  # fmt: skip


class Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
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
    """By the schema, strictly, and by what the API server looks at besides."""
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
    if not NAME.fullmatch(about.get("name", "")) or (told["kind"] in ("Job", "Service") and len(about["name"]) > 63):
        raise invalid(told, "metadata.name", "Invalid value")
    if boxes := [at for at, box in enumerate(_pod(told).get("containers", [])) if not box.get("image")]:
        raise invalid(told, f"spec.template.spec.containers[{boxes[0]}].image", "Required value")
    if told["kind"] == "Deployment":
        wanted, labels = spec["selector"].get("matchLabels", {}), spec["template"].get("metadata", {}).get("labels", {})
        if not wanted or not wanted.items() <= labels.items():
            raise invalid(told, "spec.template.metadata.labels", "`selector` does not match template `labels`")


def _pod(told: Told) -> Told:
    return dict.get(told.get("spec") or {}, "template", {}).get("spec", {})  # type: ignore[no-any-return]


def leaves(value: Any, schema: Told, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each field that an owner can have, as `managedFields` names it, with its value."""
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


def flat(told: Told) -> dict[Path, Any]:
    about = {key: each for key, each in told["metadata"].items() if key not in OWN}
    kept = {key: each for key, each in told.items() if key not in ("apiVersion", "kind", "status", "metadata")}
    kept |= {"metadata": about} if about else {}
    return dict(leaves(kept, {"$ref": validator(told["kind"]).schema["$ref"]})) if kept else {}


def tree(fields: dict[Path, Any]) -> Told:
    made: Told = {}
    for path, value in fields.items():
        at = made
        for each in path[:-1]:
            at = at.setdefault(each, {})
        at[path[-1]] = at.get(path[-1], {}) if value == {} else copy.deepcopy(value)
    return made


def untied(told: Any) -> Any:
    """The object of a tree of its fields."""
    if not isinstance(told, dict) or not told or next(iter(told))[:2] not in ("f:", "k:"):
        return told
    made = {key[2:]: untied(each) for key, each in told.items()}
    return list(made.values()) if next(iter(told))[0] == "k" else made


def spelled(path: Path) -> str:
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
        """As controllers write, who own no fields here."""
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
            many = "conflict" if len(held) == 1 else "conflicts"
            raise Refusal(409, "Conflict", f"Apply failed with {len(held)} {many}: {text}", causes=causes)
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

    def _live(self, told: Told) -> tuple[Told | None, dict[Path, Any], Owners]:
        """What is there, in the version that `told` names if it names one: its fields, and whose they are."""
        about = told["metadata"]
        if KINDS[told["kind"]].namespaced:
            self["Namespace", "", about.get("namespace", "")]
        live = self.held.get((told["kind"], about.get("namespace", ""), about.get("name", "")))
        seen = (live or {"metadata": {}})["metadata"]
        if any(about.get(each, "") not in ("", seen.get(each)) for each in ("resourceVersion", "uid")):
            said = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on "{about["name"]}": {said}')
        return live, flat(live) if live else {}, copy.deepcopy(self.owners[live["metadata"]["uid"]]) if live else {}

    def _put(self, told: Told, live: Told | None, fields: dict[Path, Any], owners: Owners, dry: bool) -> Told:
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
        """What the server sets where nobody did."""
        if made["kind"] == "Namespace":
            made["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
            made["spec"] = {"finalizers": ["kubernetes"]}
        elif made["kind"] in DEFAULTS:
            made["spec"] = copy.deepcopy(DEFAULTS[made["kind"]]) | made["spec"]
        if pod := _pod(made):
            pod |= DEFAULTS["Pod"] | {"serviceAccount": pod.get("serviceAccountName", "default")} | pod
            for box in pod["containers"]:
                box |= DEFAULTS["Box"] | box

    def delete(self, kind: str, namespace: str, name: str, options: Told) -> Told:
        """Take away, and what belongs to it unless it is to be orphaned."""
        told = self[kind, namespace, name]
        uid = options.get("preconditions", {}).get("uid", told["metadata"]["uid"])
        if uid != told["metadata"]["uid"]:
            raise Refusal(409, "Conflict", f"Precondition failed: UID in precondition: {uid}, in object meta: another")
        del self.held[kind, namespace, name]
        orphan, inside = options.get("propagationPolicy") == "Orphan", name if kind == "Namespace" else None
        owners = {key: each["metadata"].get("ownerReferences", [{}])[0].get("uid") for key, each in self.held.items()}
        gone = {key for key, owner in owners.items() if (owner == uid and not orphan) or key[1] == inside}
        self.held = {key: each for key, each in self.held.items() if key not in gone}
        return told
