"""What is done to rows and baselines that only drift tells: which column moved, or that nothing could be compared.

Every row of these days keeps the contract and holds nothing personal: no other gate has anything against it.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import tasks.transform
from security.drift.profile import Reference
from security.gates.drift import BASELINE, opened, sealed
from security.keys import Signer, UnsafeLocalKeys, seal
from tasks.run import Run
from tests.attacks.acts import Change
from tests.attacks.attacker import Act, Ground
from tests.attacks.bucket import DAYS, Row, lines, packed, parquet, rows
from tests.attacks.table import AGENT, FEATURES, Attack, planted

LAST = DAYS[-1]
LARGEST = max(DAYS, key=lambda each: len(rows(each)))
AGAINST = ".*compared with baseline [0-9a-f]{8}; allowed: "
FAILS = r"\[data_drift_monitoring\] fail: "
CLOSED = r"\[data_drift_monitoring\] inconclusive: "
PROFILE = "baseline [0-9a-f]{12}"
Bodies = Callable[[], Mapping[str, bytes]]


def moved(where: str) -> str:
    """What is said of a column that moved."""
    return f"{FAILS}DRIFT-COLUMN {where}: {AGAINST}"


def sized(now: str) -> str:
    """What is said of so many rows."""
    return f"{FAILS}DRIFT-VOLUME rows: rows: 4,303, now {now} {AGAINST}"


def each(change: Callable[[int, Row], Row], *days: str) -> Bodies:
    """Days whose rows are changed, each by its number from 0; both days, if none is named."""
    return lambda: {
        day: packed(lines(row | change(at, row) for at, row in enumerate(rows(day)))) for day in days or DAYS
    }


def middle() -> Mapping[str, bytes]:
    """Two in five rows of the largest file, all in its middle, are of one type."""
    size = len(rows(LARGEST))
    bought = {"interaction_type": "purchase"}
    return each(lambda at, _: bought if 0.3 * size <= at < 0.7 * size else {}, LARGEST)()


def group() -> Mapping[str, bytes]:
    """The largest file in two groups of rows, and those of the last are all of one type."""
    size = len(rows(LARGEST))
    half = [row | ({"interaction_type": "purchase"} if at >= size / 2 else {}) for at, row in enumerate(rows(LARGEST))]
    return {LARGEST: parquet(half, 2)}


def split(at: int, row: Row) -> Row:
    """Half of the rows have items that nobody else has; the others are all of one type."""
    return {"item_id": f"{row['item_id']}-{at}"} if at % 2 else {"interaction_type": "purchase"}


def crowded() -> Mapping[str, bytes]:
    """Each row again for nine other users."""

    def many(day: str) -> Iterator[Row]:
        for row in rows(day):
            yield row
            for more in range(9):
                yield row | {"user_id": f"{row['user_id']}-{more}"}

    return {day: packed(lines(many(day))) for day in DAYS}


def sparse() -> Mapping[str, bytes]:
    """One row of ten."""
    return {day: packed(lines(rows(day)[::10])) for day in DAYS}


def losing(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task that cleans the rows loses four of five, and says that they were there twice."""
    real = tasks.transform.deduplicate

    def few(part: Any, stay: Any, watch: Any) -> Any:
        return real(part, stay, watch) & (np.arange(len(stay)) % 5 == 0)

    patch.setitem(tasks.transform.TRANSFORMATIONS, "deduplicate", few)


def baseline(task: str, change: Change = Ground.flip) -> Act:
    """Alter the file of the baseline that the plan names for a task."""
    return lambda run, at: change(at, run.home.root / "baselines" / f"{run.plan.profiles[task]}.dsse")


def replaced(task: str, envelope: Callable[[Reference, Signer, Ground], bytes]) -> Act:
    """Put another envelope where the baseline of a task is; it is made of that one."""

    def act(run: Run, at: Ground) -> None:
        path = run.home.root / "baselines" / f"{run.plan.profiles[task]}.dsse"
        at.write(path, envelope(opened(path.read_bytes(), run.trust.key), run.log.signer, at))

    return act


def another(reference: Reference) -> Reference:
    """The profile of rows like these, that another run may have seen."""
    return Reference.model_validate(reference.model_dump() | {"rows": reference.rows + 1})


def misnamed(reference: Reference, signer: Signer) -> bytes:
    """Another profile under the digest that is asked for, signed by the producer."""
    other = {"profile": another(reference).model_dump(mode="json")}
    return seal(BASELINE, {"baseline": reference.digest}, other, signer)


def foreign(reference: Reference, at: Ground) -> bytes:
    """The very profile, signed by somebody else."""
    return sealed(reference, UnsafeLocalKeys(at.home.root.parent / "somebody").signer("producer"))


def rekeyed(run: Run, at: Ground) -> None:
    """The secret that ids are hashed under becomes another."""
    at.write(run.home.root / "keys" / "drift.key", secrets.token_hex(32).encode())


BEFORE = "ingest gate 5"
"""When the gate before the one that looks for drift has ended."""
COLUMNS = {
    "drift-in-the-middle-of-the-largest-file": Attack("ingest", moved("interaction_type"), bodies=middle),
    "drift-in-the-last-row-group": Attack("ingest", moved("interaction_type"), bodies=group),
    "drift-split-over-two-columns": Attack(
        "ingest",
        f"{moved('interaction_type')}.*; DRIFT-COLUMN item_id: different values: 240, now 2,[0-9]{{3}}.*{AGAINST}",
        bodies=each(split),
    ),
    # The contract takes such an account for a bot, and its limits are put aside, or it would be the one to refuse.
    "nearly-half-of-the-rows-of-one-user": Attack(
        "ingest",
        moved("user_id"),
        bodies=each(lambda at, _: {"user_id": "p001"} if at % 20 < 9 else {}),
        changes={"data_contract": {"bots": {"most": 0.5}}},
    ),
    "half-of-the-rows-of-one-item": Attack(
        "ingest",
        moved("item_id"),
        bodies=each(lambda at, _: {"item_id": "t007"} if at % 2 else {}),
        changes={"data_contract": {"bots": {"repeats": 50}}},
    ),
    "a-day-within-one-hour": Attack(
        "ingest",
        moved("timestamp"),
        bodies=each(lambda _, row: {"timestamp": f"{LAST}T03{row['timestamp'][13:]}"}, LAST),
    ),
    "ids-that-are-missing": Attack(
        "ingest",
        f"{FAILS}DRIFT-COLUMN item_id: nulls: 0 %, now 5{AGAINST}",
        bodies=each(lambda at, _: {"item_id": None} if at % 20 == 0 else {}),
        changes={"data_contract": {"most_rejected": 0.1}},
    ),
    "a-column-that-nobody-declared": Attack(
        "ingest",
        FAILS + r"DRIFT-SCHEMA column [0-9a-f]{12}: column [0-9a-f]{12} \(\w+\) is new",
        bodies=planted(0.5, shelf=7),
    ),
    "a-declared-column-that-appeared-today": Attack(
        "ingest", moved("user_agent"), bodies=each(lambda *_: {"user_agent": AGENT}, LAST)
    ),
    "ten-times-the-rows": Attack("ingest", sized("43,030"), bodies=crowded),
    "a-tenth-of-the-rows": Attack("ingest", sized("431"), bodies=sparse),
    "rows-lost-while-cleaning": Attack("features", sized(r"8\d\d"), patch=losing),
}
BASELINES = {
    "no-baseline": Attack(
        "ingest",
        FAILS + "DRIFT-FIRST baseline: there is no baseline of 2 partitions yet, and the plan names none",
        changes={"name": "unknown", "data_drift_monitoring": {"first": "fail"}},
    ),
    "baseline-altered": Attack("ingest", CLOSED + "the baseline's envelope: ", {BEFORE: baseline("fetch")}),
    "baseline-removed": Attack(
        "ingest", CLOSED + f"{PROFILE} is not in this home", {BEFORE: baseline("fetch", Ground.remove)}
    ),
    "baseline-of-another-run": Attack(
        "ingest",
        CLOSED + f"{PROFILE} lies where [0-9a-f]{{12}} should",
        {BEFORE: replaced("fetch", lambda now, signer, _: sealed(another(now), signer))},
    ),
    "baseline-under-the-name-of-another": Attack(
        "ingest",
        CLOSED + "the signed baseline is not the one that its subject names",
        {BEFORE: replaced("fetch", lambda now, signer, _: misnamed(now, signer))},
    ),
    "baseline-signed-by-another": Attack(
        "ingest",
        CLOSED + "the baseline's envelope: not signed by the key given",
        {BEFORE: replaced("fetch", lambda now, _, at: foreign(now, at))},
    ),
    "baseline-under-another-secret": Attack(
        "ingest", CLOSED + "the reference was made under another secret", {BEFORE: rekeyed}
    ),
    "baseline-of-cleaned-rows-altered": Attack(
        "features",
        CLOSED + "the baseline's envelope: ",
        {"features gate 2": baseline("protect")},
        parameters=FEATURES,
    ),
    "baseline-of-cleaned-rows-removed": Attack(
        "features",
        CLOSED + f"{PROFILE} is not in this home",
        {"before features": baseline("protect", Ground.remove)},
        parameters=FEATURES,
    ),
}
