"""One thing that may be asked of an API server."""

from dataclasses import dataclass, replace
from typing import Literal

Where = Literal["here", "kube-system", "default", "everywhere"]
"""The namespace of a release; two that every cluster has; all of them, or none."""
SYSTEM: tuple[Where, ...] = ("kube-system", "default")


@dataclass(frozen=True)
class Action:
    """A verb on a resource (`pods`, `pods/exec`) of a group (empty: the core's). `named`: on the one object that is
    called like the release's namespace, which is that namespace."""

    verb: str
    resource: str
    group: str = ""
    where: Where = "here"
    named: bool = False

    @property
    def kind(self) -> str:
        """`deployments.apps`, as kubectl spells it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def label(self) -> str:
        """What the question is called: `patch deployments.apps here`."""
        return f"{self.verb} {self.kind} {'itself' if self.named else self.where}"

    def namespace(self, here: str) -> str:
        """Its namespace; empty for all, or none. To a request for a namespace, that is the namespace itself."""
        return {"here": here, "everywhere": ""}.get(self.where, self.where)

    def attributes(self, here: str) -> dict[str, str]:
        """The `resourceAttributes` of its review (authorization.k8s.io/v1), without those that are empty."""
        resource, _, subresource = self.resource.partition("/")
        told = {
            "namespace": self.namespace(here),
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "name": here if self.named else "",
        }
        return {name: each for name, each in told.items() if each}

    def at(self, where: Where) -> "Action":
        """The same somewhere else."""
        return replace(self, where=where)
