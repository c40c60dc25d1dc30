"""Cleaning: what goes, what stays, what is told of it, and whom the rule for bots takes for one."""

import csv
import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks.clean
import tasks.spill
from deployments.lake import sample
from security.errors import BadInput, PlanError
from security.gate import judge, observe
from security.gates import contract
from security.gates.contract import ContractLimits, DataContract, Listed, Tally, faulty
from security.rows import ROWS, lines, read
from security.rows.accounts import Bots
from security.rows.columns import batch, text, times
from security.rows.scan import scan
from security.verdict import Outcome, Subject
from tasks.clean import REJECTS, SUSPECTS, Cleaned, clean
from tasks.transform import hidden

BOTH = ["deduplicate", "filter_bots"]
KEY = b"k" * 32
LIMITS = ContractLimits.model_validate(
    {"since": "", "until": "2099-12-31", "types": ["view", "click", "purchase", "rating"]}
)
START = 1_690_000_000
Event = tuple[Any, Any, Any, Any]


def batches(events: Sequence[Event], size: int = ROWS, file: str = "part") -> list[pa.RecordBatch]:
    """Batches of (user, item, type, time) as the reader makes them from JSON values."""
    parts = [events[start : start + size] for start in range(0, len(events), size)]
    columns = [list(zip(*part, strict=True)) for part in parts]
    return [batch([*map(text, columns[:3]), times(columns[3])], file, n * size) for n, columns in enumerate(columns)]


def cleaned(
    folder: Path,
    events: Sequence[Event],
    transformations: list[str] = BOTH,
    *,
    size: int = ROWS,
    limits: ContractLimits = LIMITS,
) -> tuple[Cleaned, list[Event], bytes]:
    """The counts, the rows that stay, and their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    told = clean(batches(events, size), folder / "rows.parquet", folder, limits, transformations, key=KEY)
    table = pq.read_table(folder / "rows.parquet")
    rows = zip(
        *(column.to_pylist() for column in table.columns[:3]), table["timestamp"].cast("int64").to_pylist(), strict=True
    )
    assert told.rows_out == table.num_rows
    assert told.rows_in == told.rejected + told.duplicates + told.bot_rows + told.rows_out
    return told, list(rows), (folder / "rows.parquet").read_bytes()


def people(count: int = 40) -> list[Event]:
    """Events of a few people, one every few minutes."""
    kinds = ("view", "click", "purchase")
    return [(f"u{n % 5}", f"i{n % 30}", kinds[n % 3], START + 600 * n) for n in range(count)]


def test_groups_stay_with_their_rows_and_rows_that_say_another_go(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"groups": (Listed(name="team", values=("red", "blue")),)})
    moment = "2023-07-22T00:00:00Z"
    said = [("a", "red"), ("a", None), ("a", "blue"), ("b", "green"), ("c", ""), ("d", "blue")]
    said += [("e", None), ("e", "red")]
    found = []
    for number, order in enumerate((said, said[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows_ = [{"user_id": u, "item_id": "i", "interaction_type": "view", "timestamp": moment} for u, _ in order]
        told = [row if team is None else row | {"team": team} for row, (_, team) in zip(rows_, order, strict=True)]
        (folder / "part.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
        source = contract.batches([folder / "part.jsonl"], ["part"], contract.nowhere, {"team": ["red", "blue"]})
        counts = clean(source, folder / "rows.parquet", folder, limits, BOTH, key=KEY, groups=["team"])
        assert (counts.rejected, counts.duplicates, counts.rows_out) == (1, 4, 3)
        assert counts.broken == {"CON-GROUP": 1}
        found.append((folder / "rows.parquet").read_bytes())
    table = pq.read_table(folder / "rows.parquet")
    assert table.column_names == ["user_id", "item_id", "interaction_type", "timestamp", "team"]
    kept = dict(zip(table["user_id"].to_pylist(), table["team"].to_pylist(), strict=True))
    assert kept == {"c": None, "d": "blue", "e": "red"}, "of rows that say two groups at once none stays"
    assert found[0] == found[1]


def test_good_rows_stay_sorted_by_account_then_time(tmp_path: Path) -> None:
    events = [
        ("u2", "i1", "view", START),
        ("u1", "i2", "view", START),
        ("u1", "i1", "view", START),
        ("u9", "i1", "click", START - 5),
    ]
    told, rows, _ = cleaned(tmp_path, events)
    assert told == Cleaned(rows_in=4, rejected=0, duplicates=0, bots=0, bot_rows=0, rows_out=4, broken={})
    assert rows == sorted(
        ((*event[:3], event[3] * 1_000_000) for event in events), key=lambda row: (row[0], row[3], *row[1:3])
    )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
    schema = pq.read_schema(tmp_path / "rows.parquet")
    assert schema.field("timestamp").type == pa.timestamp("us", "UTC")
    assert schema.names == ["user_id", "item_id", "interaction_type", "timestamp"]


def test_faulty_rows_go_and_are_told_by_place_and_rule(tmp_path: Path) -> None:
    events = people()
    events[3] = ("jane doe", None, "hover", "soon")
    events[38] = ("jane-doe", "i1", "hover", START)
    told, rows, _ = cleaned(tmp_path, events, size=7)
    assert (told.rejected, told.broken) == (2, {"CON-ID": 1, "CON-NULL": 1, "CON-TIME": 1, "CON-TYPE": 2})
    assert len(rows) == 38
    text = (tmp_path / REJECTS).read_text()
    assert [json.loads(line) for line in text.splitlines()] == [
        {"file": "part", "row": 4, "rules": ["CON-ID", "CON-NULL", "CON-TIME", "CON-TYPE"]},
        {"file": "part", "row": 39, "rules": ["CON-TYPE"]},
    ]
    assert "jane" not in text


def test_exact_repetitions_go(tmp_path: Path) -> None:
    events = people()
    near = [
        ("u0", "i0", "view", START + 1),
        ("u0", "i0", "click", START),
        ("u0", "i1", "view", START),
        ("u1", "i0", "view", START),
    ]
    told, rows, _ = cleaned(tmp_path / "both", events + near + events[:9] + events[:2], size=11)
    assert (told.duplicates, told.rows_out, told.bots) == (11, 44, 0)
    assert len(set(rows)) == 44
    assert cleaned(tmp_path / "none", events + events, [])[0].rows_out == 80


def test_transformations_that_are_unknown_or_twice_are_refused_before_reading(tmp_path: Path) -> None:
    def untouched() -> Any:
        raise AssertionError("was read")
        yield

    for names, message in (
        (["deduplicate", "filter_bot"], r"no transformation 'filter_bot' \(nearest: filter_bots\); there are ded"),
        (["deduplicate", "deduplicate"], "named twice"),
    ):
        with pytest.raises(PlanError, match=message):
            clean(untouched(), tmp_path / "rows.parquet", tmp_path, LIMITS, names, key=KEY)
    with pytest.raises(ValueError, match="a key of 15 bytes"):
        clean(untouched(), tmp_path / "rows.parquet", tmp_path, LIMITS, BOTH, key=b"k" * 15)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    for name, events in (
        ("rows.parquet", people()),
        (REJECTS, [*people(), (None, "i", "view", 1)]),
        (SUSPECTS, scraper()),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("kept")
        with pytest.raises(FileExistsError):
            cleaned(folder, events)
        assert (folder / name).read_text() == "kept"
        assert name == "rows.parquet" or not (folder / "rows.parquet").exists()


def test_a_file_that_cannot_be_read_leaves_no_rows(tmp_path: Path) -> None:
    good = json.dumps(dict(zip(("user_id", "item_id", "interaction_type", "timestamp"), people()[0], strict=True)))
    (tmp_path / "x.jsonl").write_text(f"{good}\nnot json\n")
    with pytest.raises(BadInput):
        clean(read([tmp_path / "x.jsonl"], ["x"]), tmp_path / "rows.parquet", tmp_path, LIMITS, BOTH, key=KEY)
    assert not (tmp_path / "rows.parquet").exists()


def test_nothing_left_is_an_empty_file_that_the_contract_refuses(tmp_path: Path) -> None:
    told, rows, _ = cleaned(tmp_path, [(None, "i", "view", START)])
    assert (told.rows_out, rows) == (0, [])
    limits = {"since": "", "until": "2099-12-31", "clean": True}
    path = tmp_path / "rows.parquet"
    subject = Subject(kind="rows", name="x", sha256="0" * 64)
    material = contract.material(subject, partial(contract.batches, [path], [path.name]), lines(path))
    seen = observe(DataContract(), material, limits)
    assert [each.rule for each in judge(DataContract(), seen, limits).findings] == ["CON-ROWS", "CON-EMPTY"]


values = st.sampled_from(["a", "b", "cc", "view", "click", "x y", "", None, 7, "é" * 9])
moments = st.sampled_from([START, START + 1, START + 90_000, "2023-10-27T14:03:11Z", "2023-10-27", None, 0, 5e12, True])
events = st.lists(
    st.tuples(values, values, st.sampled_from(["view", "click", "hover", None]), moments), min_size=1, max_size=30
)


@settings(max_examples=60, deadline=None)
@given(events, st.integers(1, 9), st.randoms())
def test_the_same_rows_make_the_same_bytes_and_cleaning_twice_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, given: list[Event], size: int, draw: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("clean")
    told, rows, body = cleaned(folder / "a", given)
    shuffled = draw.sample(given, len(given))
    assert cleaned(folder / "b", shuffled, size=size)[2] == body
    assert len(set(rows)) == len(rows)
    if rows:
        again = folder / "again.parquet"
        path = folder / "a" / "rows.parquet"
        twice = clean(read([path], ["x"]), again, folder, LIMITS, BOTH, key=KEY)
        assert (twice.rows_in, twice.rows_out, again.read_bytes()) == (len(rows), len(rows), body)


@settings(max_examples=60, deadline=None)
@given(events, st.booleans())
def test_the_gate_counts_the_rows_that_cleaning_drops(
    tmp_path_factory: pytest.TempPathFactory, given: list[Event], narrow: bool
) -> None:
    limits = ContractLimits.model_validate({"since": "", "until": "2023-09-01"}) if narrow else LIMITS
    folder, made = tmp_path_factory.mktemp("clean"), batches(given, 4)
    told = clean(made, folder / "rows.parquet", folder, limits, [], key=KEY)
    marked = sum(sum(faulty(each, limits).to_pylist()) for each in made)
    tally = scan(made, {"tally": Tally})["tally"]
    counts, cells = Counter[str](), tally.facts().cells
    for cell in cells:
        counts.update(dict.fromkeys(contract.breaks(cell.kind, limits), cell.rows))
    counted = sum(cell.rows for cell in cells if contract.breaks(cell.kind, limits))
    assert told.rejected == marked == counted
    assert told.broken == counts


def scraper(user: str = "bot", count: int = 40) -> list[Event]:
    """Reads evenly, 2 s apart."""
    return [(user, f"i{n}", "view", START + 2 * n) for n in range(count)]


def test_each_sign_alone_is_enough_and_is_told_under_a_keyed_hash(tmp_path: Path) -> None:
    farm = [("farm", "i1", "click", START + 3_000 * n + (n * n) % 997) for n in range(11)]
    awake = [("awake", f"i{n}", "view", START + 1_500 * n + (n * 131) % 290) for n in range(22)]
    told, rows, _ = cleaned(tmp_path, people() + scraper() + farm + awake)
    assert (told.bots, told.bot_rows) == (3, 40 + 11 + 22)
    assert {row[0] for row in rows} == {f"u{n}" for n in range(5)}
    found = [json.loads(line) for line in (tmp_path / SUSPECTS).read_text().splitlines()]
    assert sorted(found, key=lambda line: int(line["rows"])) == [
        {"user": hidden("farm", KEY), "rows": 11, "signs": ["repeats"]},
        {"user": hidden("awake", KEY), "rows": 22, "signs": ["awake"]},
        {"user": hidden("bot", KEY), "rows": 40, "signs": ["even"]},
    ]
    assert [line["user"] for line in found] == sorted(line["user"] for line in found)
    assert hidden("bot", b"j" * 32) != hidden("bot", KEY)


def test_bots_are_found_among_more_rows_than_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.clean, "ACCOUNTS", 16)
    monkeypatch.setattr(tasks.spill, "BATCH", 2_048)
    many = [(f"u{n % 900}", f"i{n % 700}", "view", START + 97 * n) for n in range(9_000)]
    bots = [event for number in range(9) for event in scraper(f"bot{number}")]
    told, rows, _ = cleaned(tmp_path, many + bots)
    assert (told.bots, told.bot_rows) == (9, 360)
    assert {row[0] for row in rows} == {f"u{n}" for n in range(900)}


def test_settings_come_from_the_limits(tmp_path: Path) -> None:
    farm = [("farm", "i1", "click", START + 3_000 * n + (n * n) % 997) for n in range(11)]
    assert cleaned(tmp_path / "ten", farm)[0].bots == 1
    wide = LIMITS.model_copy(update={"bots": Bots(repeats=20)})
    assert cleaned(tmp_path / "twenty", farm, limits=wide)[0].bots == 0


def test_what_a_bot_took_is_gone_from_the_catalogue_of_the_others(tmp_path: Path) -> None:
    """A walk through 900 items hides that another account took 300 of what is left in a day."""
    walk = [("walker", f"w{n}", "view", START + 3 * n) for n in range(900)]
    broad = [("broad", f"i{n}", "view", START + 40 * n + (n * n * 7) % 37) for n in range(300)]
    crowd = [(f"u{n}", f"i{n}", "view", START + 60 * n) for n in range(300)]
    told, rows, _ = cleaned(tmp_path, walk + broad + crowd)
    assert told.bots == 2
    assert {row[0] for row in rows} == {f"u{n}" for n in range(300)}


@pytest.mark.parametrize(
    ("names", "duplicates", "bot_rows", "rows_out"),
    [
        (BOTH, 1_295 + 3, 1_295, 300),
        (BOTH[::-1], 3, 2_590, 300),
        (BOTH[1:], 0, 2_590, 303),
        (BOTH[:1], 1_298, 0, 1_595),
        ([], 0, 0, 2_893),
    ],
)
def test_what_each_takes_depends_on_their_order(
    tmp_path: Path, names: list[str], duplicates: int, bot_rows: int, rows_out: int
) -> None:
    """Everything that the bots did is there twice; with the walk gone, all is gone through a second time."""
    walk = [("walker", f"w{n}", "view", START + 3 * n) for n in range(900)]
    broad = [("broad", f"i{n}", "view", START + 40 * n + (n * n * 7) % 37) for n in range(300)]
    crowd = [(f"u{n}", f"i{n}", "view", START + 60 * n) for n in range(300)]
    told, rows, _ = cleaned(tmp_path, (walk + broad + scraper(count=95)) * 2 + crowd + crowd[:3], names, size=97)
    assert (told.rows_in, told.duplicates, told.bot_rows, told.rows_out) == (2_893, duplicates, bot_rows, rows_out)
    assert rows == sorted(rows, key=lambda row: (row[0], row[3], *row[1:3]))
    if bot_rows:
        found = [json.loads(line) for line in (tmp_path / SUSPECTS).read_text().splitlines()]
        times = 1 if names == BOTH else 2
        assert {line["user"]: (line["rows"], tuple(line["signs"])) for line in found} == {
            hidden("walker", KEY): (900 * times, ("even", "breadth")),
            hidden("broad", KEY): (300 * times, ("breadth",)),
            hidden("bot", KEY): (95 * times, ("even",)),  # by the catalogue that it was found with
        }


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[str]]:
    """The sample's partitions as files."""
    folder = tmp_path_factory.mktemp("lake")
    paths, names = [], []
    for n, (key, body) in enumerate(sample.partitions()):
        if key.startswith(sample.PREFIX):
            paths.append(folder / f"{n:03d}.jsonl.gz")
            names.append(key)
            paths[-1].write_bytes(body)
    return paths, names


def test_the_sample_loses_its_repetitions_and_its_bots_and_nothing_else(
    tmp_path: Path, lake: tuple[list[Path], list[str]]
) -> None:
    told = clean(read(*lake), tmp_path / "rows.parquet", tmp_path, LIMITS, BOTH, key=KEY)
    truth = sample.truth()
    assert (told.rows_in, told.rejected, told.duplicates) == (truth.rows, 0, truth.duplicates)
    lines_of = map(json.loads, (tmp_path / SUSPECTS).read_text().splitlines())
    found = {line["user"]: set(line["signs"]) for line in lines_of}
    planted = {hidden(user, KEY): habit for user, habit in truth.bots.items()}
    assert len(found.keys() & planted.keys()) / len(found) == 1.0
    assert len(found.keys() & planted.keys()) / len(planted) >= 0.95
    sign = {"scraper": {"even", "breadth"}, "clickfarm": {"repeats"}, "stealth": {"awake", "hours"}}
    assert sum(bool(sign[planted[user]] & signs) for user, signs in found.items()) >= 0.95 * len(found)


def test_nobody_in_movielens_is_taken_for_a_bot(tmp_path: Path) -> None:
    shared = Path(os.environ.get("SLUICE_SHARED") or Path(__file__).parents[2].parent / "shared")
    path = shared / "data" / "ml-latest-small" / "ratings.csv"
    if not path.is_file():
        pytest.skip(f"REAL DATA ABSENT: no ml-latest-small under {shared}; set SLUICE_SHARED")
    with path.open(newline="") as raw:
        rows = [(row["userId"], row["movieId"], "rating", int(row["timestamp"])) for row in csv.DictReader(raw)]
    told, _, _ = cleaned(tmp_path, rows)
    assert told == Cleaned(rows_in=100_004, rejected=0, duplicates=0, bots=0, bot_rows=0, rows_out=100_004, broken={})


def test_a_cleaned_set_passes_the_contract(tmp_path: Path, lake: tuple[list[Path], list[str]]) -> None:
    clean(read(lake[0][:3], lake[1][:3]), tmp_path / "rows.parquet", tmp_path, LIMITS, BOTH, key=KEY)
    path = tmp_path / "rows.parquet"
    limits = {"since": "2023-06-30", "until": "2023-07-02", "clean": True}
    subject = Subject(kind="rows", name="x", sha256="0" * 64)
    for paths, names, outcome in (([path], ["rows.parquet"], Outcome.PASS), (lake[0][:3], lake[1][:3], Outcome.FAIL)):
        material = contract.material(subject, partial(contract.batches, paths, names), sum(map(lines, paths)))
        assert judge(DataContract(), observe(DataContract(), material, limits), limits).outcome == outcome
