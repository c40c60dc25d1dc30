"""What kubectl asks an API server before it asks for anything, and how it sends a review."""

import json

from deployments.kubernetes.kinds import KINDS
from tests.cluster.server import Told

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
ASKED = ("dryRun", "fieldManager", "fieldValidation")
ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")


def discovery() -> dict[str, Told]:
    """Path -> answer: groups, versions, kinds, and of each kind the parameters of a patch."""
    versions = {("/apis/" if of.group else "/api/") + of.version: of for of in KINDS.values()}
    groups = [
        {"name": of.group, "versions": [{"groupVersion": of.version, "version": "v1"}]}
        for of in versions.values()
        if of.group
    ]
    made: dict[str, Told] = {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        "/openapi/v3": {"paths": {at[1:]: {"serverRelativeURL": f"/openapi/v3{at}"} for at in versions}},
    }
    for at, version in versions.items():
        kinds = {kind: of for kind, of in KINDS.items() if of.version == version.version}
        resources = [
            {
                "name": of.plural,
                "singularName": kind.lower(),
                "namespaced": of.namespaced,
                "kind": kind,
                "verbs": ["create"] if kind.endswith("Review") else [*VERBS],
            }
            for kind, of in kinds.items()
        ]
        patch = {"parameters": [{"name": each, "in": "query"} for each in ASKED]}
        about = {kind: {"group": version.group, "version": "v1", "kind": kind} for kind in kinds}
        paths = {
            f"/{kind}/{{name}}": {"patch": patch | {"x-kubernetes-group-version-kind": each}}
            for kind, each in about.items()
        }
        made[at] = {"kind": "APIResourceList", "groupVersion": version.version, "resources": resources}
        made[f"/openapi/v3{at}"] = {"openapi": "3.0.0", "paths": paths}
    return made


def reviewed(body: bytes) -> bytes:
    """A review as kubectl sends it, in protobuf (`k8s`, an envelope, in its field 2 the message), as JSON."""
    if not body.startswith(b"k8s\0"):
        return body
    whole = fields(body[4:])
    version, kind = (each.decode() for each in (fields(whole[1])[1], fields(whole[1])[2]))
    spec = fields(fields(whole[2])[2])
    at = fields(spec.get(1, b"")) if "Access" in kind else {}
    about = {ATTRIBUTES[number - 1]: each.decode() for number, each in at.items()}
    told = {"resourceAttributes": about} if about else {"namespace": spec.get(1, b"").decode("latin-1")}
    return json.dumps({"apiVersion": version, "kind": kind, "spec": told}).encode()


def fields(data: bytes) -> dict[int, bytes]:
    """The fields of a short message, those that are bytes."""
    made: dict[int, bytes] = {}
    while data:
        size = data[1] if data[0] & 7 == 2 else 0
        assert size < 128
        made[data[0] >> 3] = data[2 : 2 + size]
        data = data[2 + size :]
    return made
