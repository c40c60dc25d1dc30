"""What makes pods: Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob."""

from typing import Annotated, Literal

from pydantic import Field

from security.manifests.object import Object
from security.manifests.part import Key, Labels, Name, Part, Selector
from security.manifests.pods import PodSpec, Template


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

    @property
    def replicas(self) -> int:
        """How many pods there are at once, as far as it says."""
        return 1


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

    @property
    def replicas(self) -> int:
        """As it says."""
        return self.spec.replicas


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
