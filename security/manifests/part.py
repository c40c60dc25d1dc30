"""What all kinds of manifests have in common: names, labels, selectors, metadata. API: Kubernetes 1.34."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

_PART = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A label of DNS (RFC 1123): what namespaces and services are called, and here everything else."""
Key = Annotated[str, Field(max_length=317, pattern=rf"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?{_PART}$")]
Value = Annotated[str, Field(pattern=rf"^({_PART})?$")]
Labels = dict[Key, Value]
Port = Annotated[int, Field(ge=1, le=65_535)]
PortName = Annotated[str, Field(max_length=15, pattern=r"^[a-z0-9-]*[a-z][a-z0-9-]*$")]
Protocol = Literal["TCP", "UDP", "SCTP"]


class Part(BaseModel):
    """A part of a manifest: no unknown field, nothing coerced, fields in the API's own spelling."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, alias_generator=to_camel)


class Metadata(Part):
    """What an object is called. Without a namespace it is `default`'s, where its kind has one."""

    name: Name
    namespace: Name | None = None
    labels: Labels = {}
    annotations: dict[Key, str] = {}


class PodMetadata(Part):
    """Of a template, which has no name."""

    labels: Labels = {}
    annotations: dict[Key, str] = {}


class Requirement(Part):
    """One expression of a selector."""

    key: Key
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[Value] = []

    @model_validator(mode="after")
    def _agree(self) -> "Requirement":
        if bool(self.values) != (self.operator in ("In", "NotIn")):
            raise ValueError("In and NotIn have values, the others have none")
        return self


class Selector(Part):
    """All of it must hold. Empty, it selects everything."""

    match_labels: Labels = {}
    match_expressions: list[Requirement] = []

    @property
    def empty(self) -> bool:
        """Whether it says nothing."""
        return not self.match_labels and not self.match_expressions


def absent(told: Any) -> Any:
    """Null is what is not given, as the API server reads it."""
    if isinstance(told, dict):
        return {key: absent(each) for key, each in told.items() if each is not None}
    return [absent(each) for each in told] if isinstance(told, list) else told
