"""The gate `workload_hardening`: looks at manifests, judges the facts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from security.gate import Gate, Violation
from security.gates.workload.beyond import beyond, unbuilt
from security.gates.workload.decoys import VIOLATIONS
from security.gates.workload.facts import Facts, Limits
from security.gates.workload.look import found
from security.gates.workload.rules import RULES
from security.gates.workload.standard import standard
from security.manifests import Item
from security.material import Handed
from security.verdict import Basis, Breach, Frozen, Rule


class WorkloadHardening(Gate[Item]):
    """Whatever is to run has no rights that it does not need, and no way to gain any."""

    name: ClassVar[str] = "workload_hardening"
    kind: ClassVar[str] = "manifests"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({"image"})

    def look(self, material: Handed[Item]) -> Facts:
        """The objects; `CannotTell` for what is no YAML, is there twice, or where nothing runs."""
        return found(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """The standard, then what it leaves open; last, that no image is named."""
        for pods in facts.pods:
            yield from standard(pods, limits)
        yield from beyond(facts, limits)
        unbuilt(facts)

    def floor(self, rule: str, limits: Limits) -> Basis:
        """What lies in a cluster must have been seen there."""
        return Basis.OBSERVED if limits.placed else Basis.RENDERED

    def images(self, facts: Facts) -> Iterable[tuple[str, str]]:
        """What each container runs: beside those that were rendered, in a cluster, those of other releases."""
        return ((f"{pods.place} {box.place}", box.image) for pods in facts.pods for box in pods.boxes)

    def brief(self, facts: Facts) -> str:
        """How many containers of how many workloads."""
        boxes = sum(len(pods.boxes) for pods in facts.pods)
        return f"{boxes:,} containers of {len(facts.pods):,} workloads"
