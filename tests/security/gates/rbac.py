"""An API server's reviews over Roles and bindings, decided as Kubernetes documents RBAC; by other code than the gate's.

Roles and bindings are objects as one writes them in YAML. Nothing here is imported from what is tested.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from security.errors import CannotTell

Object = dict[str, Any]
KNOWN, ACCOUNTS = "system:authenticated", "system:serviceaccounts"
USER = "system:serviceaccount:sluice-system:deployer"
HERE = "sluice-sample"
GIVEN = (KNOWN, ACCOUNTS, f"{ACCOUNTS}:sluice-system")


def rule(verbs: str, resources: str, group: str = "", *names: str) -> Object:
    """A rule over resources."""
    told: Object = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return told | ({"resourceNames": list(names)} if names else {})


def paths(*told: str, verbs: str = "get") -> Object:
    """A rule over addresses."""
    return {"verbs": verbs.split(), "nonResourceURLs": list(told)}


BOOTSTRAP: dict[str, tuple[list[Object], str]] = {
    "system:basic-user": (
        [
            rule("create", "selfsubjectaccessreviews selfsubjectrulesreviews", "authorization.k8s.io"),
            rule("create", "selfsubjectreviews", "authentication.k8s.io"),
        ],
        KNOWN,
    ),
    "system:discovery": (
        [
            paths("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
                  "/version", "/version/"),
        ],
        KNOWN,
    ),
    "system:public-info-viewer": ([paths("/healthz", "/livez", "/readyz", "/version", "/version/")], KNOWN),
    "system:service-account-issuer-discovery": (
        [paths("/.well-known/openid-configuration", "/openid/v1/jwks")],
        ACCOUNTS,
    ),
}  # fmt: skip
"""What a new cluster has: role -> its rules, and the group that it is bound to."""
DEPLOYER: list[Object] = [
    rule("get create patch", "serviceaccounts configmaps"),
    rule("get list create patch delete", "services"),
    rule("list", "pods"),
    rule("get list create patch delete", "deployments", "apps"),
    rule("get list create patch delete", "jobs", "batch"),
    rule("get list create patch", "networkpolicies", "networking.k8s.io"),
    rule("get list create patch", "poddisruptionbudgets", "policy"),
    rule("get create update", "leases", "coordination.k8s.io"),
]
"""The role that an owner would write for the deployer, in the namespace."""


class Server:
    """One API server. `user` and `groups`: who asks; `roles` and `bindings` may be added to before it is asked."""

    def __init__(self, user: str = USER, groups: tuple[str, ...] = GIVEN) -> None:
        self.user, self.groups = user, groups
        self.roles: dict[tuple[str, str], list[Object]] = {}
        self.bindings: list[tuple[str, tuple[str, str], str]] = []
        self.webhook = False
        self.asked: list[str] = []
        for name, (rules, group) in BOOTSTRAP.items():
            self.grant("", rules, name, group)

    def grant(self, where: str, rules: list[Object], name: str = "", who: str = USER, *, cluster: bool = False) -> None:
        """A role and a binding to it: in a namespace, or for the whole cluster (`""`). `cluster`: a ClusterRole that is
        bound in a namespace."""
        name = name or f"role-{len(self.bindings)}"
        key = ("" if cluster else where, name)
        self.roles[key] = rules
        self.bindings.append((where, key, who))

    def deployer(self) -> "Server":
        """The deployer's own rights, as an owner would grant them."""
        self.grant(HERE, DEPLOYER)
        self.grant("", [rule("get patch", "namespaces", "", HERE)])
        return self

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        """The answer to a request, as it comes over the wire."""
        told = json.loads(json.dumps(body))
        kind = path.rpartition("/")[2]
        self.asked.append(kind)
        if method != "POST" or path != f"/apis/{told['apiVersion']}/{told['kind'].lower()}s":
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        group = told["apiVersion"].partition("/")[0]
        if not self.allowed({"verb": "create", "group": group, "resource": kind})[0]:
            return 403, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
        made: Object = {"kind": told["kind"], "apiVersion": told["apiVersion"], "metadata": {"creationTimestamp": None}}
        if kind == "selfsubjectreviews":
            info = {"username": self.user, "groups": list(self.groups), "uid": "1", "extra": {"x": ["y"]}}
            return 201, made | {"status": {"userInfo": info}}
        if kind == "selfsubjectrulesreviews":
            return 201, made | {"spec": {}, "status": self.listed(told["spec"]["namespace"])}
        allowed, why = self.allowed(told["spec"]["resourceAttributes"])
        status = {"allowed": allowed} | ({"reason": why} if why else {})
        return 201, made | {"spec": told["spec"], "status": status}

    def rules(self, namespace: str) -> Iterator[tuple[Object | None, str]]:
        """The rules that hold in a namespace, and of which binding; None for a role that is not there."""
        for where, key, who in self.bindings:
            if where in ("", namespace) and who in (self.user, *self.groups):
                for each in self.roles.get(key) or [None]:
                    yield each, f"RBAC: allowed by a binding in {where or 'the cluster'} of {key[1]}"

    def listed(self, namespace: str) -> Object:
        """The status of a review of rules."""
        found = [each for each, _ in self.rules(namespace)]
        mine = [each for each in found if each]
        return {
            "resourceRules": [each for each in mine if "resources" in each],
            "nonResourceRules": [each for each in mine if "nonResourceURLs" in each],
            "incomplete": self.webhook,
            **({"evaluationError": "a role is not found"} if None in found else {}),
            **({"evaluationError": "webhook authorizer does not support user rule resolution"} if self.webhook else {}),
        }

    def allowed(self, asked: Mapping[str, str]) -> tuple[bool, str]:
        """Whether RBAC allows it, and by which binding."""
        for each, why in self.rules(asked.get("namespace", "")):
            if each and "resources" in each and permits(each, asked):
                return True, why
        return False, ""


def permits(each: Object, asked: Mapping[str, str]) -> bool:
    """Whether one rule permits one request (rbac.authorization.k8s.io/v1)."""
    verb, group, name = asked.get("verb", ""), asked.get("group", ""), asked.get("name", "")
    resource, sub = asked.get("resource", ""), asked.get("subresource", "")
    if "*" not in each["verbs"] and verb not in each["verbs"]:
        return False
    if "*" not in each["apiGroups"] and group not in each["apiGroups"]:
        return False
    wanted = {"*", resource + ("/" + sub if sub != "" else "")}
    if sub != "":
        wanted.add("*/" + sub)
    if wanted.isdisjoint(each["resources"]):
        return False
    named = each.get("resourceNames") or []
    return len(named) == 0 or name in named


def broken(how: int) -> Any:
    """A way to ask that always answers with a status, or breaks (0)."""

    def ask(method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        if not how:
            raise CannotTell("the server cannot be reached")
        return how, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": how}

    return ask
