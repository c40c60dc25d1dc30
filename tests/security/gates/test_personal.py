"""Personal data: what is found wherever it stands, what a role explains, what a policy allows, and no leak."""

import datetime
import json
import logging
import pickle
import random
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presidio_analyzer import pattern_recognizer
from pydantic import ValidationError

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates import contract
from security.gates.personal import (
    NAMES,
    Facts,
    Hit,
    PersonalLimits,
    PiiDetection,
    Sweep,
    decoys,
    material,
    naming,
    sweep,
    tally,
)
from security.gates.personal.limits import CHANCE
from security.material import Material
from security.personal.cells import LONGEST
from security.rows import lines, read
from security.rows.beside import OPAQUE, beside
from security.rows.columns import SCHEMA
from security.rows.scan import merged, scan
from security.verdict import Outcome, Subject, Verdict

pytestmark = pytest.mark.usefixtures("offline")

Row = dict[str, Any]
GATE = PiiDetection()
SECRET = b"s" * 32
SUBJECT = Subject(kind="rows", name="test", sha256="0" * 64)
GOOD: Row = {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "timestamp": "2023-10-27T14:03:11Z"}
ROLES = {"user_id": "id", "item_id": "id", "timestamp": "time", "time": "time", "user_agent": "agent"}
MAIL, CARD, IBAN, SSN = "jane.doe@example.com", "4111111111111111", "DE89370400440532013000", "536-90-4399"


def lined(folder: Path, *rows: Any, name: str = "x") -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(GOOD | row) + "\n" for row in rows))
    return path


def parquet(folder: Path, columns: dict[str, pa.Array], group: int | None = None) -> Path:
    size = len(next(iter(columns.values())))
    whole: dict[str, Any] = {name: pa.array([GOOD[name]] * size) for name in list(GOOD)[:3]}
    whole["timestamp"] = pa.array([datetime.datetime(2023, 10, 27, tzinfo=datetime.UTC)] * size)
    pq.write_table(pa.table(whole | columns), folder / "x.parquet", row_group_size=group)
    return folder / "x.parquet"


def told(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, and that every column's name in it is known."""
    return naming(batch, [name for name, *_ in beside(batch)])


def facts(*paths: Path) -> Facts:
    """What a look finds in files."""
    found: Facts = scan(map(told, read(paths, [path.name for path in paths])), {"p": Sweep})["p"].facts()
    return found


def seen(found: Facts) -> dict[tuple[str, str, str], Hit]:
    """Hits by column, entity and form."""
    return {(each.column, each.entity, each.form): each for each in found.hits}


def opened(*paths: Path) -> Material[pa.RecordBatch]:
    source = partial(contract.batches, paths, [path.name for path in paths])
    made = contract.material(SUBJECT, source, sum(map(lines, paths)))
    return material(made, {name for batch in source() for name, *_ in beside(batch)})


def verdict(path: Path, **limits: Any) -> Verdict:
    """Look and judge, under the usual roles."""
    limits = {"roles": ROLES} | limits
    return judge(GATE, observe(GATE, opened(path), limits, random.Random(7)), limits)


def broken(found: Verdict) -> set[tuple[str, str]]:
    """Rule and place of each finding."""
    return {(each.rule, each.place) for each in found.findings}


KINDS = [
    ("EMAIL_ADDRESS", f"write to {MAIL} soon"),
    ("CREDIT_CARD", "4111 1111 1111 1111"),
    ("IBAN_CODE", f"pay {IBAN}"),
    ("US_SSN", f"ssn {SSN}"),
    ("PHONE_NUMBER", "call +44 20 7946 0958"),
    ("IP_ADDRESS", "from 192.168.0.1"),
    ("URL", "see https://example.org/jane"),
    ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("MAC_ADDRESS", "00:1A:2B:3C:4D:5E"),
    ("UK_NHS", "943 476 5919"),
    ("US_PASSPORT", "my passport 123456789"),
    ("DATE_TIME", "born 31.12.99"),
]


@pytest.mark.parametrize("column", ["user_id", "item_id", "interaction_type", "comment"])
def test_each_kind_is_found_in_each_column(tmp_path: Path, column: str) -> None:
    found = facts(lined(tmp_path, {}, *({column: text} for _, text in KINDS)))
    held = seen(found)
    for row, (entity, _) in enumerate(KINDS, 2):
        hit = held[column, entity, "plain"]
        assert (0, row) in hit.first
        # The digits of a patient's number are those of one to call as well.
        assert hit.cells == 1 + (entity == "PHONE_NUMBER")
    assert {each.column for each in found.hits} == {column}
    assert found.rows == len(KINDS) + 1
    assert found.unseen == ("LOCATION", "NRP", "ORGANIZATION", "PERSON")


def test_an_integer_is_looked_at_as_its_text(tmp_path: Path) -> None:
    found = facts(lined(tmp_path, {"n": 5}, {"n": int(CARD)}, {"user_id": int(CARD)}, {"timestamp": int(CARD)}))
    assert {(hit.column, hit.entity, hit.first) for hit in found.hits} == {
        ("n", "CREDIT_CARD", ((0, 2),)),
        ("user_id", "CREDIT_CARD", ((0, 3),)),
        ("timestamp", "CREDIT_CARD", ((0, 4),)),
    }


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(22, 2), pa.string_view()], ids=str
)
def test_a_card_is_found_in_a_column_of_parquet_of_any_type(tmp_path: Path, kind: pa.DataType) -> None:
    values = pa.array([None, int(CARD), 7]).cast(pa.string() if kind == pa.string_view() else kind).cast(kind)
    hit = seen(facts(parquet(tmp_path, {"n": values})))["n", "CREDIT_CARD", "plain"]
    assert (hit.cells, hit.score, hit.first) == (1, 1.0, ((0, 2),))


@pytest.mark.parametrize(("column", "called"), [("phone_number", True), ("contactPhone", True), ("amount", False)])
def test_digits_alone_are_a_telephone_number_where_the_name_says_so(tmp_path: Path, column: str, called: bool) -> None:
    for number, text in ((2125555555, "2125555555"), (493012345678, "493012345678")):
        held = (
            seen(facts(parquet(tmp_path, {column: pa.array([number, None])}))),
            seen(facts(lined(tmp_path, {column: number}, {column: text}))),
        )
        assert [(column, "PHONE_NUMBER", "plain") in each for each in held] == [called] * 2
    assert ("amount", "PHONE_NUMBER", "plain") in seen(facts(lined(tmp_path, {"amount": "phone 2125555555"})))


def test_a_name_that_says_something_is_found_and_not_told(tmp_path: Path) -> None:
    rows = [{"plain": 1}, {MAIL: "x", "first name": "y"}, {MAIL: CARD, "größe": None, "x" * 65: 1, "USER_ID": 1}]
    found = facts(lined(tmp_path, *rows))
    called = [each.name for each in found.columns if not each.declared]
    assert called == ["plain", "column 2", "column 3", "column 4", "column 5", "USER_ID", NAMES]
    assert seen(found)[NAMES, "EMAIL_ADDRESS", "plain"].first == ((0, 2),)
    assert seen(found)["column 2", "CREDIT_CARD", "plain"].first == ((0, 3),)
    text = found.model_dump_json()
    assert not [each for each in ("jane", "first name", "gr\u00f6\u00dfe", "x" * 65, CARD) if each in text]
    assert broken(verdict(lined(tmp_path, *rows))) == {("PII-FOUND", NAMES), ("PII-FOUND", "column 2")}


@pytest.mark.parametrize(
    ("value", "entity"),
    [
        ({"a": [{"b": MAIL}]}, "EMAIL_ADDRESS"),
        (json.dumps({"a": json.dumps({"b": MAIL})}), "EMAIL_ADDRESS"),
        ({MAIL: 1}, "EMAIL_ADDRESS"),
        (["4111", "1111", "1111", "1111"], "CREDIT_CARD"),
        ([["jane.doe@exam"], ["ple.com"]], "EMAIL_ADDRESS"),
        ({"phone": "2125555555"}, "PHONE_NUMBER"),
        ({"phones": [{"value": 2125555555}]}, "PHONE_NUMBER"),
        ("/signup?phone=2125555555&x=1", "PHONE_NUMBER"),
        ("jane.doe\uff0540example.com", "EMAIL_ADDRESS"),
        ("jane.doe%40example.com", "EMAIL_ADDRESS"),
        ("jane.doe\uff20example.com", "EMAIL_ADDRESS"),
        ("\uff14" + "\uff11" * 15, "CREDIT_CARD"),
        ("4111\u200b1111\u200b1111\u200b1111", "CREDIT_CARD"),
        ("j\u0430ne.doe@ex\u0430mple.c\u043em", "EMAIL_ADDRESS"),
        ("DE8937\u200b0400440532013000", "IBAN_CODE"),
    ],
)
def test_what_is_nested_or_in_disguise_is_found(tmp_path: Path, value: Any, entity: str) -> None:
    held = seen(facts(lined(tmp_path, {"note": value})))
    assert ("note", entity, "plain") in held or ("note", entity, "disguised") in held
    rules = broken(verdict(lined(tmp_path, {"note": value})))
    assert rules & {("PII-FOUND", "note"), ("PII-DISGUISED", "note")}


def test_nested_parquet_is_looked_through(tmp_path: Path) -> None:
    columns = {
        "s": pa.array([{"a": [1, 2], "b": {"c": MAIL}}, None]),
        "l": pa.array([None, ["4111", "1111", "1111", "1111"]]),
        "m": pa.array([[("k", IBAN)], None], pa.map_(pa.string(), pa.string())),
        "d": pa.array(["x", f"ssn {SSN}"]).dictionary_encode(),
    }
    found = {(hit.column, hit.entity): hit.first for hit in facts(parquet(tmp_path, columns)).hits}
    assert found["s", "EMAIL_ADDRESS"] == ((0, 1),)
    assert found["l", "CREDIT_CARD"] == ((0, 2),)
    assert found["m", "IBAN_CODE"] == ((0, 1),)
    assert found["d", "US_SSN"] == ((0, 2),)


BYTES = [
    (pa.array([b"\xff\xfe\x01", b"fine"], pa.binary()), 1),
    (pa.array([b"\xff\xfe\x01", b"\xff\xfe\x01"], pa.binary(3)), 2),
    (pa.array([{"k": b"\xff\xfe\x01"}, {"k": b"fine"}]), 1),
    (pa.array([[b"fine", b"\xff\xfe\x01"], None]), 1),
    (pa.array([b"\xff\xfe\x01", b"fine"], pa.binary_view()), 1),
]


@pytest.mark.parametrize(("values", "count"), BYTES, ids=[str(values.type) for values, _ in BYTES])
def test_bytes_of_no_known_encoding_cannot_be_told(tmp_path: Path, values: pa.Array, count: int) -> None:
    path = parquet(tmp_path, {"raw": values})
    (column,) = [each for each in facts(path).columns if each.name == "raw"]
    assert column.opaque == count
    found = verdict(path)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "bytes")
    assert f"{count} of" in found.reason
    assert verdict(path, actions={"raw": {"*": "drop"}}).outcome is Outcome.PASS
    assert verdict(path, actions={"raw": {"URL": "drop"}}).cause == "bytes"
    assert verdict(path, actions={"raws": {"*": "drop"}, "ra": {"*": "drop"}}).cause == "bytes"


def test_what_is_ascii_in_bytes_is_found_all_the_same(tmp_path: Path) -> None:
    wide = MAIL.encode("utf-16")
    path = parquet(tmp_path, {"raw": pa.array([b"\xff" + MAIL.encode(), wide], pa.binary())})
    assert seen(facts(path))["raw", "EMAIL_ADDRESS", "plain"].cells == 2
    found = verdict(path)
    assert (found.outcome, broken(found)) == (Outcome.FAIL, {("PII-FOUND", "raw")})


SPLIT = [
    ({"a": "jane.doe@exam", "b": "ple.com"}, "EMAIL_ADDRESS"),
    ({"a": "DE8937040044", "b": "0532013000"}, "IBAN_CODE"),
    ({"a": "mt84malt0110", "b": "00012345mtlcast001s"}, "IBAN_CODE"),
    ({"a": "41111111", "b": "11111111"}, "CREDIT_CARD"),
    ({"a": "jane.doe\uff20exam", "b": "ple.com"}, "EMAIL_ADDRESS"),
    ({"a": "jane.doe@exam", "m": None, "b": "ple.com"}, "EMAIL_ADDRESS"),
    ({"a": "jane.doe@exam", "m": "", "b": "ple.com"}, "EMAIL_ADDRESS"),
    ({"a": "\0jane.doe@exam", "b": "ple.com"}, "EMAIL_ADDRESS"),
    ({"a": "bob@example.org, jane.doe@exam", "b": "ple.com"}, "EMAIL_ADDRESS"),
    ({"user_id": "jane.doe@exam", "item_id": "ple.com"}, "EMAIL_ADDRESS"),
]


@pytest.mark.parametrize(("row", "entity"), SPLIT)
def test_what_lies_over_two_cells_of_a_row_is_found(tmp_path: Path, row: Row, entity: str) -> None:
    first, *_, second = row
    # Another row stands before it, with the columns in another order.
    path = lined(tmp_path, {"b": "y", "m": "x", "a": "x"}, row)
    hit = seen(facts(path))[f"{first} + {second}", entity, "split"]
    assert (hit.cells, hit.first) == (1, ((0, 2),))
    everything = {each: {"*": "drop"} for each in ("a", "b", "m")}
    found = broken(verdict(path, actions=everything))
    assert found == ({("PII-SPLIT", f"{first} + {second}")} if first == "user_id" else set())
    assert ("PII-SPLIT", f"{first} + {second}") in broken(verdict(path, actions={"a": {"*": "drop"}}))


def test_columns_of_one_name_stand_beside_each_other_too(tmp_path: Path) -> None:
    path = parquet(
        tmp_path, {"a": pa.array(["jane.doe@exam", "x"]), "b": pa.array(["ple.com", None]), "c": pa.array(["y", MAIL])}
    )
    table = pq.read_table(path)
    pq.write_table(table.rename_columns([*table.column_names[:4], "a", "a", "c"]), path)
    assert {hit.column: hit.first for hit in facts(path).hits if hit.entity == "EMAIL_ADDRESS"} == {
        "a + a": ((0, 1),),
        "c": ((0, 2),),
    }


def test_an_address_and_what_follows_it_is_nothing_over_two(tmp_path: Path) -> None:
    assert {hit.form for hit in facts(lined(tmp_path, {"a": "bob@example.co", "b": "m and more"})).hits} == {"plain"}


@pytest.mark.parametrize(("cards", "counts"), [(2, False), (10, True)])
def test_a_card_over_two_columns_counts_above_the_share_of_chance(tmp_path: Path, cards: int, counts: bool) -> None:
    rows = [{"a": "41111111", "b": "11111111" if n < cards else "11111112"} for n in range(20)]
    path = lined(tmp_path, *rows)
    assert seen(facts(path))["a + b", "CREDIT_CARD", "split"].cells == cards
    assert (cards / 20 > CHANCE) is counts
    assert broken(verdict(path)) == ({("PII-SPLIT", "a + b")} if counts else set())


def test_one_row_is_found_wherever_it_stands_in_a_large_file(tmp_path: Path) -> None:
    size = 70_000
    texts = ["nice"] * size
    texts[33_333], texts[-1] = f"to {MAIL}", f"ssn {SSN}"
    late: list[str | None] = [None] * size
    late[-1] = CARD
    path = parquet(tmp_path, {"comment": pa.array(texts), "late": pa.array(late)}, group=20_000)
    assert {(hit.column, hit.entity): hit.first for hit in facts(path).hits} == {
        ("comment", "EMAIL_ADDRESS"): ((0, 33_334),),
        ("comment", "US_SSN"): ((0, size),),
        ("late", "CREDIT_CARD"): ((0, size),),
    }


def test_a_column_of_one_row_is_looked_at(tmp_path: Path) -> None:
    rows: list[Row] = [{} for _ in range(50)]
    rows[31] = {"new": MAIL}
    assert seen(facts(lined(tmp_path, *rows)))["new", "EMAIL_ADDRESS", "plain"].first == ((0, 32),)


SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7")
PHONES = ("iPhone; CPU iPhone OS 17_1 like Mac OS X", "Linux; Android 13; SM-S901B", "Linux; Android 10; K")
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "curl/8.4.0",
    "python-requests/2.31.0",
    "Dalvik/2.1.0 (Linux; U; Android 9; SM-G960F Build/PPR1.180610.011)",
    "okhttp/4.9.3",
)


def agent(draw: random.Random) -> str:
    """What a browser, or a bot, says of itself."""
    if draw.random() < 0.1:
        return draw.choice(BOTS)
    version = f"{draw.randrange(80, 121)}.0.{draw.randrange(1000, 9999)}.{draw.randrange(10, 200)}"
    webkit = f"Mozilla/5.0 ({draw.choice(SYSTEMS + PHONES)}) AppleWebKit/537.36 (KHTML, like Gecko)"
    return draw.choice(
        (
            f"{webkit} Chrome/{version} Safari/537.36",
            f"{webkit} Chrome/{version} Safari/537.36 Edg/{version}",
            f"{webkit} Chrome/{version} Mobile Safari/537.36 OPR/{draw.randrange(60, 99)}.0.{version[-8:]}",
            f"{webkit} Version/17.{draw.randrange(9)} Mobile/15E148 Safari/604.1",
            f"Mozilla/5.0 ({draw.choice(SYSTEMS)}; rv:{version[:3]}.0) Gecko/20100101 Firefox/{version[:3]}.0",
        )
    )


def identity(draw: random.Random) -> str:
    """A pseudonym in one of the forms that there are."""
    digits = str(draw.randrange(10 ** draw.randrange(6, 17)))
    return draw.choice(
        (
            digits,
            f"{draw.getrandbits(64):016x}",
            f"{draw.getrandbits(128):032x}",
            str(uuid.UUID(int=draw.getrandbits(128))),
            f"{draw.choice(('u', 'usr-', 'user_', 'id:'))}{digits}",
        )
    )


def moment(draw: random.Random) -> str | int:
    """A time as it may stand in a column that nobody declared."""
    seconds = draw.randrange(15 * 10**8, 17 * 10**8) // 90_000 * 90_000 + draw.randrange(60)
    told = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    forms: list[str | int] = [seconds * factor for factor in (1, 1_000, 1_000_000)]
    forms += [told.strftime("%Y-%m-%dT%H:%M:%SZ"), told.strftime("%Y-%m-%d %H:%M:%S")]
    return draw.choice(forms)


@pytest.fixture(scope="module")
def clean() -> list[Row]:
    """A log that holds nothing personal."""
    draw = random.Random(11)
    times, agents = [moment(draw) for _ in range(1_500)], [agent(draw) for _ in range(600)]
    return [
        {
            "user_id": identity(draw),
            "item_id": identity(draw),
            "time": draw.choice(times),
            "user_agent": draw.choice(agents),
        }
        for _ in range(20_000)
    ]


@pytest.mark.timeout(600)
def test_nothing_counts_in_a_clean_log_and_everything_certain_does(tmp_path: Path, clean: list[Row]) -> None:
    limits = PersonalLimits.model_validate({"roles": ROLES})
    found = facts(lined(tmp_path, *clean))
    assert [hit for hit in found.hits if limits.counts(hit, found)] == []
    by = {(hit.column, hit.entity) for hit in found.hits}
    assert {("user_id", "CREDIT_CARD"), ("user_id", "UK_NHS"), ("time", "DATE_TIME"), ("user_agent", "URL")} <= by
    wrong = {hit.column for hit in found.hits if PersonalLimits().counts(hit, found)}
    assert {"user_id", "item_id", "time", "user_agent"} <= wrong


@pytest.mark.parametrize("column", ["user_id", "item_id", "time", "user_agent"])
@pytest.mark.parametrize("value", [MAIL, IBAN, "4111 1111 1111 1111", SSN], ids=["mail", "iban", "card", "ssn"])
def test_what_no_role_explains_counts_in_every_column(
    tmp_path: Path, clean: list[Row], column: str, value: str
) -> None:
    rows = [dict(row) for row in clean[:30]]
    rows[17][column] = value
    found = verdict(lined(tmp_path, *rows))
    assert (found.outcome, broken(found)) == (Outcome.FAIL, {("PII-FOUND", column)})
    assert "x.jsonl row 18" in found.findings[0].message


@pytest.mark.parametrize(("every", "counts"), [(10, False), (1, True)])
def test_a_column_of_cards_is_no_column_of_ids(tmp_path: Path, every: int, counts: bool) -> None:
    draw = random.Random(3)
    rows = [{"user_id": decoys.card(draw) if n % every == 0 else f"{n}"} for n in range(40)]
    assert broken(verdict(lined(tmp_path, *rows))) == ({("PII-FOUND", "user_id")} if counts else set())


def test_cards_among_other_ids_are_held_against_ids_that_are_written_like_them(tmp_path: Path) -> None:
    draw = random.Random(3)
    others = [{"user_id": f"u{n}"} for n in range(400)]
    cards = [{"user_id": decoys.card(draw)} for _ in range(25)]
    assert broken(verdict(lined(tmp_path, *others, *cards))) == {("PII-FOUND", "user_id")}
    numbers = [f"4{draw.randrange(10**15):015d}" for _ in range(400)]
    assert broken(verdict(lined(tmp_path, *others, *({"user_id": each} for each in numbers)))) == set()


@pytest.mark.parametrize("form", ["card:{}", "pay/{}", "u1:{}", "urn:u:{}-x", "_"])
def test_they_are_however_the_ids_around_them_are_written(tmp_path: Path, form: str) -> None:
    def ids(numbers: list[str]) -> list[Row]:
        if form == "_":
            written = ["_".join(each[at : at + 4] for at in range(0, 16, 4)) for each in numbers]
        else:
            written = [form.format(each) for each in numbers]
        return [*({"user_id": f"u{n}"} for n in range(400)), *({"user_id": each} for each in written)]

    draw = random.Random(3)
    cards = [decoys.card(draw) for _ in range(50)]
    numbers = [f"4{draw.randrange(10**15):015d}" for _ in range(400)]
    assert broken(verdict(lined(tmp_path, *ids(cards)))) == {("PII-FOUND", "user_id")}
    assert broken(verdict(lined(tmp_path, *ids(numbers)))) == set()


@pytest.mark.parametrize(
    "value",
    ["ssn 536904399", "call 2125550199", "http://a.com/536-90-4399", f"http://a.com/?m={MAIL}"],
)
def test_an_id_in_words_and_what_lies_in_a_link_count(tmp_path: Path, value: str) -> None:
    assert broken(verdict(lined(tmp_path, {}, {"user_id": value}))) == {("PII-FOUND", "user_id")}


@pytest.mark.parametrize(
    ("value", "entities"),
    [
        ("Mozilla/5.0 ssn 536904399", {"US_SSN"}),
        ("MyApp/1.0 phone 9172345678", {"PHONE_NUMBER"}),
        ("MyApp/1.0 phone 917.234.5678", {"PHONE_NUMBER"}),
        ("passport 123456789 license A1234567", {"US_PASSPORT", "US_DRIVER_LICENSE"}),
        ("nhs 9434765919", {"UK_NHS"}),
        ("ssn:536904399", {"US_SSN"}),
        ("MyApp/1.0 ssn/536904399", {"US_SSN"}),
        ("MyApp/1.0 ssn 536.90.4399", {"US_SSN"}),
        ("MyApp/1.0 from 192.168.0.1", {"IP_ADDRESS"}),
        ("MyApp/1.0 X-Forwarded-For 81.2.69.142", {"IP_ADDRESS"}),
        ("MyApp/1.0 client_ip 81.2.69.142", {"IP_ADDRESS"}),
        ("tel/9172345678", {"PHONE_NUMBER"}),
        (f"MyApp/1.0 (+http://a.com/{'x/' * 50}9434765919)", {"UK_NHS"}),
    ],
)
def test_what_no_browser_says_counts_in_its_column(tmp_path: Path, value: str, entities: set[str]) -> None:
    found = verdict(lined(tmp_path, {"user_agent": value}))
    assert {each.message.split()[0] for each in found.findings} == entities


@pytest.mark.parametrize("column", ["user_agent", "note"])
def test_versions_count_nowhere_but_in_a_browsers_words(tmp_path: Path, column: str) -> None:
    """From logs: numbers of releases, with a check digit or like an address; what is after a scheme is a site's."""
    texts = [
        "Mozilla/5.0 (compatible; Butterfly/1.0; +http://labs.topsy.com/butterfly/) Gecko/2009032608 Firefox/3.0.8",
        "okhttp/9434765919",
        "Mozilla/5.0 (Windows; U; Windows NT 5.1; en-US; rv:1.9.1.2) Gecko/20090729 Firefox/3.5.2",
        "Mobile/22D82 Instagram 375.2.0.33.77 (iPhone16,1; iOS 18_3_2; en_US; en; scale=3.00; 1179x2556; 719346134)",
        "Instagram 27.0.0.7 Android (33/13; 420dpi; 1080x2340; samsung; SM-G991U; o1q; qcom; en_US; 458229258)",
        "Mozilla/5.0 (compatible;vu-server-health-scanner/1.0;https://130.37.198.75/index.html)",
        "[FBAN/FBIOS;FBAV/377.0.0.22.107;FBBV/383942137;FBDV/iPhone14,5;FBID/phone;FBLC/en_US;FBOP/5;FBRV/384721234]",
    ]
    found = broken(verdict(lined(tmp_path, *({column: text} for text in texts))))
    assert found == (set() if column == "user_agent" else {("PII-FOUND", "note")})


def test_what_stands_like_a_version_in_an_id_is_what_it_was(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = [{"user_id": f"u/{decoys.card(draw)}"} for _ in range(40)]
    assert broken(verdict(lined(tmp_path, *rows[:5], *({"user_id": f"u{n}"} for n in range(40))))) == set()
    assert broken(verdict(lined(tmp_path, *rows))) == {("PII-FOUND", "user_id")}
    for value in ("app/9434765919 of it", "rv:1.9.0.13"):
        assert broken(verdict(lined(tmp_path, {"user_id": value}, {"item_id": "i"}))) == {("PII-FOUND", "user_id")}


def test_a_link_hides_nothing_that_lies_in_it(tmp_path: Path) -> None:
    agent_ = "Mozilla/5.0 (compatible; AcmeBot/1.0; +http://acme.com/bot?ssn=536-90-4399&tel=+44-20-7946-0958)"
    found = verdict(lined(tmp_path, {"user_agent": agent_}))
    assert {each.message.split()[0] for each in found.findings} == {"PHONE_NUMBER", "US_SSN"}
    kept = verdict(lined(tmp_path, {"note": agent_}), actions={"note": {"URL": "drop"}})
    assert {each.message.split()[0] for each in kept.findings} == {"PHONE_NUMBER", "US_SSN"}


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_text_of_two_or_four_bytes_a_character_is_read(tmp_path: Path, coding: str) -> None:
    path = parquet(tmp_path, {"raw": pa.array([MAIL.encode(coding), b"x"], pa.binary())})
    found = facts(path)
    assert {(hit.column, hit.entity) for hit in found.hits} >= {("raw", "EMAIL_ADDRESS")}
    assert broken(verdict(path)) >= {("PII-DISGUISED", "raw")} or broken(verdict(path)) >= {("PII-FOUND", "raw")}


def test_a_long_text_of_a_declared_column_is_looked_at_beside_it(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"user_id": pa.array(["x " * 550 + MAIL, *["u"] * 400])})
    assert broken(verdict(path)) == {("PII-FOUND", "user_id")}
    path = parquet(tmp_path, {"user_id": pa.array(["y" * 1_100, "z " * 140 + MAIL, *["u"] * 400])})
    assert broken(verdict(path)) == {("PII-FOUND", "user_id")}
    path = parquet(tmp_path, {"user_id": pa.array(["x" * (LONGEST + 1), *["u"] * 400])})
    assert verdict(path).cause == "long"


@pytest.mark.parametrize(
    "line",
    [
        f'"note":"{MAIL}","note":"ok"',
        f'"user_id":"{MAIL}","user_id":"u1"',
        f'"user_\\u0069d":"{MAIL}","user_id":"u1"',
        f'"timestamp":"{MAIL}","timestamp":1698415391',
        f'"note":{{"a":"{MAIL}"}},"note":null',
    ],
)
def test_of_a_key_that_is_given_twice_each_value_is_looked_at(tmp_path: Path, line: str) -> None:
    base = json.dumps({key: value for key, value in GOOD.items() if f'"{key}"' not in line})[1:-1]
    path = tmp_path / "x.jsonl"
    path.write_text(f"{{{line},{base}}}\n{json.dumps(GOOD)}\n")
    assert {hit.entity for hit in facts(path).hits} == {"EMAIL_ADDRESS"}


NOTE = {"note": f"{MAIL} or {SSN}"}


@pytest.mark.parametrize(
    ("actions", "entities"),
    [
        ({}, {"EMAIL_ADDRESS", "US_SSN"}),
        ({"note": {"EMAIL_ADDRESS": "drop"}}, {"US_SSN"}),
        ({"note": {"EMAIL_ADDRESS": "drop", "US_SSN": "mask"}}, set()),
        ({"note": {"*": "drop"}}, set()),
        ({"note": {"*": "UnsafeKeep"}}, set()),
        ({"note": {"*": "drop", "US_SSN": "block"}}, {"US_SSN"}),
        ({"not": {"*": "drop"}, "notes": {"*": "drop"}, "NOTE": {"*": "drop"}}, {"EMAIL_ADDRESS", "US_SSN"}),
    ],
)
def test_what_the_policy_does_not_name_is_blocked(tmp_path: Path, actions: Any, entities: set[str]) -> None:
    found = verdict(lined(tmp_path, {}, NOTE), actions=actions)
    assert {each.message.split()[0] for each in found.findings} == entities
    assert (found.outcome is Outcome.PASS) == (not entities)


@pytest.mark.parametrize(
    ("action", "passes"), [("drop", False), ("mask", False), ("UnsafeKeep", True), ("block", False)]
)
def test_what_was_handled_is_gone_or_was_kept_on_purpose(tmp_path: Path, action: str, passes: bool) -> None:
    path = lined(tmp_path, {"user_id": MAIL})
    limits = {"actions": {"user_id": {"EMAIL_ADDRESS": action, "URL": action}}}
    assert (verdict(path, **limits, handled=True).outcome is Outcome.PASS) is passes
    assert (verdict(path, **limits).outcome is Outcome.PASS) is (action != "block")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"actions": {"*": {"URL": "drop"}}}, "no column is called '\\*'"),
        ({"actions": {"a": {"URL": "hash"}}}, "a is to be hashed, and no key is named"),
        ({"actions": {"a": {"URL": "hash"}}, "key": "abc"}, "allowed: env:NAME, file:PATH, UnsafeLocal"),
        ({"actions": {"a": {"URL": "forget"}}}, "Input should be 'block'"),
        ({"actions": {"column 1": {"URL": "UnsafeKeep"}}}, "no column is called 'column 1'"),
        ({"actions": {"a + b": {"URL": "UnsafeKeep"}}}, "no column is called 'a \\+ b'"),
        ({"roles": {"a": "key"}}, "Input should be 'id'"),
        ({"else": 1}, "Extra inputs"),
    ],
)
def test_limits_that_mean_nothing_are_refused(limits: Row, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PersonalLimits.model_validate(limits)
    PersonalLimits.model_validate({"actions": {NAMES: {"URL": "drop"}, "a": {"*": "hash"}}, "key": "UnsafeLocal"})


def test_cells_are_counted_and_the_highest_score_is_kept(tmp_path: Path) -> None:
    weak, strong = "212-555-5555", "phone 212-555-5555"
    both = f"{strong} {'x ' * 20} 212-555-0000"
    first, second = (
        lined(tmp_path, {"n": weak}, {}, {"n": both}, name="a"),
        lined(tmp_path, *[{"n": weak}] * 4, name="b"),
    )
    (hit,) = facts(first, second).hits
    assert hit == Hit("n", "PHONE_NUMBER", "plain", "other", 6, 0.75, ((0, 1), (0, 3), (1, 1)), "999-999-9999")
    assert facts(first, second).files == ("a.jsonl", "b.jsonl")
    with pytest.raises(ValidationError, match="more cells than were looked at"):
        Facts.model_validate(facts(first).model_dump() | {"hits": [hit]})


def test_no_value_is_in_anything_that_is_kept(tmp_path: Path) -> None:
    draw = random.Random(5)
    values = [decoys.MADE[n % 3](draw) for n in range(30)]
    rows: list[Row] = [{"note": value} for value in values[:6]] + [{"user_id": value} for value in values[6:12]]
    rows += [{"note": [value]} for value in values[12:16]] + [{value: 1} for value in values[16:20]]
    rows += [{"a": value[:13], "b": value[13:]} for value in values[20:26]]
    rows += [{"note": value[:9] + "\u200b" + value[9:]} for value in values[26:]]
    limits = {"roles": ROLES}
    observation = observe(GATE, opened(lined(tmp_path, *rows)), limits, random.Random(1))
    found = judge(GATE, observation, limits)
    kept = [json.dumps(observation.facts), observation.model_dump_json(), found.model_dump_json()]
    assert found.outcome is Outcome.FAIL
    assert len(observation.facts["hits"]) >= 8
    for value in values:
        for part in (value, value[: len(value) // 2], value[len(value) // 2 :]):
            assert not [text for text in kept if part.lower() in text.lower()]


TEXTS = (
    "nice",
    None,
    "",
    MAIL,
    CARD,
    f"ssn {SSN}",
    "jane.doe@exam",
    "ple.com",
    OPAQUE + "caf\xe9",
    "x\uff20example.com",
)
named = st.sampled_from(["a", "b", "first name", MAIL, "bob@example.org", "user_id"])
entry = st.dictionaries(named, st.sampled_from(TEXTS), max_size=4).map(lambda each: list(each.items()) or None)
held = st.fixed_dictionaries({"user_id": st.sampled_from(["u1", MAIL, None]), "beside": entry})
CONSTANT: Row = {"item_id": "i", "interaction_type": "view", "timestamp": 1, "faults": 0}


def batches(files: Sequence[Sequence[Row]], cuts: Callable[[int], int]) -> list[pa.RecordBatch]:
    """Batches of files of rows, cut anywhere, as slices of a whole."""
    made = []
    for number, rows in enumerate(files):
        told = [CONSTANT | row | {"file": f"f{number}", "row": place} for place, row in enumerate(rows, 1)]
        whole, begin = pa.RecordBatch.from_pylist(told, schema=SCHEMA), 0
        while begin < len(rows):
            size = cuts(len(rows) - begin)
            made.append(whole.slice(begin, size))
            begin += size
    return made


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(held, min_size=1, max_size=6), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_shards_cut_anywhere_merge_to_the_facts_of_the_whole(files: list[list[Row]], draw: random.Random) -> None:
    def sliced(part: list[pa.RecordBatch]) -> Sweep:
        found: Sweep = scan(part, {"p": Sweep}, SECRET)["p"]
        return found

    whole = sliced(batches(files, lambda left: left)).facts()
    made = batches(files, lambda left: draw.randint(1, left))
    cut = draw.randint(0, len(made))
    again = pickle.loads(pickle.dumps(sliced(made[cut:])))
    assert not again._known
    assert merged([{"p": sliced(made[:cut])}, {"p": again}])["p"].facts() == whole
    assert sliced(made).facts() == whole


def test_what_no_longer_fits_is_looked_at_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"n": text} for text in (MAIL, CARD, "a", "b", MAIL, "c", f"ssn {SSN}", CARD)]
    made = list(read([lined(tmp_path, *rows)], ["x"]))[0]
    parts = [made.slice(0, 3), made.slice(3, 1), made.slice(4, 4), made.slice(8, 0)]
    want = scan([made], {"p": Sweep})["p"].facts()
    for most in (0, 2, 5, 1 << 20):
        monkeypatch.setattr(tally, "KNOWN", most)
        profile = scan(parts, {"p": Sweep})["p"]
        assert profile.facts() == want
        assert all(len(each.hashes) <= most for each in profile._known.values())
        assert all(len(each.found) <= most for each in profile._known.values())


def test_a_column_of_nulls_and_a_batch_of_none(tmp_path: Path) -> None:
    found = facts(
        lined(tmp_path, {"n": None}, {}), parquet(tmp_path, {"m": pa.nulls(2), MAIL: pa.nulls(2, pa.string())})
    )
    assert {each.name: each.cells for each in found.columns if not each.declared} == {
        "n": 0,
        "m": 0,
        "column 3": 0,
        NAMES: 3,
    }
    assert [(hit.column, hit.entity) for hit in found.hits] == [(NAMES, "EMAIL_ADDRESS")]
    empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)
    assert scan([empty], {"p": Sweep})["p"].facts().rows == 0


def test_many_findings_in_a_cell_are_one_of_each(tmp_path: Path) -> None:
    text = " ".join(f"a{n % 10}@example.com" for n in range(200))
    (hit,) = facts(lined(tmp_path, {"n": text}, {"n": text})).hits
    assert (hit.cells, hit.first, hit.example) == (2, ((0, 1), (0, 2)), "x9@xxxxxxx.xxx")


LIMIT = "at most 4,096 are looked at"


@pytest.mark.parametrize(
    ("row", "cause", "reason"),
    [
        ({"note": "x" * (LONGEST + 1)}, "long", LIMIT),
        ({"user_id": "x" * (LONGEST + 1)}, "long", LIMIT),
        ({"x" * (LONGEST + 1): 1}, "long", LIMIT),
        ({f"c{n}": 1 for n in range(1_001)}, "columns", "more than 1,000 columns that are not declared"),
        ({"note": "[" * 80 + "1" + "]" * 80}, "nested", "more than 64 in one another"),
    ],
)
def test_what_is_too_much_cannot_be_told(tmp_path: Path, row: Row, cause: str, reason: str) -> None:
    found = verdict(lined(tmp_path, {}, row))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, cause)
    assert reason in found.reason
    assert cause not in GATE.causes, "no policy can observe it"


def test_findings_without_end_cannot_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lined(tmp_path, {f"c{n}": MAIL for n in range(6)})
    assert len(facts(path).hits) == 6
    monkeypatch.setattr(sweep, "HITS", 5)
    found = verdict(path)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "columns")


def test_an_expression_that_takes_too_long_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lined(tmp_path, {"note": "a." * 1_500 + " x john@example.com"})
    monkeypatch.setattr(pattern_recognizer, "REGEX_TIMEOUT_SECONDS", 0.001)
    with pytest.raises(CannotTell, match="took too long") as why:
        facts(path)
    assert why.value.cause == "timeout"
    assert verdict(path).outcome is Outcome.INCONCLUSIVE


def test_nothing_of_a_row_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What handlers of everything are told; that of `caplog` hears loggers that keep to themselves as well."""
    told: list[str] = []

    class Hears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    root, hears = logging.getLogger(), Hears()
    root.addHandler(hears)
    try:
        with caplog.at_level(logging.DEBUG):
            root.debug("here")
            verdict(lined(tmp_path, {"note": MAIL}, {"note": "GB82\u0130EST12345698765432 iban"}))
    finally:
        root.removeHandler(hears)
    assert "here" in told
    assert not [each for each in told if "jane" in each or "12345698765432" in each]
