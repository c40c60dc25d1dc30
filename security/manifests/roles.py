"""What may be done at the API server, and by whom (rbac.authorization.k8s.io/v1)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from security.manifests.object import Object
from security.manifests.part import Name, Part


class PolicyRule(Part):
    """What a role lets do with what."""

    api_groups: list[str] = []
    resources: list[str] = []
    verbs: Annotated[list[str], Field(min_length=1)]
    resource_names: list[str] = []
    non_resource_urls: list[str] = Field(default=[], alias="nonResourceURLs")


class Role(Object):
    """What may be done in a namespace."""

    api_version: Literal["rbac.authorization.k8s.io/v1"]
    kind: Literal["Role", "ClusterRole"]
    rules: list[PolicyRule]


class ClusterRole(Role):
    """What may be done anywhere."""

    namespaced: ClassVar[bool] = False


class Grantee(Part):
    """To whom a role is given."""

    kind: Literal["ServiceAccount", "User", "Group"]
    name: str
    namespace: Name | None = None
    api_group: str = ""


class RoleRef(Part):
    """Which role is given."""

    kind: Literal["Role", "ClusterRole"]
    name: str
    api_group: Literal["rbac.authorization.k8s.io"]


class RoleBinding(Object):
    """A role that somebody has."""

    api_version: Literal["rbac.authorization.k8s.io/v1"]
    kind: Literal["RoleBinding"]
    role_ref: RoleRef
    subjects: list[Grantee] = []
