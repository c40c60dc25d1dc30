"""The kinds of objects that are known, and `parse`, which knows no other."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from security.errors import CannotTell
from security.manifests.object import Object
from security.manifests.part import Key, Labels, Part, Port, PortName, Protocol, Selector, absent
from security.manifests.policies import PolicySpec
from security.manifests.roles import ClusterRole, Role, RoleBinding
from security.manifests.workloads import Controller, CronJob, Job, Pod


class Namespace(Object):
    """A namespace."""

    namespaced: ClassVar[bool] = False
    api_version: Literal["v1"]
    kind: Literal["Namespace"]


class ServiceAccount(Object):
    """Who a pod is to the API server."""

    api_version: Literal["v1"]
    kind: Literal["ServiceAccount"]
    automount_service_account_token: bool | None = None


class ConfigMap(Object):
    """Settings."""

    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    data: dict[Key, str] = {}
    immutable: bool = False


class ServicePort(Part):
    """A port of a service, and the pods' that it leads to."""

    port: Port
    target_port: Port | PortName | None = None
    name: PortName | None = None
    protocol: Protocol = "TCP"
    node_port: Port | None = None


class ServiceSpec(Part):
    """Which pods a service leads to."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    selector: Labels = {}
    ports: Annotated[list[ServicePort], Field(min_length=1)]
    cluster_ip: str | None = Field(default=None, alias="clusterIP")
    external_ips: list[str] = Field(default=[], alias="externalIPs")


class Service(Object):
    """A name for pods."""

    api_version: Literal["v1"]
    kind: Literal["Service"]
    spec: ServiceSpec


class BudgetSpec(Part):
    """How many pods must stay."""

    selector: Selector
    min_available: Annotated[int, Field(ge=0)] | str | None = None
    max_unavailable: Annotated[int, Field(ge=0)] | str | None = None


class PodDisruptionBudget(Object):
    """How many pods a drain may take away."""

    api_version: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    spec: BudgetSpec


class NetworkPolicy(Object):
    """Who may speak to whom."""

    api_version: Literal["networking.k8s.io/v1"]
    kind: Literal["NetworkPolicy"]
    spec: PolicySpec


KINDS: Mapping[str, type[Object]] = {
    "Namespace": Namespace,
    "ServiceAccount": ServiceAccount,
    "ConfigMap": ConfigMap,
    "Service": Service,
    "PodDisruptionBudget": PodDisruptionBudget,
    "NetworkPolicy": NetworkPolicy,
    "Pod": Pod,
    "Deployment": Controller,
    "ReplicaSet": Controller,
    "StatefulSet": Controller,
    "DaemonSet": Controller,
    "Job": Job,
    "CronJob": CronJob,
    "Role": Role,
    "ClusterRole": ClusterRole,
    "RoleBinding": RoleBinding,
}


def parse(where: str, told: dict[str, Any]) -> Object:
    """The object that a document says; `CannotTell` for an unknown kind or field, or a value that cannot be."""
    kind = told.get("kind")
    shape = KINDS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise CannotTell(f"{where}: a kind that is not known; allowed: {', '.join(KINDS)}")
    try:
        made = shape.model_validate(absent(told))
    except ValidationError as why:
        first = why.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CannotTell(f"{where}: {kind}.{place}: {first['msg'][:120]}") from None
    if not made.namespaced and made.metadata.namespace:
        raise CannotTell(f"{where}: {kind} lies in no namespace")
    return made
