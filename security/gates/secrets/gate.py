"""The gate over a checkout, its history and everything else that its repository keeps."""

import random
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from security.engines import detect, past, tokens
from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.secrets import rules
from security.gates.secrets.decoys import SEALED, VIOLATIONS
from security.gates.secrets.facts import ABOUT, About, Facts, Item, Limits
from security.gates.secrets.sweep import Sweep
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_CONTROLS = ("NIST-800-53:IA-5(7)", "NIST-SSDF:PS.1", "OWASP-A07:2021", "CWE-798")
_ROTATE = "revoke it where it is good for something, then take it out"


class SecretsScanning(Gate[Item]):
    """Nothing that opens a door lies in the checkout, nor in anything that its repository keeps."""

    name: ClassVar[str] = "secrets_scanning"
    kind: ClassVar[str] = "checkout"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)
        for id, severity, title, remedy in (
            ("SEC-01", "critical", "a secret in the checkout", f"{_ROTATE} of the file, and hand it in from outside"),
            ("SEC-02", "critical", "a secret that the repository still keeps", f"{_ROTATE} of the history"),
            ("SEC-03", "critical", "a private key", f"{_ROTATE}; make another where it is used"),
            ("SEC-04", "high", "what tells scanners to look away from a secret", "take it away with the secret"),
            ("SEC-05", "high", "a folder that was left out", "look at it, or name it in the policy with a reason"),
            ("SEC-06", "high", "a repository that could tell another history", "take a fresh clone"),
            ("SEC-07", "high", "a file that nobody can look into", "unpack it, or allow its kind in the policy"),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({past.CAUSE})

    def look(self, material: Handed[Item]) -> Facts:
        """What both engines find in every line of every item."""
        about = list[About]()
        with detect.detecting() as detector:
            sweep = Sweep(detector, tokens.scan, random.SystemRandom())
            for item in material:
                if item.kind == ABOUT and item.value:
                    about.append(item.value)
                else:
                    sweep.take(item)
            if len(about) != 1:
                raise CannotTell("what is known of the repository is handed out once")
            return sweep.facts(about[0])

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches; then, that engines cannot be believed, or that a part of the history is not here."""
        for rule, place, message in rules.judged(facts, limits):
            yield Breach(rule=rule, place=place, message=message)
        if doubts := list(rules.doubts(facts)):
            raise CannotTell("; ".join(doubts), detect.CAUSE)
        if not facts.about.whole:
            raise CannotTell("a part of the history is not here: of what it keeps nobody can tell", past.CAUSE)

    def active(self, limits: Limits) -> tuple[str, ...]:
        """All, but files that nobody can look into where the policy allows every kind of them."""
        return tuple(rule for rule in self.rules if rule != "SEC-07" or not SEALED.issubset(limits.opaque))

    def brief(self, facts: Facts) -> str:
        """What was looked at and found none, and what was not obeyed."""
        said = [f"{len(facts.found)} allowed secrets" if facts.found else "no secret"]
        said.append(f"{sum(facts.excused.values()):,} placeholders")
        said.append(f"{sum(facts.markers.values()) + len(facts.settings):,} suppressions not obeyed")
        said += [f"{len(facts.about.besides)} folders left out"] if facts.about.besides else []
        said += [f"{each.count:,} × {each.kind} not looked into" for each in facts.sealed]
        return ", ".join(said)
