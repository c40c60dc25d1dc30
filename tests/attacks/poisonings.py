"""What is done to rows by accounts that act together: each is as it should be, and only all of them tell.

Their rows keep the contract, hold nothing personal, and are too few to move a column.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import pytest

from tests.attacks.attacker import Ground
from tests.attacks.bucket import CIRCLE, CIRCLES, DAYS, Row, body, key, lines, packed, rows
from tests.attacks.table import Attack

FIRST, LAST = DAYS
TARGET = "t999"
"""An item that nobody else takes."""
EARLIER = 14
"""Days before these two, the accounts of each of which are new, but in the first week, of which nobody knows."""
PUSHED, PUSHES = 3, 40
"""The day of them on which accounts push the target, and how many do."""
FAILS = r"\[data_poisoning\] fail: "


def copies() -> Mapping[str, bytes]:
    """The last day, and in it six accounts with the same twelve items."""
    made = [
        {"user_id": f"w{who}", "item_id": f"t{20 * n + 7:03d}", "interaction_type": "view", "comment": None}
        | {"timestamp": f"{LAST}T{7 + n:02d}:{(13 * who + 29 * n) % 60:02d}:{(17 * n + who * who) % 60:02d}Z"}
        for who in range(6)
        for n in range(12)
    ]
    return {LAST: body(LAST, more=made)}


def earlier(back: int) -> Iterator[Row]:
    """The first day's rows so many days before, by other accounts about other circles' items, whose hits stay hits; on
    one day some push the target."""
    day, moved = str(date.fromisoformat(FIRST) - timedelta(back)), dict[str, Row]()
    for row in rows(FIRST):
        item = (int(str(row["item_id"])[1:]) + back * 2 * CIRCLE) % (CIRCLES * CIRCLE)
        again = row | {"user_id": f"{row['user_id']}-{back}", "item_id": f"t{item:03d}"}
        moved[again["user_id"]] = again | {"timestamp": day + str(row["timestamp"])[10:]}
        yield moved[again["user_id"]]
    if back == PUSHED:
        yield from (row | {"item_id": TARGET} for _, row in sorted(moved.items())[:PUSHES])


def pushed(_: pytest.MonkeyPatch, at: Ground) -> None:
    """The bucket has more days, before those that are good, and on one of them new accounts take one item."""
    for back in range(1, EARLIER + 1):
        day = str(date.fromisoformat(FIRST) - timedelta(back))
        at.operator.put(at.bucket, key(at.prefix, day), packed(lines(earlier(back))))


POISONINGS = {
    "accounts-with-the-same-items": Attack(
        "features",
        FAILS + "POI-COPIES set 1: 6 accounts have the very same 12 items; allowed: fewer than 5, of 10 items or more",
        bodies=copies,
    ),
    "a-burst-of-new-accounts-on-one-item": Attack(
        "features",
        FAILS + rf"POI-BURST item \d+: {PUSHES} of \d+ accounts that were new from 20\d\d-\d\d-\d\d on took it at "
        r"once \([\d,]+ pairs in all\), 0 of [\d,]+ others when they were new \([\d,]+\); by chance once in 10\^",
        patch=pushed,
    ),
}
