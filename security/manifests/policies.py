"""NetworkPolicy (networking.k8s.io/v1): what its author wrote, before it means anything."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from security.manifests.part import Part, Port, PortName, Protocol, Selector


class Block(Part):
    """Addresses but for others, which must lie within."""

    cidr: str
    excluded: list[str] = Field(default=[], alias="except")

    @field_validator("cidr")
    @classmethod
    def _network(cls, told: str) -> str:
        return str(ip_network(told))  # a host's bits are an error: which was meant is unknown

    @model_validator(mode="after")
    def _within(self) -> "Block":
        whole = ip_network(self.cidr)
        for each in map(ip_network, self.excluded):
            if each.version != whole.version or each == whole or not each.subnet_of(whole):  # type: ignore[arg-type]
                raise ValueError("except lies within the block, and is not the whole of it")
        return self


class Peer(Part):
    """Pods, or addresses. Both selectors together mean both; two items of a list mean either."""

    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: Block | None = None

    @model_validator(mode="after")
    def _one(self) -> "Peer":
        pods = self.pod_selector is not None or self.namespace_selector is not None
        if pods == (self.ip_block is not None):
            raise ValueError("a peer selects pods or addresses, one of the two")
        return self


class PolicyPort(Part):
    """Ports of one protocol; without a number or name, all of them."""

    protocol: Protocol = "TCP"
    port: Port | PortName | None = None
    end_port: Port | None = None

    @model_validator(mode="after")
    def _range(self) -> "PolicyPort":
        if self.end_port is not None and not (isinstance(self.port, int) and self.port <= self.end_port):
            raise ValueError("endPort needs a number that is not greater")
        return self


class Ingress(Part):
    """Who may come in, by which ports."""

    peers: list[Peer] | None = Field(default=None, alias="from")
    ports: list[PolicyPort] | None = None


class Egress(Part):
    """Where pods may go, by which ports."""

    peers: list[Peer] | None = Field(default=None, alias="to")
    ports: list[PolicyPort] | None = None


Direction = Literal["Ingress", "Egress"]


class PolicySpec(Part):
    """What is selected, and what it may do; `policyTypes` says of which directions."""

    pod_selector: Selector
    policy_types: Annotated[list[Direction], Field(min_length=1)] | None = None
    ingress: list[Ingress] | None = None
    egress: list[Egress] | None = None
