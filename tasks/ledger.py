"""The file of scores of a pipeline, a line for each look for drift: what `tasks.history` plots. Decides nothing.

Whoever can write to the home can write to it, and nothing is signed: a line that is not one of ours is skipped and
counted, and only the end of the file is read, however long it is.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from security.verdict import Frozen
from tasks.history import Point
from tasks.home import Home

LINES = 5_000
"""Lines that are read, at most, the last ones."""
BYTES = 32 << 20
"""Bytes that are read, at most."""
MANY = 2_000
"""Scores of a line, at most."""

Word = Annotated[str, StringConstraints(max_length=160)]


class Told(Frozen):
    """A score as a line has it; `value` is null where it is no finite number."""

    column: Word
    score: Word
    value: float | None
    limit: float | None
    drifted: bool


class Line(Frozen):
    """What one look found: `place` is its stage and task, `baseline` the digest of what it was held against."""

    run: Word
    partition: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    place: str = Field(pattern=r"^[a-z]+/[a-z]+$", max_length=60)
    baseline: str = Field(pattern="^[0-9a-f]{64}$")
    points: Annotated[tuple[Told, ...], Field(max_length=MANY)]


@dataclass(frozen=True)
class Past:
    """What the file of a pipeline says: place -> points, the oldest first; and how many lines it says nothing by."""

    points: dict[str, list[Point]]
    skipped: int = 0


def path(home: Home, pipeline: str) -> Path:
    """Where the scores of a pipeline are."""
    return home.folder("history") / f"{pipeline}.jsonl"


def line(run: str, partition: str, place: str, baseline: str, points: Sequence[Point]) -> Line:
    """A look's scores as they are kept."""
    told = [Told(column=p.column, score=p.score, value=p.value, limit=p.limit, drifted=p.drifted) for p in points]
    return Line(run=run, partition=partition, place=place, baseline=baseline, points=tuple(told[:MANY]))


def append(home: Home, pipeline: str, told: Line) -> None:
    """Add a look's scores. One write, so that two processes do not mix their lines."""
    data = told.model_dump_json().encode() + b"\n"
    handle = os.open(path(home, pipeline), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(handle).st_size
        # What was broken off before stays a line of its own.
        os.write(handle, data if not size or os.pread(handle, 1, size - 1) == b"\n" else b"\n" + data)
    finally:
        os.close(handle)


def read(home: Home, pipeline: str) -> Past:
    """What the last lines say."""
    try:
        with path(home, pipeline).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - BYTES, 0))
            lines = file.read(BYTES).split(b"\n")
    except FileNotFoundError:
        return Past({})
    if size > BYTES:
        del lines[0]  # its start was not read
    found, skipped = dict[str, list[Point]](), 0
    for each in [each for each in lines if each.strip()][-LINES:]:
        try:
            known = Line.model_validate_json(each, strict=True)
        except ValidationError:
            skipped += 1
            continue
        mine = found.setdefault(known.place, [])
        mine.extend(Point(known.partition, p.column, p.score, p.value, p.limit, p.drifted) for p in known.points)
    return Past(found, skipped)
