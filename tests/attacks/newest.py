"""What is done to the rows of the newest partition alone: of all partitions together too little to be told."""

from typing import Any

import numpy as np
import pytest

import tasks.transform
from tests.attacks.attacker import Ground
from tests.attacks.bucket import lines, packed, rows
from tests.attacks.drifts import AGAINST, FAILS, LAST, each
from tests.attacks.table import Attack

SINCE = np.datetime64(LAST, "us").astype(np.int64)


def alone(where: str, what: str = "") -> str:
    """What is said where nothing but the newest partition moved."""
    return f"{FAILS}DRIFT-NEWEST{what} newest {where}: {AGAINST}"


def losing(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task that cleans the rows loses seven of eight of the last day, and says that they were there twice."""
    real = tasks.transform.deduplicate

    def few(part: Any, stay: Any, watch: Any) -> Any:
        return real(part, stay, watch) & ((part.time < SINCE) | (np.arange(len(stay)) % 8 == 0))

    patch.setitem(tasks.transform.TRANSFORMATIONS, "deduplicate", few)


NEWEST = {
    "a-day-of-two-with-other-types": Attack(
        "ingest",
        alone("interaction_type"),
        bodies=each(lambda at, _: {"interaction_type": "purchase"} if at % 9 < 2 else {}, LAST),
    ),
    "a-day-of-two-with-other-users": Attack(
        "ingest",
        alone("user_id", "-IDS"),
        bodies=each(lambda _, row: {"user_id": f"{row['user_id']}-2"}, LAST),
    ),
    "a-day-of-two-with-an-eighth-of-its-rows": Attack(
        "ingest", alone("rows", "-ROWS"), bodies=lambda: {LAST: packed(lines(rows(LAST)[::8]))}
    ),
    "rows-of-one-day-lost-while-cleaning": Attack("features", alone("rows", "-ROWS"), patch=losing),
}
