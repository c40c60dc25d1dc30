"""What a policy says of a target and of who deploys there, and what an API server answered."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from configs.load import Target
from security.access import Grant, Paths
from security.engines.login import ADDRESS
from security.engines.reviews import ACTIONS
from security.signer.lease import LONGEST
from security.verdict import Frozen

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SERVER = r"^(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*)?$"
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Who = Annotated[str, Field(pattern=r"^(system:[A-Za-z0-9:._-]{1,240}|sha256:[0-9a-f]{64})$")]
"""A name that Kubernetes gave, or a digest of another."""
MASTERS, ANONYMOUS, KNOWN = "system:masters", "system:unauthenticated", "system:authenticated"
_KEPT = re.compile(r"default|kube-.*")


class Limits(Frozen):
    """What a policy may set; what it leaves empty allows nothing.

    `server`: the API server's address (https); `ca`: SHA-256 of its CA's certificate (DER); `namespace`: a name, or how
    it begins and `*` (empty: `sluice-` and the pipeline's name); `identity`: who deploys; `groups`: in which groups
    besides those of Kubernetes itself; `registries`: where images come from (HOST[:PORT][/PATH], by whole parts);
    `others`: namespaces in which rules are asked for as well; `credentials`: where the deployer's kubeconfig is
    (`env:NAME` of the variable that names its file, or `file:PATH`); `lease`: seconds that models may serve there at a
    time. The plan completes the pipeline's `name`, and the `target`.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(__?[a-z0-9]+)*$")]
    target: Target
    server: Annotated[str, Field(max_length=253, pattern=SERVER)] = ""
    ca: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    namespace: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|[a-z0-9][a-z0-9-]{1,61}\*)?$")] = ""
    identity: Annotated[str, Field(max_length=253)] = ""
    groups: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = ()
    registries: tuple[Annotated[str, Field(pattern=ADDRESS)], ...] = ()
    others: tuple[Namespace, ...] = ()
    credentials: Annotated[str, Field(pattern=r"^(env:\w+|file:.+)$")] = "env:KUBECONFIG"
    lease: Annotated[int, Field(ge=1800, le=LONGEST, strict=True)] = 3600

    @field_validator("namespace")
    @classmethod
    def _own(cls, told: str) -> str:
        if _KEPT.fullmatch(told):
            raise ValueError(f"{told} is the cluster's own namespace; allowed: one of the release's")
        return told

    @model_validator(mode="after")
    def _nobody(self) -> "Limits":
        if taken := sorted({MASTERS, ANONYMOUS, "system:nodes"} & {*self.groups}):
            raise ValueError(f"{taken[0]} is no group of who deploys")
        if self.identity in ("system:anonymous", "system:admin"):
            raise ValueError(f"{self.identity} deploys nothing")
        return self

    def lies(self, namespace: str) -> bool:
        """Whether a namespace is the policy's."""
        wanted = self.namespace or f"sluice-{self.name.replace('_', '-')}"
        if _KEPT.fullmatch(namespace):
            return False
        return namespace.startswith(wanted[:-1]) if wanted.endswith("*") else namespace == wanted


class Rules(Frozen):
    """The rules of whoever asks in one namespace, those of the whole cluster among them. `incomplete`: the server says
    that there may be more; `unsure`: that an error came up."""

    grants: tuple[Grant, ...]
    paths: tuple[Paths, ...]
    incomplete: bool = Field(strict=True)
    unsure: bool = Field(strict=True)


class Cluster(Frozen):
    """An API server that was asked. `control`: whether it allows what no rule spells; `allowed` and `denied`: what was
    asked for, each by its label; `unsure`: in whose reviews an error came up."""

    server: Annotated[str, Field(max_length=253, pattern=SERVER)]
    ca: Annotated[tuple[Sha, ...], Field(min_length=1)]
    namespace: Namespace
    user: Who
    groups: tuple[Who, ...]
    rules: dict[Namespace, Rules]
    control: bool = Field(strict=True)
    allowed: tuple[str, ...]
    denied: tuple[str, ...]
    unsure: tuple[str, ...]

    @model_validator(mode="after")
    def _agree(self) -> "Cluster":
        """Facts that contradict each other are none."""
        if sorted((*self.allowed, *self.denied)) != sorted(ACTIONS) or not {*self.unsure} <= {*ACTIONS, "control"}:
            raise ValueError("each thing has one answer, and there is no other")
        if not {self.namespace, "default", "kube-system"} <= {*self.rules} or len({*self.groups}) < len(self.groups):
            raise ValueError("the rules of a namespace are missing, or a group is there twice")
        return self


class Facts(Frozen):
    """What is to run, container -> image (empty: none was built); and the cluster, where there is one."""

    images: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(min_length=1)]
    cluster: Cluster | None


Family = Literal[
    "secrets", "exec", "tokens", "rbac", "impersonation", "nodes", "admission", "namespaces", "elsewhere", "wild",
    "more",
]  # fmt: skip
