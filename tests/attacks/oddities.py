"""Rows that nobody meant ill with, of which no model can be made, or none that can be measured: each with its sentence.

What of it can be used is used; `test_oddities` has that.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from tests.attacks.bucket import DAYS, PEOPLE, Row, lines, packed, parquet, rows
from tests.attacks.conftest import LEVELS
from tests.attacks.table import FILE, Attack

FIRST, LAST = DAYS
Bodies = Callable[[], Mapping[str, bytes]]


def few(name: str) -> Mapping[str, Any]:
    """A document of this name, whose rows nothing else has drifted from; so few that drift is told to let them go."""
    return {"name": name, "data_drift_monitoring": {"levels": LEVELS | {"blind": 4.0}}}


def each(change: Callable[[Row], Row]) -> Bodies:
    """Both days, every row changed."""
    return lambda: {day: packed(lines(row | change(row) for row in rows(day))) for day in DAYS}


def of(number: int, base: int) -> Callable[[Row], Row]:
    """Ids that are whole numbers above what a float tells apart, the users' from `base` on; as they are in JSON."""
    return lambda row: {"user_id": base + int(row["user_id"][1:]), "item_id": number + int(row["item_id"][1:])}


def taken(people: int, items: int, times: int = 1) -> Bodies:
    """So many people, each of whom takes the same so many items, half of them on each day, in one order."""

    def made() -> Mapping[str, bytes]:
        told: dict[str, list[Row]] = {day: [] for day in DAYS}
        for who in range(people):
            for item in range(items):
                day, second = DAYS[item * 2 // items if items > 1 else who % 2], who * 7 + item * item * 41
                for time in range(times):
                    clock = f"{1 + time + item % 3:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
                    about = {"user_id": f"p{who:03d}", "item_id": f"t{item:03d}", "interaction_type": "view"}
                    told[day].append(about | {"timestamp": f"{day}T{clock}Z"})
        return {day: packed(lines(each)) for day, each in told.items()}

    return made


def three() -> Mapping[str, bytes]:
    """People who took three items each, of a hundred."""

    def day(which: int) -> Iterable[Row]:
        for who in range(PEOPLE):
            for item in ((1,), (2, 3))[which]:
                about = {"user_id": f"p{who:03d}", "item_id": f"t{who * item % 97:03d}", "interaction_type": "view"}
                yield about | {"timestamp": f"{DAYS[which]}T{(who + item) % 24:02d}:{who % 60:02d}:00Z"}

    return {name: packed(lines(day(which))) for which, name in enumerate(DAYS)}


def word(said: bytes, instead: bytes) -> Bodies:
    """The last day, in which one word of row 1 is another."""
    return lambda: {LAST: packed(lines(rows(LAST)).replace(said, instead, 1))}


def column(name: str, values: Callable[[int], pa.Array]) -> Bodies:
    """The last day as Parquet, with a column of other values."""
    return lambda: {LAST: parquet(rows(LAST), 2, **{name: values(len(rows(LAST)))})}


def commas() -> Mapping[str, bytes]:
    """The last day as CSV, with sixty times that are no number."""
    head = "user_id,item_id,interaction_type,timestamp"
    told = (
        f"{row['user_id']},{row['item_id']},{row['interaction_type']},{'NaN' if 3 <= n < 63 else row['timestamp']}"
        for n, row in enumerate(rows(LAST), 1)
    )
    return {LAST: "\n".join([head, *told, ""]).encode()}


BROKEN = r"\[data_contract\] fail: {} good-\S*{} row {}: {}.* rows are rejected in all, at most 1.00% may be; .*$"
UNREADABLE = r"\[data_contract\] inconclusive: good-\S*{}, {}: found {}; allowed: {}$"
WHOLE = rf"/{FIRST}/part-000\.jsonl\.gz"
NO_JSON = (r"row 1", r"a line of \d+ bytes that is not JSON", "one JSON object a line")
UNTESTED = (
    r"^features: rows\.parquet, user_id: found no user of {} with more than {} of {} items, and nothing to test on; "
    r"allowed: users with 5 items or more, whose last are held out$"
)
ODDITIES: Mapping[str, Attack] = {
    "ids-that-are-numbers": Attack(
        "ingest",
        BROKEN.format("CON-NULL", WHOLE, 1, r"4,303 of 4,303 rows lack a declared value, or have one of another type"),
        bodies=each(of(2**53, 2**63)),
    ),
    "ids-that-are-numbers-in-parquet": Attack(
        "ingest",
        UNREADABLE.format(rf"/{LAST}/part-000\.parquet", "key user_id", "the type uint64", "a string"),
        bodies=column("user_id", lambda count: pa.array([2**63 + n for n in range(count)], pa.uint64())),
    ),
    "ids-of-other-characters-than-the-contract-has": Attack(
        "ingest",
        BROKEN.format("CON-ID", WHOLE, 1, r"4,303 of 4,303 rows have an id that .*allowed: 1 to 64 plain characters"),
        bodies=each(lambda row: {"user_id": f"Zoë{row['user_id']}"}),
    ),
    "a-number-that-is-none": Attack("ingest", UNREADABLE.format(FILE, *NO_JSON), bodies=word(b'"view"', b"NaN")),
    "times-that-are-no-number": Attack(
        "ingest",
        BROKEN.format("CON-TIME", rf"/{LAST}/part-000\.csv", 3, "60 of 4,303 rows have a timestamp that tells no time"),
        bodies=commas,
    ),
    "times-that-are-no-number-in-parquet": Attack(
        "ingest",
        UNREADABLE.format(rf"/{LAST}/part-000\.parquet", "key timestamp", "the type double", "a timestamp with a zone"),
        bodies=column("timestamp", lambda count: pa.array([float("nan")] * count)),
    ),
    "ratings-where-the-contract-has-none": Attack(
        "ingest",
        BROKEN.format("CON-TYPE", WHOLE, 1, "4,303 of 4,303 rows have another interaction type; allowed: view"),
        bodies=each(lambda row: {"interaction_type": "rating", "rating": 3.5}),
    ),
    "three-items-each": Attack("features", UNTESTED.format(160, 3, 97), bodies=three, changes=few("odd_three")),
    "one-item": Attack("features", UNTESTED.format("4,000", 1, 1), bodies=taken(4000, 1), changes=few("odd_item")),
    "one-user": Attack(
        "features",
        r"^features: rows\.parquet, user_id: found 1 users and 45 items, with which no model can begin \(.*\); "
        "allowed: two or more of each$",
        bodies=taken(1, 45, 5),
        changes=few("odd_user"),
    ),
    "all-alike-with-everything-taken": Attack(
        "evaluate",
        "^evaluate: the document asks for the best 10 items: found 160 of 160 users with as few as 2 of 10 items to "
        "list; allowed: 10 or more$",
        bodies=taken(PEOPLE, 10),
        changes=few("odd_alike") | {"epochs": 2},
    ),
}
