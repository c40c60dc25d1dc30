"""What is wrong with code, rule by rule: from the facts and the limits alone."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from security.engines.signers import Signers
from security.errors import KeyBroken
from security.gates.code.facts import ANYBODY, ANYTHING, Facts, Imported, Limits, Signed
from security.keys import PublicKey
from security.verdict import Breach

SHOWN = 12
"""Digits of an id."""
_RULES = {"content": "CODE-01", "missing": "CODE-02", "mode": "CODE-03", "submodule": "CODE-12", "link": "CODE-16"}


def files(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Files that are not as they were signed, that nobody signed, or that were left out and may not be."""
    for each in facts.changes:
        short = each.what in ("content", "submodule", "missing")
        found, listed = (told[:SHOWN] if short else told for told in (each.found, each.listed))
        message = f"found {found}; allowed: {listed}, as it was signed"
        if each.what == "link":
            message = f"it leads to {each.found}; allowed: to what was signed"
        yield Breach(rule=_RULES[each.what], place=each.path, message=message)
    for extra in facts.extras:
        count = f"{extra.files:,} files" if extra.path.endswith("/") else "a file"
        run = f", {extra.runs:,} of which could run" if extra.path.endswith("/") else " that could run"
        message = f"found {count}{run if extra.runs else ''}; allowed: what was signed"
        yield Breach(rule="CODE-04" if extra.runs else "CODE-05", place=extra.path, message=message)
    for odd in facts.bytecode:
        yield Breach(rule="CODE-06", place=odd.path, message=f"found {odd.fault}; allowed: what its source compiles to")
    for left in facts.left:
        if left.place not in limits.besides:
            message = f"left out, {left.entries:,} of its kind; allowed: {', '.join(limits.besides) or 'nothing'}"
            yield Breach(rule="CODE-05", place=left.place, message=message)


def history(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Commits that nobody on the list signed, another history than was wanted, and what tells another story of it."""
    if facts.source == "commit" and limits.signers and limits.signers != ANYBODY:
        signers = Signers.listed(limits.signers)
        for each in facts.commits:
            yield from _commit(each, facts, limits, signers)
        if not facts.commits:
            yield Breach(rule="CODE-07", place="history", message="found no commit; allowed: at least the last one")
    if facts.source == "manifest":
        yield from _manifest(facts, limits)
    if limits.commit and facts.head != limits.commit:
        message = f"found {facts.head[:SHOWN]}; allowed: {limits.commit[:SHOWN]}"
        yield Breach(rule="CODE-09", place="HEAD", message=message)
    if limits.since and not (facts.reached and facts.since == limits.since):
        message = f"it does not lead to {facts.head[:SHOWN]}; allowed: a history that goes on from it"
        yield Breach(rule="CODE-09", place=limits.since[:SHOWN], message=message)
    for oddity in facts.oddities:
        yield Breach(rule="CODE-10", place="repository", message=f"found {oddity}; allowed: none")
    for path, bit in facts.hidden:
        yield Breach(rule="CODE-11", place=path, message=f"found {bit} in the index; allowed: no file that it hides")


def _commit(each: Signed, facts: Facts, limits: Limits, signers: Signers) -> Iterator[Breach]:
    place = f"commit {each.id[:SHOWN]}"
    if each.fault:
        yield Breach(rule="CODE-07", place=place, message=f"found {each.fault}; allowed: a signature by who may sign")
        return
    try:
        signers.who(base64.b64decode(each.key), datetime.fromtimestamp(each.at, UTC))
    except KeyBroken as why:
        yield Breach(rule="CODE-08", place=place, message=f"{why}; allowed: those on the list, while they may")
    if not each.after - limits.skew <= each.at <= facts.now + limits.skew:
        message = f"made {_when(each.at)}, before its parents or in days to come; allowed: by {limits.skew:g} s"
        yield Breach(rule="CODE-08", place=place, message=message)


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _manifest(facts: Facts, limits: Limits) -> Iterator[Breach]:
    allowed = {PublicKey(pem.encode()).id for pem in limits.manifests}
    for each in facts.commits:
        if each.fault:
            yield Breach(rule="CODE-07", place="manifest", message=f"found {each.fault}; allowed: one that is signed")
        elif each.key not in allowed:
            known = ", ".join(sorted(id[:SHOWN] for id in allowed)) or "none"
            message = f"signed by {each.key[:SHOWN]}; allowed: {known}"
            yield Breach(rule="CODE-08", place="manifest", message=message)


def imports(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """What was imported from elsewhere, or could be instead of something else."""
    if facts.imported is None or not facts.imported.modules:
        yield Breach(rule="CODE-15", place="modules", message="found none that were looked at; allowed: all")
        return
    yield from _imports(facts.imported, limits)


def _imports(found: Imported, limits: Limits) -> Iterator[Breach]:
    for shadow in found.shadows:
        if shadow.name not in limits.shadows:
            message = f"found in {', '.join(map(str, shadow.places))}; allowed: one place"
            yield Breach(rule="CODE-13", place=shadow.name, message=message)
    for each in found.foreign:
        if each.kind == "pth":
            message = f"it runs code, and {each.fault}; allowed: as a package installed it"
            yield Breach(rule="CODE-14", place=each.name, message=message)
        elif each.origin == "tree":
            if limits.tree != ANYTHING:
                yield Breach(rule="CODE-17", place=each.name, message=f"{each.fault}; allowed: as it was signed")
        elif each.origin != "made" or not any(fnmatchcase(each.name, form) for form in limits.made):
            message = f"{each.fault}; allowed: signed, of the standard library, or as its package was recorded"
            yield Breach(rule="CODE-15", place=each.name, message=message)
