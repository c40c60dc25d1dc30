"""A gate looks, then judges.

`observe` opens the material, counts what is handed out, and sends in two canaries by the same route, in random order:
an engine that is honest only once, first, last, by type or by name lets one of them through. `judge` makes the verdict
from the stored observation alone, so that anyone can make it again, later.
"""

import hashlib
import inspect
import itertools
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic

from pydantic import ValidationError

from security.conclude import conclude, finding
from security.errors import CannotTell
from security.material import Handed, M, Material
from security.verdict import (
    Basis,
    Breach,
    Canary,
    Coverage,
    Engine,
    Finding,
    Frozen,
    Observation,
    Rule,
    Subject,
    Trouble,
    Verdict,
)

Violation = Callable[[Sequence[M], random.Random], Sequence[M]]

CANARIES = 2
CAUSES = frozenset({"unreadable", "crash", "timeout", "facts", "limits", "canary", "basis", "coverage"})
"""Why any gate may be unable to tell. A policy can observe none of these: only causes that a gate declares itself."""


class Gate(ABC, Generic[M]):
    """One check. Subclasses state everything below; none of them ever says "pass"."""

    name: ClassVar[str]
    kind: ClassVar[str]
    """The kind of subject that it opens: `rows`, `bucket`, `model`, `scores`, `endpoint`."""
    limits: ClassVar[type[Frozen]]
    """What a policy may set."""
    facts: ClassVar[type[Frozen]]
    """What judging needs. An observation that lacks a fact cannot be judged: inconclusive."""
    rules: ClassVar[Mapping[str, Rule]]
    """Everything that it can find wrong, by id."""
    violations: ClassVar[Mapping[str, Violation[Any]]]
    """For each rule, a maker of known-bad material: a sample in, the sample with that one rule violated out."""
    causes: ClassVar[frozenset[str]] = frozenset()
    """What its judge may leave open. Only these may be observed by a policy: a look that ends before its end has looked
    at nothing, whatever it says why."""
    version: ClassVar[str] = "1"
    seconds: ClassVar[float] = 900.0
    """How long a look may take before it is given up."""

    @abstractmethod
    def look(self, material: Handed[M]) -> Frozen:
        """The facts. Reads the material, once, and nothing else."""

    @abstractmethod
    def judge(self, facts: Any, limits: Any) -> Iterable[Breach]:
        """What is wrong with the facts. Pure: no clock, no file, no network.

        Facts may say that something has no answer: after all breaches, `CannotTell` with a cause says so.
        """

    def active(self, limits: Any) -> Sequence[str]:
        """The rules that can be broken under these limits; canaries are drawn from them. All, unless overridden."""
        return tuple(self.rules)

    def floor(self, rule: str, limits: Any) -> Basis:
        """The lowest basis that a rule accepts under these limits, where no policy says another: the rule's own,
        unless overridden."""
        return self.rules[rule].basis

    def brief(self, facts: Any) -> str:
        """A few words about the facts for the line that people read."""
        return ""

    def images(self, facts: Any) -> Iterable[tuple[str, str]]:
        """The images that the facts are about, as references or digests (empty: there is none), each with the place
        that runs it, empty for what is about the release as such. Only a gate that looks at some overrides this: what
        a stage is told of its release must be the same one (`security.proof`)."""
        return ()


@cache
def _source(module: str) -> str:
    """SHA-256 over the source of a gate: its module, or every module of the folder that is its own."""
    file = Path(inspect.getfile(__import__(module, fromlist=["_"])))
    own = [file] if module.count(".") < 3 else sorted(file.parent.glob("*.py"))
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in own)).hexdigest()


def engine(gate: Gate[Any]) -> Engine:
    """The engine of a gate: its module's code."""
    kind = type(gate)
    return Engine(name=f"{kind.__module__}.{kind.__qualname__}", version=gate.version, sha256=_source(kind.__module__))


def _looked(gate: Gate[M], material: Handed[M]) -> dict[str, Any]:
    facts = gate.look(material)
    if not isinstance(facts, gate.facts):
        raise TypeError(f"facts of type {type(facts).__name__}")
    return gate.facts.model_validate(facts.model_dump()).model_dump(mode="json")


def _within(seconds: float, work: Callable[[], None]) -> bool:
    """Run `work` in a thread of its own; whether it ended in time. What hangs is left behind and decides nothing."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def observe(
    gate: Gate[M], material: Material[M], limits: Mapping[str, Any], draw: random.Random | None = None
) -> Observation:
    """Look. Whatever happens inside the gate, the answer is an observation."""
    draw = draw or random.SystemRandom()
    canaries: list[Canary] = []
    facts: dict[str, Any] = {}
    trouble: list[Trouble] = []

    def work() -> None:
        try:
            sample = list(itertools.islice(material.source(), material.sample))
            if not sample:
                raise CannotTell(f"there is nothing to look at: no {material.unit}", "coverage")
            active = list(gate.active(gate.limits.model_validate(limits)))
            drawn = draw.sample(active, min(CANARIES, len(active)))
            drawn += drawn[: CANARIES - len(drawn)]
            routes: list[tuple[str, Material[M]]] = [("", material)]
            routes += [(rule, material.decoy(gate.violations[rule](sample, draw))) for rule in drawn]
            for rule, each in draw.sample(routes, len(routes)):
                handed, taken = each.handed()
                try:
                    seen = _looked(gate, handed)
                finally:
                    each.inspected = taken()
                if rule:
                    canaries.append(Canary(rule=rule, facts=seen))
                else:
                    facts.update(seen)
        except CannotTell as why:
            trouble.append(Trouble(cause=why.cause, message=str(why)))
        except BaseException as bug:  # noqa: BLE001 - a scanner that exits 0 must not end the process green
            trouble.append(Trouble(cause="crash", message=f"{type(bug).__name__} while looking"))

    if not _within(gate.seconds, work):
        trouble = [Trouble(cause="timeout", message=f"still looking after {gate.seconds:g} s")]
    coverage = Coverage(unit=material.unit, expected=material.expected, inspected=material.inspected)
    return Observation(
        gate=gate.name,
        subject=material.subject,
        coverage=coverage,
        facts=dict(facts),
        canaries=tuple(sorted(canaries, key=lambda canary: canary.rule)),
        basis=material.basis,
        engine=engine(gate),
        taken=round(time.time(), 3),
        trouble=trouble[0] if trouble else None,
    )


def judge(
    gate: Gate[Any],
    seen: Observation,
    limits: Mapping[str, Any],
    accepts: Mapping[str, Basis] | None = None,
    enforce: Collection[str] = (),
    without: Collection[str] = (),
) -> Verdict:
    """The verdict that an observation gets under these limits, its canaries included. Touches only its arguments.

    `accepts` lowers the basis that a rule accepts, rule id -> basis; `enforce` names advisory rules that stop here;
    `without` has the fingerprints of findings that were waived: the verdict is of what is left.
    """
    findings: tuple[Finding, ...] = ()
    advice: tuple[Finding, ...] = ()
    trouble, missed, weak, brief = seen.trouble, "", "", ""
    if trouble and {*trouble.cause.split("+")} & gate.causes:
        trouble = trouble.model_copy(update={"cause": "unreadable"})
    left: Trouble | None = None
    try:
        if seen.gate != gate.name:
            raise ValueError(f"an observation of {seen.gate}")
        terms = gate.limits.model_validate(limits)
        missed = uncaught(gate, seen, terms)
        if seen.facts or not trouble:
            facts = gate.facts.model_validate(seen.facts)
            told, left = _findings(gate, facts, terms)
            advice = tuple(each for each in told if gate.rules[each.rule].advisory and each.rule not in enforce)
            findings = tuple(each for each in told if each not in advice and each.fingerprint not in without)
            brief = gate.brief(facts)
        floors = {rule: (accepts or {}).get(rule, gate.floor(rule, terms)) for rule in gate.active(terms)}
        short = sorted(rule for rule, lowest in floors.items() if not seen.basis.reaches(lowest))
        if short:
            weak = f"{', '.join(short)} accept nothing lower than {floors[short[0]]}"
    except ValidationError as why:
        first = why.errors()[0]
        place = ".".join(map(str, first["loc"])) or "value"
        trouble = trouble or Trouble(cause="facts", message=f"{why.title}.{place}: {first['type']}")
    except (Exception, SystemExit) as bug:  # a judge that breaks, or exits, has judged nothing
        trouble = trouble or Trouble(cause="crash", message=f"{type(bug).__name__} while judging")
    found: dict[str, Any] = {"findings": findings, "advice": advice, "left": left}
    return conclude(seen, limits, **found, trouble=trouble, missed=missed, weak=weak, brief=brief)


def uncaught(gate: Gate[Any], seen: Observation, terms: Frozen) -> str:
    """The rule of the first canary that got through, or how many are missing; empty where all were caught."""
    missed = "" if len(seen.canaries) >= CANARIES else f"{len(seen.canaries)} of {CANARIES} were sent"
    for canary in seen.canaries:
        caught, _ = _findings(gate, gate.facts.model_validate(canary.facts), terms)
        if canary.rule not in {each.rule for each in caught}:
            missed = missed or canary.rule
    return missed


def _findings(gate: Gate[Any], facts: Frozen, terms: Frozen) -> tuple[tuple[Finding, ...], Trouble | None]:
    """What a judge finds, and what it says last that it cannot tell: what it found before that stands."""
    found: list[Finding] = []
    try:
        for each in gate.judge(facts, terms):
            found.append(finding(gate.name, Breach.model_validate(each), gate.rules))  # noqa: PERF401 - kept on a raise
    except CannotTell as why:
        return tuple(found), Trouble(cause=why.cause, message=str(why))
    return tuple(found), None


def unopened(gate: Gate[Any], subject: Subject, trouble: Trouble) -> Observation:
    """The observation of a subject that could not even be opened: nothing was seen, and this is why."""
    return Observation(
        gate=gate.name,
        subject=subject,
        coverage=Coverage(unit="items", expected=0, inspected=0),
        facts={},
        canaries=(),
        basis=Basis.OBSERVED,
        engine=engine(gate),
        taken=round(time.time(), 3),
        trouble=trouble,
    )
