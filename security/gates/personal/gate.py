"""Personal data: nothing that says who somebody is stays in the rows, but where the policy says what becomes of it.

A look counts findings by column, entity, form and shape, without knowing what a policy makes of them. The judge takes
those away that a column's declared role explains (an id of sixteen digits passes a card's check once in ten times), and
blocks what is left unless the policy names the column. Before rows are handled that is what it cannot handle; after it,
whatever is still there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.personal.decoys import VIOLATIONS
from security.gates.personal.facts import Facts, Hit
from security.gates.personal.limits import PersonalLimits
from security.gates.personal.sweep import Sweep
from security.material import Handed
from security.personal.found import UNSEEN
from security.rows.scan import scan
from security.verdict import Breach, Frozen, Rule

_CONTROLS = ("NIST-800-53:SI-19", "NIST-PF:CT.DP-P2", "GDPR:Art.5(1)(c)")


def _rule(rule: str, severity: Literal["high", "critical"], title: str, remedy: str) -> Rule:
    return Rule(id=rule, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)


_SOURCE = (
    "Take it out at the source, or let the policy say what becomes of it in this column: mask, hash or drop. A column "
    "with a number has a name that neither contract nor policy knows: it is in the rows that are named."
)
RULES = {
    rule.id: rule
    for rule in (
        _rule("PII-FOUND", "high", "Personal data where the policy blocks it", _SOURCE),
        _rule("PII-NAMED", "high", "A person, a place or a group that the policy's model of a language knows", _SOURCE),
        _rule("PII-DISGUISED", "critical", "Personal data in characters that only look like others", _SOURCE),
        _rule("PII-SPLIT", "critical", "Personal data cut in two, over two columns", "Take it out at the source."),
    )
}
_OF: dict[str, str] = {"plain": "PII-FOUND", "disguised": "PII-DISGUISED", "split": "PII-SPLIT"}


class PiiDetection(Gate[pa.RecordBatch]):
    """Rows hold no personal data but what the policy lets be."""

    name = "PII_detection"
    kind = "rows"
    limits: ClassVar[type[Frozen]] = PersonalLimits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes = frozenset({"bytes"})
    seconds = 3600.0

    def active(self, limits: PersonalLimits) -> Sequence[str]:
        """Without names where there is no model that knows any."""
        return tuple(rule for rule in RULES if limits.model or rule != "PII-NAMED")

    def look(self, material: Handed[pa.RecordBatch]) -> Facts:
        """What is found, by column."""
        facts: Facts = scan(material, {self.name: Sweep})[self.name].facts()
        return facts

    def judge(self, facts: Facts, limits: PersonalLimits) -> Iterable[Breach]:
        """One finding for each column and entity, with how often and where first."""
        kept = frozenset(each.name for each in facts.columns if each.declared or limits.handled)
        cells = {each.name: each.cells for each in facts.columns}
        for hit in facts.hits:
            if limits.counts(hit, facts) and limits.blocks(hit, kept):
                whole = min(cells[name] for name in facts.parts(hit))
                message = f"{hit.entity} in {hit.cells:,} of {whole:,} cells, score {hit.score:g}"
                told = ", ".join(f"{facts.files[file]} row {row}" for file, row in hit.first)
                message += f"; first: {told}; allowed: {_allowed(limits, hit)}"
                named = hit.form == "plain" and hit.entity in UNSEEN
                yield Breach(rule="PII-NAMED" if named else _OF[hit.form], place=hit.column, message=message)
        wanted = limits.model.sha256 if limits.model else ""
        if facts.model != wanted:
            used = f"model {facts.model[:12]} was looked with" if facts.model else "no model was looked with"
            raise CannotTell(f"{used}; allowed: {wanted[:12] or 'none'}, as the policy says", "model")
        for column in facts.columns:
            if column.opaque and "block" in limits.whole(column.name):
                found = f"{column.opaque:,} of {column.cells:,} cells of {column.name} are bytes of no known encoding"
                raise CannotTell(f"{found}; only what they hold as ASCII was looked at", "bytes")

    def brief(self, facts: Facts) -> str:
        """How many columns were looked through for what, and what was not looked for."""
        found = Counter[str]()
        for hit in facts.hits:
            found[hit.entity] += hit.cells
        told = ", ".join(f"{count:,} {entity}" for entity, count in found.most_common(4)) or "nothing found"
        return f"{len(facts.columns)} columns: {told}; not looked for: {', '.join(facts.unseen) or 'nothing'}"


def _allowed(limits: PersonalLimits, hit: Hit) -> str:
    if limits.handled:
        return "nothing that was to be masked, hashed or dropped, which is done"
    if hit.form == "split":
        return "nothing over two columns"
    named = sorted(entity for entity, action in limits.actions.get(hit.column, {}).items() if action != "block")
    return f"in this column {', '.join(named)}" if named else "nothing in this column"
