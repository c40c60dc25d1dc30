"""The gate `deployment_authorization`: looks at the answers, judges the facts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from security.access import NEEDED
from security.engines.reviews import QUESTIONS
from security.errors import CannotTell
from security.gate import Violation
from security.gates.deployer import judge
from security.gates.deployer.decoys import VIOLATIONS
from security.gates.deployer.facts import Facts, Limits
from security.gates.deployer.look import found
from security.gates.deployer.rules import RULES
from security.material import Handed
from security.posture import Answer, Posture, answered
from security.verdict import Breach, Frozen, Rule


class DeploymentAuthorization(Posture):
    """Whoever deploys is whom the policy names, goes where it says, and can do what it needs and nothing more."""

    name: ClassVar[str] = "deployment_authorization"
    kind: ClassVar[str] = "cluster"
    questions: ClassVar[tuple[str, ...]] = QUESTIONS
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({"incomplete", "process"})

    def look(self, material: Handed[Answer]) -> Facts:
        """The facts; `CannotTell` where an answer is missing, given twice, unknown, or of another form."""
        return found(answered(material))

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Target, identity, images, rights, and whether the answers agree; last, what they leave open."""
        seen = facts.cluster
        if seen is None:
            raise CannotTell(
                "the target is a process of this machine: no cluster was asked who deploys there, or what that may do",
                "process",
            )
        yield from judge.target(seen, limits)
        yield from judge.who(seen.user, seen.groups, limits)
        yield from judge.images(facts.images, limits)
        yield from judge.rights(seen)
        yield from judge.agree(seen)
        judge.left(seen, limits)

    def images(self, facts: Facts) -> Iterable[tuple[str, str]]:
        """What is to run."""
        return (("", image) for image in facts.images.values())

    def brief(self, facts: Facts) -> str:
        """How many rights there are, where rules were asked for, and how many images."""
        if facts.cluster is None:
            return ""
        spaces = len(facts.cluster.rules)
        return f"{len(NEEDED)} rights and no other by the rules in {spaces} namespaces, {len(facts.images):,} images"
