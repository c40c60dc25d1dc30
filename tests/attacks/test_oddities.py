"""Rows that are odd and right: what a run makes of them. Those that it refuses are in `oddities`."""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs import load
from flows.shell import once
from tasks.dataset import read
from tasks.home import Home
from tasks.run import Quiet, Run
from tests.attacks.bucket import CIRCLE, CIRCLES, DAYS, Operator, Row, body, lines, packed, parquet, rows
from tests.attacks.conftest import BUCKET, Pair

FIRST, LAST = DAYS
ONCE = 150
"""People with one interaction each, beside those with some two dozen."""
FEW = 11
"""Items of a user that leave nothing to validate by: of one more the test takes as many, and a tenth of ten is one."""
Ran = Callable[..., Run]


@pytest.fixture
def ran(operator: Operator, pair: Pair, request: pytest.FixtureRequest) -> Ran:
    """Runs rows through the stages, without the last; the run, which must pass."""

    def run(bodies: Mapping[str, bytes], *, stages: list[str] | None = None, **changes: Any) -> Run:
        name = f"odd_{len(request.node.name)}"  # of which no other rows are: there is nothing to drift from
        operator.fill(BUCKET, name, bodies)
        document, policy = pair(name, name=name, epochs=5, **changes)
        state, made = once(Quiet(), document=document, policy=policy, deploy=False, stages=stages)
        assert state.is_completed(), state.message
        assert made is not None
        return made

    return run


def whole(
    change: Callable[[Row], Row], more: Iterable[Row] = (), most: int = 1000, narrow: int = CIRCLE
) -> tuple[dict[str, bytes], list[Row]]:
    """Both days with every row changed, and more on the last; and all rows. Of each circle's items there are the first
    `narrow`, and of each person's the first `most`, or one less, so that some are more active than others."""
    told, took = dict[str, list[Row]](), defaultdict[str, set[str]](set)
    for day in DAYS:
        told[day] = []
        for row in rows(day):
            own, odd = took[row["user_id"]], int(row["user_id"][1:]) // CIRCLES % 2
            if int(row["item_id"][1:]) % CIRCLE < narrow and len(own | {row["item_id"]}) <= most - odd:
                own.add(row["item_id"])
                told[day].append(row | change(row))
    told[LAST] += more
    return {day: packed(lines(each)) for day, each in told.items()}, [row for each in told.values() for row in each]


def agrees(run: Run, given: list[Row]) -> None:
    """Whatever the run has published is of these rows' ids, each as it was, and of every pair of them."""
    users, items = (sorted({str(row[name]) for row in given}) for name in ("user_id", "item_id"))
    found = read(run.path(run.published["features"]))
    assert (found.users, found.items) == (users, items)
    pairs = {(row["user_id"], row["item_id"]) for row in given}
    assert {(users[user], items[item]) for user, item in zip(found.user, found.item, strict=True)} == pairs
    assert len(found.user) == len(pairs)
    ids = json.loads((run.path(run.published["model"]) / "ids.json").read_text(encoding="utf-8"))
    assert ids == {"users": users, "items": items}
    scores = pq.read_table(run.path(run.published["scores"]) / "scores.parquet")
    assert scores["user"].to_pylist() == np.unique(found.user[found.part == 2]).tolist()
    metrics = run.notes["metrics"]
    assert metrics["model"]["precision@10"]["value"] > metrics["popularity"]["precision@10"]["value"]


def test_ids_of_digits_stay_texts_and_ratings_that_are_all_equal_say_what_views_do(ran: Ran) -> None:
    """Of ids above 2^53 two are one as floats, and some are no number of 64 bits. A column of ratings is looked
    through, and not read: what a rating says is that there is one. Nobody has enough items to be validated by."""

    def digits(row: Row) -> Row:
        ids = {"user_id": str(2**63 + int(row["user_id"][1:])), "item_id": str(2**53 + int(row["item_id"][1:]))}
        return ids | {"interaction_type": "rating", "rating": 3.5}

    about = {"interaction_type": "rating", "rating": 3.5}
    ids = [("007", "7"), ("7", "007"), ("1e3", "1000"), ("18446744073709551616", "0x10")]
    more = [{"user_id": user, "item_id": item, **about, "timestamp": f"{LAST}T12:00:00Z"} for user, item in ids]
    bodies, given = whole(digits, more, most=FEW, narrow=16)
    run = ran(bodies, contract=load.text(load.find("events", "contracts")), thresholds={"precision@10": 0.1})
    agrees(run, given)
    found = read(run.path(run.published["features"]))
    assert "rating" not in found.columns
    assert not (found.part == 1).any()
    assert [(epoch, value) for epoch, _, value, _ in run.notes["epochs"]] == [(n, None) for n in range(1, 6)]
    own = found.says[found.part == 0]
    assert own.max() == 1  # a view's: the strongest that there is, where all are of one kind
    assert np.ptp(own) < 0.01  # within two days


def test_users_with_one_interaction_and_items_that_nobody_had_before_are_taken_along(ran: Ran, home: Home) -> None:
    """Ids of any printable characters, where the contract allows that: what only looks the same is not the same."""
    promised = json.loads(json.dumps(load.text(load.find("interactions", "contracts"))))
    promised["name"] = "printable"
    for each in promised["schema"][0]["properties"][:2]:
        del each["logicalTypeOptions"]["pattern"]
    composed, apart = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))

    def change(row: Row) -> Row:
        who = (composed, apart, "Ωmega", "李", "😀")[int(row["user_id"][1:]) % 5]
        return {"user_id": f"{who}{int(row['user_id'][1:]) // 5}", "item_id": f"映画-{row['item_id']}"}

    about = {"interaction_type": "view", "comment": None}
    ids = ({"user_id": f"один{n}", "item_id": f"映画-t{n:03d}"} for n in range(ONCE))
    single = [row | about | {"timestamp": f"{LAST}T12:{n // 60:02d}:{n % 60:02d}Z"} for n, row in enumerate(ids)]
    fresh = {"user_id": f"{composed}0", "item_id": "映画-новый", **about, "timestamp": f"{LAST}T23:59:59Z"}
    bodies, given = whole(change, [*single, fresh])
    run = ran(bodies, contract=promised)
    agrees(run, given)
    found = read(run.path(run.published["features"]))
    once_ = np.array([user.startswith("один") for user in found.users])
    assert once_.sum() == ONCE
    assert (found.part[once_[found.user]] == 0).all()
    assert run.notes["features"]["tested"] == len(found.users) - ONCE
    late = found.items.index("映画-новый")
    assert found.part[found.item == late].tolist() == [2]


def test_what_is_no_number_in_a_column_beside_the_declared_ones_is_nobodys_fault(ran: Ran) -> None:
    told = rows(LAST)
    bodies = {LAST: parquet(told, 2, rating=pa.array([float("nan"), float("inf")] * (len(told) // 2 + 1))[: len(told)])}
    run = ran(bodies, stages=["ingest"])
    assert run.notes["clean"]["rows in"] == run.notes["clean"]["rows out"] == sum(len(rows(day)) for day in DAYS)


def test_an_id_that_is_a_number_is_rejected_and_the_others_are_kept(ran: Ran) -> None:
    run = ran({LAST: body(LAST, change={7: {"user_id": 2**63}})}, stages=["ingest"])
    assert run.notes["clean"]["rejected"] == 1
    assert run.notes["clean"]["rows out"] == sum(len(rows(day)) for day in DAYS) - 1
    told = (run.home.evidence(run.plan.run) / "apart" / "rejects.jsonl").read_text()
    place = json.loads(told)
    assert place["file"].endswith(f"/{LAST}/part-000.jsonl.gz")
    assert (place["row"], place["rules"]) == (7, ["CON-NULL"])
