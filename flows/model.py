"""`sluice model`: list, show, verify, diff, revoke, promote, push, pull. A table for people, `--json` for machines.

0: it holds, or is done; 1: it does not hold, or was refused; 2: it could not be told or done.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHOWN = 12
"""Digits of a digest that are shown, and are enough to know it by."""
VERSIONS = ("model", "version", "aliases", "expires", "manifest", "here", "wrong")
FOLDED = ("aliases", "wrong")
SPELLED = "NAME, NAME:VERSION or NAME@ALIAS"


def options(model: argparse.ArgumentParser) -> None:
    """The parts of the command and their options."""
    names = "list|show|verify|diff|revoke|promote|push|pull"
    parts = model.add_subparsers(dest="what", required=True, metavar=names)

    def part(name: str, text: str, *, looks: bool = True, must: bool = False) -> argparse.ArgumentParser:
        each = parts.add_parser(name, help=text, description=text)
        each.add_argument("--policy", default="local", help="whose approvers count, and what a run is held to")
        each.add_argument("--json", action="store_true")
        if looks:
            brought = "a folder of producer.pub, verifier.pub, owner.pub, from elsewhere"
            each.add_argument(
                "--keys", type=Path, required=must, help=brought if must else f"{brought}; this home's, if left out"
            )
        return each

    part("list", "every version of every model, its aliases, and why it does not stand")
    each = part("show", "one version: what is said of it, by whom, and whether it holds")
    each.add_argument("model", metavar="MODEL", help=SPELLED)
    each = part(
        "verify", "whether everything of one version holds, from its bytes and the keys that you bring", must=True
    )
    each.add_argument("model", metavar="MODEL", help=SPELLED)
    each.add_argument("--known", action="append", default=[], metavar="HEAD", help="an entry that must be there")
    each = part("diff", "what differs between two versions")
    each.add_argument("before", metavar="MODEL", help=SPELLED)
    each.add_argument("after", metavar="MODEL")
    each = part("revoke", "say, signed and for good, that a model, a dataset or a key counts no more", looks=False)
    each.add_argument("kind", choices=["model", "data", "key"])
    each.add_argument("target", help="NAME:VERSION of a model; the SHA-256 of a dataset; the id of a key")
    each.add_argument("--reason", required=True)
    each.add_argument("--role", choices=["owner", "verifier"], default="owner", help="whose key signs it")
    each = part("promote", "move an alias by a signed decision, if the log of the model's run verifies", looks=False)
    each.add_argument("model", metavar="MODEL", help=SPELLED)
    each.add_argument("--to", choices=["approved", "production"], required=True)
    each.add_argument("--reason", required=True)
    each.add_argument("--role", choices=["verifier", "approver"], default="verifier", help="whose key signs it")
    for name, text in (("push", "send a model's versions and its chain to a registry"), ("pull", "take them from one")):
        each = part(name, text, must=name == "pull")
        each.add_argument("model", metavar="NAME")
        each.add_argument("registry", metavar="HOST[:PORT][/PATH]")
        each.add_argument("--unsafe-http", action="store_true", help="speak to it without TLS")
        if name == "pull":
            each.add_argument("--version", type=int, default=0, help="this one; those that an alias names, if left out")
            each.add_argument(
                "--known", action="append", default=[], metavar="HEAD", help="an entry that must be there"
            )


def command(given: argparse.Namespace) -> int:
    """One of them."""
    from flows import models
    from security.errors import LogBroken, Refused
    from tasks.home import Home

    home = Home.here()
    try:
        if given.what == "revoke":
            told = models.revoke(home, given.kind, given.target, given.role, given.reason, given.policy)
            next_ = "a cluster learns of it by its next lease; now, by: sluice deploy lease --document D --policy P"
            return _say(given, told, f"revoked: {given.kind} {told['target'][:SHOWN]}", *told["fallen"], next_)
        if given.what == "promote":
            told = models.promote(home, given.model, given.to, given.role, given.reason, given.policy)
            return _say(given, told, f"{told['model']}: {given.to} is version {told['version']}, by {told['key']}")
        return _look(given, home)
    except (Refused, LogBroken) as why:
        return _say(given, {"holds": False, "wrong": str(why)}, f"✗ {why}", code=1)


def _look(given: argparse.Namespace, home: Any) -> int:
    from flows import models
    from tasks import chains, remote

    if given.what == "list" and not chains.names(home):
        return _table(given, [], VERSIONS)
    keys = models.keys(home, given.policy, given.keys)
    if given.what == "list":
        lines = models.listed(home, keys)
        return _table(given, lines, VERSIONS, code=1 if any(each.get("broken") for each in lines) else 0)
    if given.what == "diff":
        return _table(given, models.compared(home, given.before, given.after, keys), ("what", "before", "after"))
    if given.what == "show":
        return _all(
            given, {"keys": "brought" if given.keys else "this home's own"} | models.shown(home, given.model, keys)
        )
    if given.what == "verify":
        told = models.checked(home, given.model, keys, given.known)
        return _all(given, told, code=0 if told["holds"] else 1)
    where = remote.Registry(given.registry, unsafe_http=given.unsafe_http)
    if given.what == "push":
        done = remote.push(home, given.model, where, keys)
    else:
        done = remote.pull(home, given.model, where, keys, version=given.version, known=given.known)
    told = {"model": given.model, "versions": done}
    return _say(given, told, f"{given.model}: {given.what}ed {', '.join(map(str, done)) or 'its chain'}")


def _say(given: argparse.Namespace, told: Mapping[str, Any], *lines: str, code: int = 0) -> int:
    from flows.screen import plain

    print(json.dumps(told, indent=1, sort_keys=True) if given.json else "\n".join(map(plain, lines)))
    return code


def _table(given: argparse.Namespace, lines: Sequence[Mapping[str, Any]], columns: Sequence[str], code: int = 0) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if given.json:
        print(json.dumps(lines, indent=1, sort_keys=True))
        return code
    table = Table(box=None)
    for column in columns:
        whole = column in VERSIONS and column not in FOLDED
        table.add_column(column, overflow="fold", no_wrap=whole, min_width=None if whole else 10)
    for each in lines:
        table.add_row(*(Text(_cell(column, each.get(column, ""))) for column in columns))  # no markup of somebody's
    Console().print(table if lines else "none")
    return code


def _all(given: argparse.Namespace, told: Mapping[str, Any], code: int = 0) -> int:
    """One thing, a line for each part of it."""
    lines = [
        f"{name:<10} {SENTENCES[name].format_map(_cells(each)) if name in SENTENCES else _cell(name, each)}"
        for name, value in told.items()
        for each in (value if isinstance(value, list) and name in SENTENCES else [value])
        if value not in ("", [], {})
    ]
    return _say(given, told, *lines, f"{'✓ holds' if told['holds'] else '✗ does not hold'}", code=code)


SENTENCES = {
    "moves": "{at} {alias} by {by} ({key}): {reason}",
    "verdicts": "{stage}/{task} {gate}: {outcome}, {because}",
    "metrics": "{type} {value} on {slice}",
}
"""Part -> how each of its lines is said."""


def _cells(value: Mapping[str, Any]) -> dict[str, str]:
    return {name: _cell(name, each) for name, each in value.items()}


def _cell(column: str, value: Any) -> str:
    from flows.screen import plain
    from security.words import day

    if column in ("entered", "expires", "at") and value:
        return day(float(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(name, each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(_cell(column, each) for each in value)
    text = plain(str(value))
    return text[:SHOWN] if len(text) == 64 and not set(text) - set("0123456789abcdef") else text
