"""The run's log, and the index of runs: signed statements, each naming the digest of the one before.

A log begins with the plan and ends with a closing count; `security.verify` believes or refuses it. The index is one
such chain for all runs of a home: each run is opened in it before it reads anything, and closed in it with the head of
its log, so that a run that vanished is seen. Each look at a test slice is entered before it (`looked`), so that
attempts on the same data are counted. It also says which profiles of rows later runs are held against, and since when
(`reference`).
"""

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from security.errors import LogBroken
from security.keys import PublicKey, Signer, seal, unseal

NAMESPACE = "urn:sluice:"
KINDS = ("plan", "verdict", "output", "published", "closed", "looked", "opened", "ended", "reference")
EMPTY = hashlib.sha256(b"").hexdigest()
SMALL = 4096
"""Bytes of a line that may say of a look: one of a verdict is longer, and is not read for that."""


def kind_of(statement: dict[str, Any]) -> str:
    """`verdict` for `urn:sluice:verdict/v1`; `LogBroken` for anything that is not ours."""
    text = str(statement.get("predicateType", ""))
    kind = text.removeprefix(NAMESPACE).removesuffix("/v1")
    if kind not in KINDS or text != f"{NAMESPACE}{kind}/v1":
        raise LogBroken(f"a statement of unknown type {text!r}")
    return kind


def head_of(line: bytes) -> str:
    """The digest by which the next statement names this one."""
    return hashlib.sha256(line).hexdigest()


class Log:
    """Append-only, with one writer: the run that made it. `head` and `count` are what the writer knows by itself."""

    def __init__(self, path: Path, signer: Signer) -> None:
        if path.exists():
            raise LogBroken(f"{path.name} is there already: a run has one log, and a retry is another run")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.signer = path, signer
        self.head, self.count = "", 0

    def append(self, kind: str, subject: dict[str, str] | None = None, **content: Any) -> str:
        """Add a statement, durably; its digest."""
        predicate = {"previous": self.head, "sequence": self.count, **content}
        line = seal(f"{NAMESPACE}{kind}/v1", subject or {"log": self.head or EMPTY}, predicate, self.signer)
        _write(self.path, line)
        self.head, self.count = head_of(line), self.count + 1
        return self.head


def _write(path: Path, line: bytes) -> None:
    with path.open("ab") as out:
        out.write(line + b"\n")
        out.flush()
        os.fsync(out.fileno())


def read(path: Path, key: PublicKey) -> tuple[list[dict[str, Any]], str]:
    """Every statement of a chain, and its head. Raises `LogBroken` at the first line that does not hold."""
    if not path.is_file():
        raise LogBroken(f"there is no log at {path.name}")
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise LogBroken("the last line is cut off")
    statements: list[dict[str, Any]] = []
    head = ""
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            statement = unseal(line, key)
            kind_of(statement)
            predicate = statement["predicate"]
            if predicate["previous"] != head or predicate["sequence"] != number - 1:
                raise LogBroken("does not follow the line before")
        except LogBroken as why:
            raise LogBroken(f"line {number}: {why}") from None
        except (KeyError, TypeError) as why:
            raise LogBroken(f"line {number}: not a statement ({type(why).__name__})") from None
        head = head_of(line)
        statements.append(statement)
    return statements, head


class Index:
    """The chain of all runs of a home. Several processes append, one at a time."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self.path, self.signer = path, signer

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def append(self, kind: str, **content: Any) -> str:
        """Add an entry after checking the whole chain; its digest."""
        with self._alone():
            known, head = read(self.path, self.signer.public) if self.path.exists() else ([], "")
            predicate = {"previous": head, "sequence": len(known), **content}
            line = seal(f"{NAMESPACE}{kind}/v1", {"index": head or EMPTY}, predicate, self.signer)
            _write(self.path, line)
            return head_of(line)

    @property
    def head(self) -> str:
        """The newest entry, empty for a new index."""
        return read(self.path, self.signer.public)[1] if self.path.exists() else ""


@dataclass(frozen=True)
class Look:
    """That a run was about to measure its model on a test slice. `entry` is the digest of what the index says of it,
    `data` that of the slice, `at` seconds since the epoch."""

    entry: str
    run: str
    pipeline: str
    partition: str
    data: str
    at: float

    def alike(self, others: Iterable["Look"]) -> list["Look"]:
        """Those of a pipeline's looks at the same slice, whatever the plan, the seed or the thresholds."""
        return [each for each in others if (each.pipeline, each.data) == (self.pipeline, self.data)]


def looks(index: Path, key: PublicKey) -> list[Look]:
    """Every look at a test slice that the index has, the oldest first. `LogBroken` where it is gone, or is broken."""
    entries, _ = read(index, key)
    found = []
    for entry, line in zip(entries, index.read_bytes().splitlines(), strict=False):
        if kind_of(entry) == "looked":
            try:
                told = {name: entry["predicate"][name] for name in Look.__dataclass_fields__ if name != "entry"}
            except KeyError as why:
                raise LogBroken(f"the index of runs has a look without {why}") from None
            found.append(Look(entry=head_of(line), **told))
    return found


def counted(index: Path, key: PublicKey, own: Look, count: int) -> None:
    """Raise `LogBroken` unless the index has this look, and it is the one of this number at its test slice."""
    every = looks(index, key)
    if own not in every:
        raise LogBroken("the index of runs does not have this run's look at its test slice")
    if (found := len(own.alike(every[: every.index(own) + 1]))) != count:
        raise LogBroken(f"the index of runs has {found} looks at this test slice, and the verdict counted {count}")


def cut(index: Path, runs: Path) -> list[str]:
    """Runs whose log names an entry that the index does not have: it was cut, or is another. Whether its chain holds,
    `read` says."""
    named = {path.parent.name: _named(path) for path in sorted(runs.glob("*/log.jsonl"))}  # before the index, as above
    there = {"", *(head_of(line) for line in (index.read_bytes().splitlines() if index.exists() else []))}
    return [run for run, entries in named.items() if not entries <= there]


def _named(log: Path) -> set[str]:
    """The entries of the index that a log names, in its plan and where it looked. What cannot be read names none:
    whether a log holds, `verify` says."""
    found = set()
    for number, line in enumerate(log.read_bytes().splitlines()):
        if number and len(line) > SMALL:
            continue
        try:
            predicate = json.loads(base64.b64decode(json.loads(line)["payload"]))["predicate"]
            entry = predicate["index"] if number else predicate["plan"]["index"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(entry, str):
            found.add(entry)
    return found


def placed(index: Path, key: PublicKey, run: str, plan: str, before: str, head: str) -> None:
    """Raise `LogBroken` unless the index opened this run with this plan, after the entry that the plan names, and ended
    it with this head."""
    entries, _ = read(index, key)
    lines = index.read_bytes().splitlines()
    opened = [n for n, e in enumerate(entries) if kind_of(e) == "opened" and e["predicate"]["run"] == run]
    if len(opened) != 1 or entries[opened[0]]["predicate"]["plan"] != plan:
        raise LogBroken("the index of runs did not open this run with this plan")
    if before not in ["", *(head_of(line) for line in lines[: opened[0]])]:
        raise LogBroken("the index of runs has lost the entry that this run's plan names")
    ended = [e["predicate"]["head"] for e in entries if kind_of(e) == "ended" and e["predicate"]["run"] == run]
    if ended != [head]:
        raise LogBroken("the index of runs does not end this run with this log")


def lost(index: Path, key: PublicKey, runs: Path) -> list[str]:
    """Runs of which the folder of evidence has a log and the index knows nothing: it was cut, or is another."""
    there = sorted(path.parent.name for path in runs.glob("*/log.jsonl"))  # before the index: others may be beginning
    entries = read(index, key)[0] if index.exists() else []
    known = {each["predicate"]["run"] for each in entries if kind_of(each) == "opened"}
    return [run for run in there if run not in known]


def missing(index: Path, key: PublicKey, runs: Path) -> list[str]:
    """What the index says of runs that the folder of evidence does not bear out, as sentences."""
    entries, _ = read(index, key)
    ended = {e["predicate"]["run"]: e["predicate"] for e in entries if kind_of(e) == "ended"}
    told: list[str] = []
    for entry in entries:
        if kind_of(entry) != "opened":
            continue
        run = entry["predicate"]["run"]
        log = runs / run / "log.jsonl"
        if not log.is_file():
            told.append(f"run {run} was opened and its log is gone")
        elif run not in ended:
            told.append(f"run {run} was opened and never ended")
        elif head_of(log.read_bytes().splitlines()[-1] if log.stat().st_size else b"") != ended[run]["head"]:
            told.append(f"run {run} ended with another log than the one that is here")
    return told
