"""How wide the blocks of addresses are that policies name, and what must be in none."""

from collections.abc import Iterator

from security.gates.network.facts import Limits
from security.network.addresses import minus, size, span, told
from security.network.model import Cluster, Direction
from security.network.reach import Pod, blocks, outside
from security.verdict import Breach

METADATA = (span("169.254.169.254/32"), span("fd00:ec2::254/128"))
"""Where clouds tell a machine its credentials."""
PRIVATE = tuple(
    span(each)
    for each in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
"""What is on no public network."""
DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")


def wide(cluster: Cluster, pod: Pod, place: str, limits: Limits) -> Iterator[Breach]:
    """Blocks of one workload, all together: two halves of a network are the whole of it."""
    for direction in DIRECTIONS:
        spans = blocks(cluster, pod, direction)
        for version, prefix, bits in ((4, limits.widest, 32), (6, limits.widest6, 128)):
            count, most = size(minus(spans, PRIVATE), version), 1 << (bits - prefix)
            whole = size(spans, version) == 1 << bits
            if count > most or whole:
                message = f"its blocks hold {count:,} public addresses; allowed: {most:,}, those of a /{prefix}"
                yield Breach(rule="NP-08", place=f"{place}, {direction.lower()} IPv{version}", message=message)
    for (kind, low, high), ports in outside(cluster, pod, "Egress"):
        for version, address, _ in METADATA:
            if kind == version and low <= address <= high:
                message = f"it may call {told((version, address, address))} by {ports}; allowed: never"
                yield Breach(rule="NP-09", place=f"{place}, IPv{version}", message=message)
