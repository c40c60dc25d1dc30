"""The gate over what a model is bound to, and where its version stands."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from security.gate import Gate, Violation
from security.gates.versions.decoys import VIOLATIONS
from security.gates.versions.facts import CARD, Chain, Facts, Item, Limits, Said
from security.gates.versions.look import found
from security.gates.versions.rules import RULES
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

DAY = 86_400.0
LATE = 60.0
"""Seconds by which clocks may differ."""


class ModelVersioning(Gate[Item]):
    """The model is bound to the run that made it, and its version goes forward and stands."""

    name: ClassVar[str] = "model_versioning"
    kind: ClassVar[str] = "model"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    def look(self, material: Handed[Item]) -> Facts:
        """The card, the chains as far as they hold, and the declared card."""
        return found(material)

    def active(self, limits: Limits) -> Sequence[str]:
        """All, but for what only the run that trained the model can be held to."""
        return tuple(rule for rule in self.rules if limits.own or limits.at == "fit" or rule != "VER-03")

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches. Of a chain that does not hold nothing is believed, so it hides what would follow from it."""
        if facts.keys.get("producer") != (limits.signer,):
            there = ", ".join(id[:12] for id in facts.keys.get("producer", ())) or "nobody's"
            message = f"the producer's keys are {there}; allowed: {limits.signer[:12]}, the plan's signer"
            yield Breach(rule="VER-12", place="keys:producer", message=message)
        if facts.card is None:
            yield Breach(rule="VER-01", place=CARD, message=f"{facts.problem or 'none'}; allowed: a whole card")
        else:
            yield from _bound(facts.card, facts, limits)
            yield from _times(facts.card, facts.at, limits.days)
        if facts.told.name != limits.name:
            message = f"the chain of {facts.told.name}; allowed: that of {limits.name}"
            yield Breach(rule="VER-06", place="chain", message=message)
        elif facts.chain is None:
            message = f"{facts.broken or 'nothing was read'}; allowed: a chain that holds from its first entry"
            yield Breach(rule="VER-06", place="chain", message=message)
        else:
            yield from _stands(facts.chain, facts, limits)
        if facts.declared != limits.card or facts.lacks or not facts.sha256:
            why = facts.lacks or f"it is {facts.declared}"
            message = f"{why}; allowed: the card {limits.card}, with all that a card must say"
            yield Breach(rule="VER-11", place=f"card:{limits.card}", message=message)

    def brief(self, facts: Facts) -> str:
        """The version, and how many entries there are."""
        version = facts.card.version if facts.card else "none"
        return f"version {version}, {facts.entries:,} entries"


def _bound(card: Said, facts: Facts, limits: Limits) -> Iterator[Breach]:
    if card.name != limits.name:
        message = f"found {card.name}; allowed: {limits.name}"
        yield Breach(rule="VER-02", place=f"{CARD}:name", message=message)
    if limits.own or limits.at == "fit":
        wanted = {"run": limits.run, "code": limits.code, "lock": limits.lock, "plan": facts.told.plan}
        for name, allowed in wanted.items():
            if (there := getattr(card, name)) != allowed:
                message = f"found {_short(there)}; allowed: {_short(allowed)}, as the sealed plan has it"
                yield Breach(rule="VER-03", place=f"{CARD}:{name}", message=message)
    if card.data != facts.told.data:
        message = f"found {card.data[:12]}; allowed: {facts.told.data[:12]}, the features that were taken in"
        yield Breach(rule="VER-04", place=f"{CARD}:data", message=message)


def _times(card: Said, at: float, days: float) -> Iterator[Breach]:
    created, expires = f"{CARD}:created", f"{CARD}:expires"
    if card.created > at + LATE:
        message = f"made {card.created - at:,.0f} s after it was looked at; allowed: {LATE:.0f} s"
        yield Breach(rule="VER-10", place=created, message=message)
    if not card.created < card.expires:
        yield Breach(rule="VER-10", place=expires, message="expires before it was made; allowed: after it")
    if card.expires <= at:
        message = f"expired {at - card.expires:,.0f} s before it was looked at; allowed: after it"
        yield Breach(rule="VER-10", place=expires, message=message)
    if (life := card.expires - card.created) > days * DAY + LATE:
        message = f"may be used for {life / DAY:,.1f} days; allowed: {days:g}"
        yield Breach(rule="VER-10", place=expires, message=message)


def _stands(chain: Chain, facts: Facts, limits: Limits) -> Iterator[Breach]:
    if facts.card:
        version, fit = facts.card.version, limits.at == "fit"
        floor = max(1, chain.newest + 1 if fit else chain.production)
        if version < floor:
            why = f"{chain.newest} was entered" if fit else f"production was moved to {chain.production}"
            why = why if floor > 1 else "versions begin at 1"
            message = f"found version {version}; allowed: {floor} or more, for {why}"
            yield Breach(rule="VER-05", place=f"{CARD}:version", message=message)
        if (entered := chain.entered) is not None:
            place = f"chain:{version}"
            if entered.wrong:
                message = f"version {version} {entered.wrong}; allowed: one that stands"
                yield Breach(rule="VER-07", place=place, message=message)
            if entered.release != facts.release:
                message = f"these files are {facts.release[:12]}; allowed: {entered.release[:12]}, as it was entered"
                yield Breach(rule="VER-08", place=place, message=message)
    for sha, reason in chain.revoked.items():
        message = f"{sha[:12]} is revoked: {reason}; allowed: what is not"
        yield Breach(rule="VER-09", place=f"revoked:{sha}", message=message)


def _short(value: str) -> str:
    return value[:12] if len(value) == 64 else value
