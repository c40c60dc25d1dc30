"""An API server that is none: in memory, with one user and the rules that it is told, which it reads as RBAC does.

It answers reviews as Kubernetes spells them and listens nowhere: known-bad servers are asked by the very code that asks
the real one.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from security.access import NEEDED, Action, Grant, Paths

Binding = tuple[str, Grant | Paths]
"""The namespace in which a rule is granted (empty: the whole cluster), and the rule."""


def bound(action: Action, here: str) -> Binding:
    """A rule that grants one action where it is asked for, and no other."""
    names = (here,) if action.named else ()
    rule = Grant(verbs=(action.verb,), groups=(action.group,), resources=(action.resource,), names=names)
    return action.namespace(here), rule


class Double:
    """One server. `lacks`: labels of what is needed and not granted; `more`: rules beyond it."""

    def __init__(
        self,
        namespace: str,
        user: str = "system:serviceaccount:sluice-system:deployer",
        groups: Sequence[str] = ("system:authenticated", "system:serviceaccounts"),
        *,
        lacks: Collection[str] = (),
        more: Sequence[Binding] = (),
    ) -> None:
        self.user, self.groups = user, list(groups)
        self.bindings = [*(bound(each, namespace) for each in NEEDED if each.label not in lacks), *more]

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        """The answer to one request."""
        told = dict(body or {})
        answers = {
            "/apis/authentication.k8s.io/v1/selfsubjectreviews": self._who,
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": self._rules,
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": self._access,
        }
        if method != "POST" or path not in answers:
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        return 201, {**told, "status": answers[path](told.get("spec", {}))}

    def _who(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        return {"userInfo": {"username": self.user, "groups": self.groups}}

    def _rules(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        mine = [rule for space, rule in self.bindings if space in ("", spec["namespace"])]
        grants = [
            {
                "verbs": list(rule.verbs),
                "apiGroups": list(rule.groups),
                "resources": list(rule.resources),
                **({"resourceNames": list(rule.names)} if rule.names else {}),
            }
            for rule in mine
            if isinstance(rule, Grant)
        ]
        paths = [{"verbs": list(r.verbs), "nonResourceURLs": list(r.paths)} for r in mine if isinstance(r, Paths)]
        return {"resourceRules": grants, "nonResourceRules": paths, "incomplete": False}

    def _access(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        asked = dict(spec["resourceAttributes"])
        spaces = ("", asked.get("namespace", ""))
        rules = (rule for space, rule in self.bindings if space in spaces and isinstance(rule, Grant))
        return {"allowed": any(rule.allows(asked) for rule in rules)}
