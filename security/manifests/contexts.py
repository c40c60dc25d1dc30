"""Rights of pods and containers (securityContext)."""

from typing import Annotated, Literal

from pydantic import Field

from security.manifests.part import Part


class Capabilities(Part):
    """Of Linux, by name without `CAP_`."""

    add: list[str] = []
    drop: list[str] = []


class SeLinux(Part):
    """Options of SELinux."""

    type: str = ""
    user: str = ""
    role: str = ""
    level: str = ""


class Profile(Part):
    """Of seccomp or AppArmor."""

    type: str
    localhost_profile: str | None = None


class Windows(Part):
    """What only Windows has."""

    host_process: bool = False
    run_as_user_name: str = ""
    gmsa_credential_spec: str = ""
    gmsa_credential_spec_name: str = ""


class Sysctl(Part):
    """A setting of the kernel."""

    name: str
    value: str


class Context(Part):
    """What a pod and its containers may both say of their rights; a container's word counts before the pod's."""

    run_as_user: Annotated[int, Field(ge=0)] | None = None
    run_as_group: Annotated[int, Field(ge=0)] | None = None
    run_as_non_root: bool | None = None
    se_linux_options: SeLinux | None = None
    seccomp_profile: Profile | None = None
    app_armor_profile: Profile | None = None
    windows_options: Windows | None = None


class ContainerContext(Context):
    """A container's rights."""

    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    capabilities: Capabilities | None = None
    proc_mount: str | None = None


class PodContext(Context):
    """A pod's rights."""

    fs_group: Annotated[int, Field(ge=0)] | None = None
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    supplemental_groups: list[int] = []
    supplemental_groups_policy: Literal["Merge", "Strict"] | None = None
    sysctls: list[Sysctl] = []
