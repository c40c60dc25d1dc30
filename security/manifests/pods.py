"""Pods (core/v1): every field that the two gates judge, and those that our own manifests use besides."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from security.manifests.contexts import ContainerContext, PodContext
from security.manifests.part import Key, Labels, Name, Part, PodMetadata, Port, PortName, Protocol, Value

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]


class ContainerPort(Part):
    """A port that a container listens on."""

    container_port: Port
    name: PortName | None = None
    protocol: Protocol = "TCP"
    host_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    host_ip: str = Field(default="", alias="hostIP")


class Reference(Part):
    """A key of a ConfigMap or a Secret."""

    name: Name
    key: Key
    optional: bool = False


class FieldRef(Part):
    """A field of the pod itself."""

    field_path: str
    api_version: str = "v1"


class Source(Part):
    """Where a variable's value comes from."""

    config_map_key_ref: Reference | None = None
    secret_key_ref: Reference | None = None
    field_ref: FieldRef | None = None


class Variable(Part):
    """A variable of the environment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_.-][A-Za-z0-9_.-]*$")]
    value: str | None = None
    value_from: Source | None = None


class Named(Part):
    """A ConfigMap or a Secret by its name."""

    name: Name
    optional: bool = False


class VariablesFrom(Part):
    """All keys of a ConfigMap or a Secret as variables."""

    prefix: str = ""
    config_map_ref: Named | None = None
    secret_ref: Named | None = None


class Header(Part):
    """A header of a probe."""

    name: str
    value: str


class HttpGet(Part):
    """A request of a kubelet's; with `host` it goes elsewhere than to the pod."""

    path: str = "/"
    port: Port | PortName
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    host: str = ""
    http_headers: list[Header] = []


class TcpSocket(Part):
    """A connection of a kubelet's."""

    port: Port | PortName
    host: str = ""


class Exec(Part):
    """A command in the container."""

    command: Annotated[list[str], Field(min_length=1)]


class Grpc(Part):
    """A health check by gRPC."""

    port: Port
    service: str = ""


class Handler(Part):
    """What a kubelet does in a container's life."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None


class Probe(Handler):
    """How a kubelet asks whether a container is well."""

    grpc: Grpc | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class Lifecycle(Part):
    """What is done after a start and before a stop."""

    post_start: Handler | None = None
    pre_stop: Handler | None = None


class Resources(Part):
    """What a container asks for, and the most that it gets."""

    requests: dict[Key, Quantity] = {}
    limits: dict[Key, Quantity] = {}


class Mount(Part):
    """Where a volume is seen."""

    name: Name
    mount_path: str
    read_only: bool = False
    sub_path: str = ""
    mount_propagation: Literal["None", "HostToContainer", "Bidirectional"] | None = None


class Container(Part):
    """One container."""

    name: Name
    image: str = ""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    command: list[str] = []
    args: list[str] = []
    working_dir: str | None = None
    ports: list[ContainerPort] = []
    env: list[Variable] = []
    env_from: list[VariablesFrom] = []
    resources: Resources = Resources()
    volume_mounts: list[Mount] = []
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    security_context: ContainerContext = ContainerContext()
    restart_policy: Literal["Always"] | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    termination_message_path: str | None = None
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] | None = None
    target_container_name: Name | None = None
    """Of an ephemeral container only."""


class Spread(Part):
    """How pods are spread over a cluster."""

    max_skew: Annotated[int, Field(ge=1)]
    topology_key: Key
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: dict[Literal["matchLabels"], Labels]


class Toleration(Part):
    """Of a node's taint."""

    key: Key | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: Value | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


Volume = dict[str, JsonValue]
"""A name and one member more, which is its type; what that says is not looked at but by its rule."""


class PodSpec(Part):
    """What runs together on a node."""

    containers: Annotated[list[Container], Field(min_length=1)]
    init_containers: list[Container] = []
    ephemeral_containers: list[Container] = []
    volumes: list[Volume] = []
    security_context: PodContext = PodContext()
    service_account_name: Name | None = None
    automount_service_account_token: bool | None = None
    host_network: bool = False
    host_pid: bool = Field(default=False, alias="hostPID")
    host_ipc: bool = Field(default=False, alias="hostIPC")
    host_users: bool | None = None
    share_process_namespace: bool = False
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None
    enable_service_links: bool | None = None
    dns_policy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default"] | None = None
    node_selector: Labels = {}
    node_name: str | None = None
    tolerations: list[Toleration] = []
    topology_spread_constraints: list[Spread] = []
    priority_class_name: Name | None = None
    image_pull_secrets: list[dict[Literal["name"], Name]] = []

    @property
    def every(self) -> list[tuple[str, Container]]:
        """All containers of all three lists, each with where it stands."""
        lists: dict[str, Any] = {
            "containers": self.containers,
            "initContainers": self.init_containers,
            "ephemeralContainers": self.ephemeral_containers,
        }
        return [(f"{where}[{each.name}]", each) for where, held in lists.items() for each in held]


class Template(Part):
    """What a workload makes its pods of."""

    metadata: PodMetadata = PodMetadata()
    spec: PodSpec
