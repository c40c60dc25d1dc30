"""`sluice baseline`: which profiles of rows later runs are held against, how a run differs from them; to set others.

A profile may be set from a run that passed; or, by name, from one that the gate for drift alone stopped: that is how a
first one is set where the policy establishes none, how a change at the source is accepted, and another key or another
contract. The log of the run is verified first, under the policy that is given.
"""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from configs import load
from flows.plan import owner
from flows.screen import plain
from security.drift.profile import Reference
from security.errors import CannotTell, LogBroken, PlanError, Refused
from security.gate import uncaught
from security.gates import drift
from security.gates.drift import DriftLimits, Facts
from security.keys import PublicKey
from security.log import kind_of, placed, read
from security.policy import Plan
from security.registry import GATES
from security.verdict import Observation, Verdict
from security.verify import Trust, verify
from tasks import baseline, history, ledger, signer
from tasks.home import Home

ACCEPTED = frozenset({"DRIFT-COLUMN", "DRIFT-SCHEMA", "DRIFT-VOLUME", "DRIFT-FIRST", *drift.NEWEST})
"""What a run may have been refused for whose rows are set as a baseline."""
Lines = list[dict[str, Any]]


def shown(home: Home, pipeline: str = "") -> Lines:
    """Each pipeline's pinned profiles, and the newest that passed, with what is known of each."""
    key = _key(home)
    known, found = baseline.entries(home, key, pipeline), Lines()
    if pipeline and not known:
        raise PlanError(f"no baseline of a pipeline {pipeline!r} yet; a run that passes establishes one")
    for name, span in sorted({(each.pipeline, each.span) for each in known}):
        mine = [each for each in known if (each.pipeline, each.span) == (name, span)]
        for task in sorted({task for each in mine for task in each.profiles}):
            for what, entry in (
                ("pinned", baseline.pinned(mine, task)),
                ("rolling", baseline.rolling(mine, task, "~")),
            ):
                if entry is None:
                    continue
                told = {"pipeline": name, "task": task, "span": span, "what": what, "digest": entry.profiles[task]}
                told |= {"how": entry.how, "partition": entry.partition, "run": entry.run, "reason": entry.reason}
                try:
                    held = baseline.opened(home, entry.profiles[task], key)
                    told |= {"rows": held.rows, "columns": len(held.columns), "bytes": len(held.bytes), "wrong": ""}
                except (CannotTell, LogBroken) as why:
                    told |= {"rows": None, "columns": None, "bytes": None, "wrong": str(why)}
                found.append(told)
    return found


def chosen(home: Home, run: str, policy: str, *, refused: bool) -> tuple[Plan, dict[str, Facts], str]:
    """The plan of a run, what was seen of its rows by task, and the digest of the rows that it published, if any.

    `PlanError` unless it passed, or, with `refused`, the gate for drift alone stopped it; `LogBroken` where its log
    does not hold, or is not the one that the index of runs ended this run with.
    """
    judged, path = load.text(load.find(policy, "policies")), _log(home, run)
    public, terms = _key(home), load.policy(judged, policy)
    trust = Trust(public, terms, load.sha256(judged), load.matrix(), GATES, owner(terms, home))
    stopped = ""
    try:
        verify(path, trust)
    except Refused as why:
        stopped = str(why)
        if not stopped.startswith(f"[{baseline.NAME}] "):
            raise PlanError(f"run {run} was refused, and not for drift: {stopped}") from None
        if not refused:
            raise PlanError(f"run {run} was refused: {stopped}; if its rows are to count, say --refused") from None
    statements, head = read(path, public)
    plan = Plan.model_validate(statements[0]["predicate"]["plan"])
    placed(home.index, public, plan.run, plan.sha256, plan.index, head)
    said = [each["predicate"] for each in statements if kind_of(each) == "verdict"]
    stops = [each for each in said if each["effect"]["action"] != "proceed"]
    if stops not in ([], said[-1:]):
        raise PlanError(f"run {run} was refused by more than one gate")
    looks = _looks(statements)
    for each in looks:
        _sound(run, plan, each)
    if not looks:
        raise PlanError(f"run {run}: nobody looked for drift in it, nothing is known of its rows")
    found = {each["task"]: Facts.model_validate(each["observation"]["facts"]) for each in looks}
    published = [e["predicate"]["output"] for e in statements if kind_of(e) == "published"]
    rows = [each["sha256"] for each in published if each["kind"] == "rows"]
    return plan, found, rows[-1] if rows else ""


def _sound(run: str, plan: Plan, look: dict[str, Any]) -> None:
    """`PlanError` unless a look saw all rows and its known-bad ones, and what it found is what a person may accept."""
    gate, seen = GATES[baseline.NAME], Observation.model_validate(look["observation"])
    limits = _limits(plan, look)
    verdict, where = Verdict.model_validate(look["verdict"]), f"run {run}, {look['stage']}/{look['task']}"
    rules, causes = {each.rule for each in verdict.findings}, {*verdict.cause.split("+")}
    if not rules <= ACCEPTED or not causes <= {"", "finding", "reference", *gate.causes}:
        raise PlanError(f"{where}: was stopped for more than drift: {verdict.reason}")
    if not seen.facts or seen.trouble or not seen.coverage.whole:
        raise PlanError(f"{where}: not all rows were looked at: {verdict.reason}")
    if missed := uncaught(gate, seen, limits):
        raise PlanError(f"{where}: known-bad rows were not found, by {missed}")


def differences(home: Home, run: str) -> Lines:
    """Every score of every look of a run, as its signed log has it, under its own limits."""
    statements, _ = read(_log(home, run), _key(home))
    plan, found = Plan.model_validate(statements[0]["predicate"]["plan"]), Lines()
    for each in _looks(statements):
        if not each["observation"]["facts"]:
            continue
        facts = Facts.model_validate(each["observation"]["facts"])
        if facts.baseline is None:
            continue
        try:
            told = drift.shown(facts, _limits(plan, each))
        except CannotTell as why:
            found.append({"task": each["task"], "column": "", "outcome": "untested", "reason": str(why)})
            continue
        for column in told.columns:
            for score in column.scores:
                line = {"task": each["task"], "column": column.column or "rows", "outcome": column.outcome}
                found.append(line | score.model_dump(exclude={"name"}) | {"score": score.name, "against": facts.digest})
        found += [
            {"task": each["task"], "column": left.column, "outcome": "untested", "reason": left.reason}
            for left in told.untested
        ]
    return found


def _looks(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts on drift of a log."""
    said = [each["predicate"] for each in statements if kind_of(each) == "verdict"]
    return [each for each in said if each["gate"] == baseline.NAME]


def _limits(plan: Plan, look: dict[str, Any]) -> DriftLimits:
    return DriftLimits.model_validate(plan.terms[look["stage"]][look["task"]][baseline.NAME].limits)


def _key(home: Home) -> PublicKey:
    return signer.keys(home).public("producer")


def beside(one: Reference, other: Reference) -> Lines:
    """What two profiles say of their columns, where it is not the same."""
    found: Lines = [{"column": "rows", "what": "count", "one": one.rows, "other": other.rows}]
    if one.mark != other.mark:
        found.append({"column": "", "what": "secret", "one": one.mark, "other": other.mark})
    for name in sorted({*one.columns, *one.others, *other.columns, *other.others}):
        mine, theirs = (_said(each, name) for each in (one, other))
        for what in sorted({*mine, *theirs}):
            found.append({"column": name, "what": what, "one": mine.get(what), "other": theirs.get(what)})
    return [each for each in found if each["one"] != each["other"]]


def _said(profile: Reference, name: str) -> dict[str, Any]:
    if name in profile.others:
        return {"type": profile.others[name]}
    if name not in profile.columns:
        return {}
    told = profile.columns[name].model_dump()
    kept = ("type", "role", "distinct", "low", "high", "first", "last", "weight")
    shares = {f"{part}, share": round(told[part] / told["rows"], 4) for part in ("nulls", "unread") if told["rows"]}
    return {part: told[part] for part in kept if part in told} | shares


def _log(home: Home, run: str) -> Path:
    path = home.evidence(run) / "log.jsonl"
    if not path.is_file() or Path(run).name != run:
        raise PlanError(f"no run {run!r} in this home")
    return path


def _profile(home: Home, digest: str) -> Reference:
    """The profile whose digest begins so."""
    found = sorted(path.stem for path in (home.root / "baselines").glob("*.dsse") if path.stem.startswith(digest))
    if len(found) != 1 or not digest:
        raise PlanError(f"{len(found)} baselines begin with {digest!r}; allowed: one")
    return baseline.opened(home, found[0], _key(home))


def show(pipeline: str, *, as_json: bool) -> int:
    """`sluice baseline show`."""
    home = Home.here()
    heads = ("pipeline", "task", "span", "what", "digest", "partition", "run", "how", "rows", "bytes", "reason")
    none = "no baseline yet: a run that passes establishes one"
    _print(shown(home, pipeline), heads, none, as_json=as_json)
    past = ledger.read(home, pipeline).points if pipeline and not as_json else {}
    for place, points in sorted(past.items()):
        print(f"\nscores over partitions, {place}")
        Console(width=160).print(history.summary(points))
    return 0


def put(run: str, policy: str, reason: str, *, refused: bool) -> int:
    """`sluice baseline set`."""
    home = Home.here()
    plan, found, rows = chosen(home, run, policy, refused=refused)
    producer = signer.keys(home).signer("producer")
    entry = baseline.enter(home, producer, plan, found, rows, "set", reason)
    for task, digest in entry.profiles.items():
        print(f"{entry.pipeline}: {task} is held against {digest[:12]} from now on, the rows of run {entry.run}")
    return 0


def diff(names: list[str], *, as_json: bool) -> int:
    """`sluice baseline diff`: of a run against what it was held against, or of two profiles."""
    home = Home.here()
    if len(names) == 1:
        heads: tuple[str, ...] = ("task", "column", "outcome", "score", "value", "floor", "limit", "reason")
        found = differences(home, names[0])
        kept = found if as_json else [e for e in found if e["outcome"] == "untested" or e["limit"] is not None]
        return _print(kept, heads, "it was held against no baseline", as_json=as_json)
    if len(names) != 2:
        raise PlanError(f"{len(names)} names; allowed: a run, or two baselines by the first digits of their digests")
    found = beside(*(_profile(home, name) for name in names))
    return _print(found, ("column", "what", "one", "other"), "they say the same", as_json=as_json)


def _print(told: Lines, heads: tuple[str, ...], none: str, *, as_json: bool) -> int:
    """Lines as columns of text, none of them cut, or as JSON."""
    if as_json:
        print(json.dumps(told, indent=1, sort_keys=True))
        return 0
    lines = [heads, *(tuple(_cell(each, head) for head in heads) for each in told)]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if told else []:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, wide, strict=True)).rstrip())
    if not told:
        print(none)
    for each in told:
        if each.get("wrong"):
            print(f"! {each['digest'][:12]}: {plain(each['wrong'])}")
    return 0


def _cell(line: dict[str, Any], head: str) -> str:
    value = line.get(head)
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return plain(str(value))[:12] if head == "digest" else plain(str(value)).replace("\n", " ")
