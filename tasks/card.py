"""The card of a model, for people: Markdown in the evidence of the run that evaluated it.

What people declare of the model is the declared card's; each number is that of an observation in the run's log, which
`verify` has judged again. What no gate has looked at is said to be so. Model cards: Mitchell et al. 2019, FAT*.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from configs.card import Card
from security.gates.metrics.names import AVERAGED
from security.models.chain import Version
from security.proof import Proof
from security.words import day
from tasks.page import SYSTEMS
from tasks.report import safe

FILE = "card.md"
WHAT = {
    "shuffled": "control: the model of shuffled interactions",
    "ceiling": "the generator's own ceiling",
    "approved": "the approved model, on the users of whose held-out items it learned none",
    "knn": "item-kNN",
}


def write(folder: Path, proof: Proof, card: Card, of: Version) -> Path:
    """Write the card of a version into a folder; where it is."""
    path = folder / FILE
    path.write_text("\n".join(_lines(proof, card, of.name, of.version)) + "\n", encoding="utf-8")
    return path


def _lines(proof: Proof, card: Card, name: str, version: int) -> Iterator[str]:
    plan = proof.plan
    yield from (f"# {safe(name)} {version}", "", safe(card.description), "")
    yield from ("## Made", "", "Basis: observed; `sluice verify` makes each verdict of the log again.", "")
    yield from ("| | |", "|---|---|")
    made = {
        "run": plan.run,
        "began": day(plan.started),
        "partition": plan.partition,
        "features": proof.available["features"].sha256,
        "model": proof.available["train"].sha256,
        "code": plan.source or plan.code,
        "plan": plan.sha256,
        "head of the log": proof.head,
        "target": plan.target,
    }
    yield from (f"| {what} | {safe(value)} |" for what, value in made.items() if value)
    seen = {held.verdict.gate: held.seen.facts for held in proof.held if held.stage == "evaluate"}
    yield from _metrics(seen.get("metric_thresholds"), plan.document["stages"][3]["thresholds"])
    yield from _groups(seen.get("fairness_metrics"))
    yield from _exposure(seen.get("bias_detection"))
    yield from ("", "## Verdicts", "", "| stage | gate | outcome | basis |", "|---|---|---|---|")
    for held in proof.held:
        said = held.verdict
        yield f"| {held.stage} | {safe(said.gate)} | {said.outcome} | {safe(held.seen.basis)} |"
    yield from _declared(card)


def _between(found: dict[str, Any], form: str = ".3f") -> str:
    ends = f"{found['low']:{form}}", f"{found['high']:{form}}"
    return f"{found['value']:{form}}" + (f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else "")


def _metrics(facts: dict[str, Any] | None, thresholds: dict[str, float]) -> Iterator[str]:
    yield from ("", "## Metrics", "")
    if facts is None:
        yield "No gate has looked."
        return
    yield f"{facts['users']:,} users, {facts['items']:,} items: the whole catalogue ranked, seen items left out, each"
    yield f"user's last ones held out. In brackets: {facts['interval']}. Basis: observed."
    systems = {name: facts["systems"][name]["metrics"] for name in SYSTEMS if name in facts["systems"]}
    if facts["approved"]:
        systems["approved"] = facts["approved"]["scores"]["metrics"]
    names = [name for name in systems["model"] if name.split("@")[0] in AVERAGED]
    others = [name for name in systems["model"] if name not in names]
    for some in (names, others):
        yield from ("", "| system | " + " | ".join(some) + " |", "|---|" + "---|" * len(some))
        for system in SYSTEMS:
            if system in systems:
                cells = [_between(systems[system][each]) if each in systems[system] else "" for each in some]
                yield f"| {WHAT.get(system, system)} | " + " | ".join(cells) + " |"
    asked = ", ".join(f"{metric} {lowest:g}" for metric, lowest in sorted(thresholds.items()))
    yield from ("", f"Thresholds, met by the lower end: {asked}.")


def _groups(facts: dict[str, Any] | None) -> Iterator[str]:
    yield from ("", "## Groups of users", "")
    if facts is None:
        yield "No gate has looked."
        return
    names = list(facts["whole"]["metrics"])
    yield f"Means at {facts['k']}; users in tens. Of groups of fewer than {facts['floor']} users nothing is told."
    yield from ("", "| group | users | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names))
    for group in (facts["whole"], *facts["groups"]):
        who = "all" if group is facts["whole"] else f"{group['grouping']}: {group['name']}"
        means = [f"{group['metrics'][each]['mean']:.3f}" for each in names]
        yield f"| {safe(who)} | {group['users']:,} | " + " | ".join(means) + " |"
    for name, seen in facts["groupings"].items():
        gone = f"; suppressed: {', '.join(map(safe, seen['suppressed']))}" if seen["suppressed"] else ""
        told = facts["proxy"].get(name, {}).get("auc")
        tells = f"; embeddings tell it with an AUC of {told:.2f}" if told is not None else ""
        yield from ("", f"{safe(name)}: {seen['kind']}{gone}{tells}.")


def _exposure(facts: dict[str, Any] | None) -> Iterator[str]:
    yield from ("", "## Exposure of items", "")
    if facts is None:
        yield "No gate has looked."
        return
    yield from ("| | model | popularity | random |", "|---|---|---|---|")
    rows = {"Gini of exposure": "gini", "popularity lift": "lift", "share of the long tail": "tail"}
    for what, key in rows.items():
        beside = [facts["beside"].get(name, {}).get(key) for name in ("popularity", "random")]
        own = _between(facts[key]) if facts[key] else "cannot be told"
        yield f"| {what} | {own} | " + " | ".join("" if each is None else f"{each:.3f}" for each in beside) + " |"
    for name, grouped in facts["groupings"].items():
        yield from ("", f"By {safe(name)} ({grouped['kind']}): exposure in those of the share of the catalogue, and of")
        yield from ("what users went on to take.", "")
        yield from ("| group | items | by catalogue | by relevance |", "|---|---|---|---|")
        for group in grouped["groups"]:
            wanted = _between(group["by_relevance"]) if group["by_relevance"] else "cannot be told"
            yield f"| {safe(group['name'])} | {group['items']:,} | {_between(group['by_catalogue'])} | {wanted} |"
        if grouped["calibration"]:
            yield from ("", f"From users' own mix of these (Steck 2018): {_between(grouped['calibration'])} nats.")


def _declared(card: Card) -> Iterator[str]:
    about = card.considerations
    yield from ("", "## Declared", "", "Basis: declared by the model's owner.")
    for title, words in (
        ("For", about.users),
        ("Uses", about.useCases),
        ("Limitations", about.technicalLimitations),
        ("Trade-offs", about.performanceTradeoffs),
        ("Environment", about.environmentalConsiderations),
    ):
        yield from ("", f"**{title}**", "", *(f"- {safe(each)}" for each in words))
    yield from ("", "**Risks**", "")
    yield from (f"- {safe(each.name)} {safe(each.mitigationStrategy)}" for each in about.ethicalConsiderations)
    yield from ("", "**Who may be at a disadvantage**", "")
    for each in about.fairnessAssessments:
        yield f"- {safe(each.groupAtRisk)}: {safe(each.harms)} {safe(each.mitigationStrategy)}"
