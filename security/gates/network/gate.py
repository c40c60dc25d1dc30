"""The gate `network_policy_enforcement`: looks at manifests and at what a probe saw, judges the facts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.network.decoys import VIOLATIONS
from security.gates.network.equal import equal
from security.gates.network.facts import Facts, Limits, Probe, found
from security.gates.network.form import form
from security.gates.network.rules import RULES
from security.manifests import Item
from security.material import Handed
from security.verdict import Basis, Breach, Frozen, Rule

FAILED = frozenset({"refused", "timeout", "unreachable"})
"""What comes of a connection that is not let through."""


class NetworkPolicyEnforcement(Gate[Item]):
    """What can be reached by the network is what the policy declares, and a probe has seen that it is."""

    name: ClassVar[str] = "network_policy_enforcement"
    kind: ClassVar[str] = "manifests"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({"probe"})

    def look(self, material: Handed[Item]) -> Facts:
        """The objects; `CannotTell` for what cannot be read, is not known, or is there twice."""
        return found(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Form, then reachability, then what a probe saw; last, that none was sent, or that it proves nothing."""
        yield from form(facts.cluster)
        yield from equal(facts.cluster, limits)
        if limits.placed:
            yield from _probed(facts.probes)

    def active(self, limits: Limits) -> Sequence[str]:
        """All; where none can be, or need be, what a probe would have shown is no rule: left open in a cluster."""
        return [rule for rule in self.rules if rule != "NP-16" or (limits.placed and limits.probe == "required")]

    def floor(self, rule: str, limits: Limits) -> Basis:
        """What lies in a cluster must have been seen there."""
        return Basis.OBSERVED if limits.placed else Basis.RENDERED

    def brief(self, facts: Facts) -> str:
        """How many policies over how many workloads, and connections tried."""
        told = f"{len(facts.cluster.policies):,} policies over {len(facts.cluster.endpoints):,} workloads"
        return f"{told}, {len(facts.probes):,} connections tried"


def _probed(probes: tuple[Probe, ...]) -> Iterator[Breach]:
    for each in probes:
        if each.expected == "denied" and each.outcome == "connected":
            message = "it was connected; allowed: a connection that does not come about"
            yield Breach(rule="NP-16", place=each.name, message=message)
        elif each.expected == "allowed" and each.outcome in FAILED:
            message = f"found {each.outcome}; allowed: a connection"
            yield Breach(rule="NP-16", place=each.name, message=message)
    lacking = {"allowed", "denied"} - {each.expected for each in probes}
    if not probes:
        raise CannotTell("no probe was sent: whether the network enforces its policies nobody has seen", "probe")
    if lacking:
        raise CannotTell(f"no connection was tried that is {lacking.pop()}: the other proves nothing", "control")
    if lost := [each.name for each in probes if each.outcome == "unresolved"]:
        raise CannotTell(f"{lost[0]}: its name was not known: whether it is let through is not seen", "control")
