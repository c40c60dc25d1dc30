"""The kinds of objects that are known, and `parse`, which knows no other."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from security.errors import CannotTell
from security.manifests.base import Key, Labels, Metadata, Name, Part, Port, PortName, Protocol, Selector, absent
from security.manifests.pods import PodSpec, Template
from security.manifests.policies import PolicySpec


class Object(Part):
    """One object: kind and version, and what it is called."""

    namespaced: ClassVar[bool] = True
    api_version: str
    kind: str
    metadata: Metadata

    @property
    def namespace(self) -> str:
        """Where it lies; empty for what lies nowhere."""
        return (self.metadata.namespace or "default") if self.namespaced else ""

    @property
    def place(self) -> str:
        """Kind, namespace and name."""
        return "/".join(filter(None, (self.kind, self.namespace, self.metadata.name)))


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


class Workload(Object):
    """What makes pods, of any kind. A cluster gives them `labels` and runs `pod`."""

    @property
    def labels(self) -> Labels:
        """Of its pods."""
        raise NotImplementedError

    @property
    def pod(self) -> PodSpec:
        """What runs."""
        raise NotImplementedError

    @property
    def selects(self) -> Selector | None:
        """Which pods it takes for its own, where it says so."""
        return None


class Pod(Workload):
    """A pod by itself."""

    api_version: Literal["v1"]
    kind: Literal["Pod"]
    spec: PodSpec

    @property
    def labels(self) -> Labels:
        """Its own."""
        return self.metadata.labels

    @property
    def pod(self) -> PodSpec:
        """Itself."""
        return self.spec


class Update(Part):
    """How a rollout is done."""

    type: Literal["RollingUpdate", "Recreate", "OnDelete"]
    rolling_update: dict[Literal["maxSurge", "maxUnavailable", "partition"], int | str] = {}


class ControllerSpec(Part):
    """What a controller makes, and which pods it takes for its own."""

    selector: Selector
    template: Template
    replicas: Annotated[int, Field(ge=0)] = 1
    strategy: Update | None = None
    update_strategy: Update | None = None
    service_name: Name | None = None
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    progress_deadline_seconds: int | None = None
    paused: bool = False
    pod_management_policy: Literal["OrderedReady", "Parallel"] | None = None


class Controller(Workload):
    """Deployment, ReplicaSet, StatefulSet, DaemonSet."""

    api_version: Literal["apps/v1"]
    kind: Literal["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"]
    spec: ControllerSpec

    @property
    def labels(self) -> Labels:
        """The template's."""
        return self.spec.template.metadata.labels

    @property
    def pod(self) -> PodSpec:
        """The template's."""
        return self.spec.template.spec

    @property
    def selects(self) -> Selector | None:
        """Its selector."""
        return self.spec.selector


class JobSpec(Part):
    """What runs to its end."""

    template: Template
    backoff_limit: Annotated[int, Field(ge=0)] = 6
    completions: int | None = None
    parallelism: int | None = None
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False


class Job(Workload):
    """A job. The cluster adds labels of its own to its pods, by which nothing here is selected."""

    api_version: Literal["batch/v1"]
    kind: Literal["Job"]
    spec: JobSpec

    @property
    def labels(self) -> Labels:
        """The template's."""
        return self.spec.template.metadata.labels

    @property
    def pod(self) -> PodSpec:
        """The template's."""
        return self.spec.template.spec


class JobTemplate(Part):
    """Of a job that is made again and again."""

    metadata: dict[Literal["labels", "annotations"], dict[Key, str]] = {}
    spec: JobSpec


class CronJobSpec(Part):
    """When it is made."""

    schedule: str
    job_template: JobTemplate
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Allow"
    successful_jobs_history_limit: int = 3
    failed_jobs_history_limit: int = 1
    starting_deadline_seconds: int | None = None
    suspend: bool = False
    time_zone: str | None = None


class CronJob(Workload):
    """A job that is made again and again."""

    api_version: Literal["batch/v1"]
    kind: Literal["CronJob"]
    spec: CronJobSpec

    @property
    def labels(self) -> Labels:
        """The template's."""
        return self.spec.job_template.spec.template.metadata.labels

    @property
    def pod(self) -> PodSpec:
        """The template's."""
        return self.spec.job_template.spec.template.spec


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
