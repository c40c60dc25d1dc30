"""What is told of pods and what surrounds them, and what a policy may set. No value of a variable is among it."""

from typing import Annotated

from pydantic import Field

from security.verdict import Frozen

Count = Annotated[int, Field(ge=0, strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class Limits(Frozen):
    """`capabilities`: those that may be added; `replicas`: how many pods of what must stay at least; `registries`: how
    images' names may begin, any where none is named. `placed`, the plan's to say: whether it is of what lies in a
    cluster, or of what is only rendered."""

    capabilities: tuple[str, ...] = ("NET_BIND_SERVICE",)
    replicas: int = Field(default=2, ge=1)
    registries: tuple[Annotated[str, Field(pattern=r"^[a-z0-9].*/$")], ...] = ()
    placed: Flag = True


class Box(Frozen):
    """One container. What it leaves to its pod is told as the pod says it; None is what neither says."""

    place: str
    kind: str
    """The list that it stands in."""
    image: str
    privileged: Flag
    escalation: bool | None
    fixed: Flag
    """Whether its root filesystem is read-only."""
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    proc: str
    seccomp: str
    apparmor: str
    selinux: dict[str, str]
    nonroot: bool | None
    user: int | None
    process: Flag
    """Whether it is a process of a Windows host."""
    host_ports: tuple[int, ...]
    elsewhere: Count
    """Probes and hooks that call another host than the pod."""
    requests: tuple[str, ...]
    limits: tuple[str, ...]
    probes: tuple[str, ...]
    secrets: tuple[str, ...]
    """Names of variables that are called like a secret and have their value in the manifest."""


class Pods(Frozen):
    """What one workload makes."""

    place: str
    kind: str
    namespace: str
    replicas: Count
    labels: dict[str, str]
    ports: dict[str, int]
    """Name, and number, of each port that containers declare -> its number."""
    account: str
    mounts: Flag
    """Whether a token of the API server is mounted."""
    host: tuple[str, ...]
    """Which of its node's namespaces it is in."""
    volumes: dict[str, str]
    sysctls: tuple[str, ...]
    own: Flag
    """Whether its selector selects the pods that it makes."""
    boxes: tuple[Box, ...]


class Leads(Frozen):
    """A service: its type, whether it has addresses of its own outside, and what each workload that it selects lacks
    of its ports."""

    place: str
    type: str
    outside: Flag
    selected: Count
    lost: tuple[str, ...]


class Grant(Frozen):
    """One rule of a role."""

    place: str
    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    groups: tuple[str, ...]


class Facts(Frozen):
    """All of it; `faults`: documents that keep no schema, and why."""

    kinds: dict[str, Count]
    faults: tuple[tuple[str, str], ...]
    namespaces: dict[str, dict[str, str]]
    accounts: tuple[str, ...]
    pods: tuple[Pods, ...]
    services: tuple[Leads, ...]
    budgets: dict[str, tuple[str, ...]]
    """Budget -> the workloads whose pods it keeps."""
    grants: tuple[Grant, ...]
