"""The gate over the code that runs."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from security.engines import sshsig
from security.engines.objects import Commit
from security.errors import CannotTell, KeyBroken
from security.gate import Gate, Violation
from security.gates.code import manifest, rules
from security.gates.code.compare import Compared, compared, spelled
from security.gates.code.decoys import VIOLATIONS
from security.gates.code.facts import (
    ANYBODY,
    ANYTHING,
    MODULE,
    Facts,
    Found,
    Item,
    Left,
    Limits,
    Listed,
    Loaded,
    Signed,
)
from security.gates.code.loaded import imported
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_CONTROLS = ("NIST-800-53:CM-14", "NIST-800-53:SI-7", "NIST-SSDF:PS.1", "SLSA:source", "OWASP-A08:2021")
_ONCE = {"source", "since", "now", "imports"}
_FILES = {"CODE-01", "CODE-02", "CODE-03", "CODE-04", "CODE-05", "CODE-06", "CODE-12", "CODE-16", "CODE-17"}
"""Of files of the checkout."""
_MANY = {"commit", "oddity", "hidden", "left", "listed", "file", "loaded", "pth", "entry"}
_FRESH = "check it out again, into an empty folder"
_SIGN = "have it signed by somebody on the list, or put the key on the list"


class CodeIntegrity(Gate[Item]):
    """What runs is what was reviewed: every file is as a signed commit, or list, has it, and there is no other."""

    name: ClassVar[str] = "code_integrity_check"
    kind: ClassVar[str] = "code"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)
        for id, severity, title, remedy in (
            ("CODE-01", "critical", "a file that is not as it was signed", _FRESH),
            ("CODE-02", "critical", "a signed file that is not there", _FRESH),
            ("CODE-03", "high", "a file of another kind, or that runs where it should not", _FRESH),
            ("CODE-04", "critical", "a file that could run and that nobody signed", "remove it, or commit it"),
            ("CODE-05", "high", "another file that nobody signed", "remove it, commit it, or let the policy name it"),
            ("CODE-06", "critical", "bytecode that is not its source's", "remove __pycache__; find out who wrote it"),
            ("CODE-07", "critical", "a commit without a signature that holds", _SIGN),
            ("CODE-08", "critical", "a commit signed by who may not", _SIGN),
            ("CODE-09", "high", "another history than the one wanted", "check out a commit that follows the release"),
            ("CODE-10", "high", "what makes git tell another story", "clone it again, whole"),
            ("CODE-11", "high", "a file that the index hides", "git update-index clears the bits; look at the file"),
            ("CODE-12", "critical", "a submodule that is not as it was signed", "git submodule update --init --force"),
            ("CODE-13", "high", "a module that shadows another", "rename it, or remove the folder from the path"),
            ("CODE-14", "critical", "a .pth file that runs code and is no package's", "make the environment anew"),
            ("CODE-15", "critical", "a module that was imported from elsewhere", "make the environment anew"),
            ("CODE-16", "high", "a link that leads out of what was signed", "commit a copy of what it leads to"),
            ("CODE-17", "critical", "a module that was imported and is not as it was signed", _FRESH),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({"repository", "signers", "tree"})

    def look(self, material: Handed[Item]) -> Facts:
        """Each signature verified, each file hashed, each module's too, and what of it differs."""
        single, many = _sorted(material)
        commits = [_signed(commit, after) for commit, after in many["commit"]]
        head, listed = commits[0].id if commits else "", list(many["listed"])
        if single["source"] == "manifest":
            signed, head, more = _list(*single["envelope"])
            listed, commits = [*listed, *more], [signed]
        known = single["source"] == "commit" or bool(listed)
        found = compared(listed, many["file"], git=single["source"] == "commit") if known else Compared((), (), (), 0)
        since, release = single["since"]
        history = {parent for commit, _ in many["commit"] for parent in (commit.id, *commit.parents)}
        loaded, pths = (_placed(many[kind], many["file"]) for kind in ("loaded", "pth"))
        return Facts(
            source=single["source"],
            head=head,
            since=since,
            reached=bool(release) and release in history,
            commits=tuple(commits),
            now=single["now"],
            listed=len(listed),
            files=len(many["file"]),
            compiled=found.compiled,
            changes=found.changes,
            extras=found.extras,
            bytecode=found.bytecode,
            oddities=tuple(sorted(many["oddity"])),
            hidden=tuple(sorted((spelled(path), bit) for path, bit in many["hidden"])),
            left=tuple(Left(place=place, entries=entries) for place, entries in sorted(many["left"])),
            imported=imported(loaded, pths, many["entry"], _sound(listed, found)) if single["imports"] else None,
        )

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches; then, that nobody can tell what was signed where there is no list, or who may sign."""
        if limits.tree != ANYTHING:
            yield from rules.files(facts, limits)
        yield from rules.history(facts, limits)
        if limits.imported:
            yield from rules.imports(facts, limits)
        left = list(_open(facts, limits))
        if left:
            raise CannotTell("; ".join(said for said, _ in left), "+".join(cause for _, cause in left))

    def active(self, limits: Limits) -> tuple[str, ...]:
        """All, but signatures where anybody may sign or nobody is listed, and history, files and imports where not
        asked."""
        off = {"CODE-07", "CODE-08"} if limits.signers in ((), ANYBODY) else set()
        off |= {"CODE-09"} if not (limits.since or limits.commit) else set()
        off |= {"CODE-13", "CODE-14", "CODE-15", "CODE-17"} if not limits.imported else set()
        off |= _FILES if limits.tree == ANYTHING else set()
        return tuple(rule for rule in self.rules if rule not in off)

    def brief(self, facts: Facts) -> str:
        """How much was signed, as of which commit, and what was left out."""
        told = [f"{facts.source} {facts.head[:12]}".strip()]
        told += [f"{len(facts.commits):,} commits"] if facts.since else []
        told += [f"{facts.compiled:,} of them compiled again"] if facts.compiled else []
        told += [f"{facts.imported.modules:,} modules"] if facts.imported else []
        told += [f"left out: {', '.join(each.place for each in facts.left)}"] if facts.left else []
        return ", ".join(told)


def _open(facts: Facts, limits: Limits) -> Iterator[tuple[str, str]]:
    """What nobody can tell, each with its cause."""
    if facts.source == "none":
        yield "no checkout of git, and no signed list: what was signed nobody can tell", "repository"
    elif facts.source == "commit" and not facts.listed:
        yield "the commit has no files", "repository"
    elif facts.source == "commit" and not limits.signers:
        yield "there is no list of who may sign: whether they did nobody can tell", "signers"
    if limits.tree == ANYTHING and (differing := _differing(facts)):
        yield f"in {differing:,} places the work tree is not as it was signed ({ANYTHING})", "tree"


def _differing(facts: Facts) -> int:
    return len(facts.changes) + len(facts.extras) + len(facts.bytecode)


def _sorted(material: Handed[Item]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    single = dict[str, Any]()
    many: dict[str, list[Any]] = {kind: [] for kind in _MANY}
    for kind, value in material:
        if kind in _MANY:
            many[kind].append(value)
        elif kind in single or kind not in {*_ONCE, "envelope"}:
            raise CannotTell(f"{kind} is handed out twice, or is nothing that is known")
        else:
            single[kind] = value
    wanted = _ONCE | ({"envelope"} if single.get("source") == "manifest" else set())
    if single.keys() != wanted:
        raise CannotTell(f"handed out once: {', '.join(sorted(single))}; wanted: {', '.join(sorted(wanted))}")
    return single, many


def _signed(commit: Commit, after: float) -> Signed:
    told: dict[str, Any] = {"id": commit.id, "at": commit.committed.timestamp(), "after": after}
    try:
        if not commit.signature:
            raise KeyBroken("no signature")
        key = sshsig.verify(commit.signature, commit.signed).key
    except KeyBroken as why:
        return Signed(**told, key="", fault=str(why))
    return Signed(**told, key=base64.b64encode(key).decode(), fault="")


def _list(envelope: bytes, keys: tuple[bytes, ...]) -> tuple[Signed, str, list[Listed]]:
    told: dict[str, Any] = {"id": "", "at": 0.0, "after": 0.0}
    try:
        key, commit, files = manifest.opened(envelope, keys)
    except KeyBroken as why:
        return Signed(**told, key="", fault=str(why)), "", []
    return Signed(**told, key=key, fault=""), commit, files


def _placed(loaded: list[Loaded], files: list[Found]) -> list[Loaded]:
    """A module that lies in the checkout where nobody looks, in git's own folder or one that is left out, is from
    elsewhere."""
    here = {each.path for each in files}
    return [
        each._replace(origin="elsewhere") if each.origin == "tree" and each.place not in here else each
        for each in loaded
    ]


def _sound(listed: list[Listed], found: Compared) -> set[str]:
    changed = {each.path for each in found.changes}
    return {each.path for each in listed if each.mode != MODULE and spelled(each.path) not in changed}
