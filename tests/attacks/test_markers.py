"""No value of a row that was not published, and no secret, is in anything that a run writes, passed or refused."""

import base64
import gzip
import json
import os
import re
import secrets
import sqlite3
import string
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from deployments.serving.token import mint
from flows import shell
from flows.screen import Screen
from tasks import issuer, process
from tasks.home import Home
from tasks.run import REFUSED, Run
from tests.attacks.bucket import DAYS, Operator, Row, body
from tests.attacks.conftest import BUCKET, Pair
from tests.attacks.search import found, within

LAST = DAYS[-1]
PLANTED = ("comment", "type", "user", "item", "time", "key", "value")
PERSONAL = ("mail", "name")
PREFIXES = {"marked": 1, "marked-more": 30, "marked-personal": 0}
"""Prefix -> how often the rows that break the contract are in it; in the last there is one that breaks none."""


def mark() -> str:
    """A string that is nowhere else."""
    return f"zq{''.join(secrets.choice(string.ascii_lowercase) for _ in range(18))}"


@dataclass
class Story:
    """Three runs, one passed and two refused, and what was planted and known while they went."""

    home: Home
    planted: dict[str, bytes]
    tokens: list[str] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    said: str = ""


def bad(marks: dict[str, bytes]) -> list[Row]:
    """Rows with a marker each, in every place that a row has; all but the first and the last break the contract."""
    text = {name: data.decode() for name, data in marks.items()}
    good = {"user_id": "p001", "item_id": "t001", "interaction_type": "view", "timestamp": f"{LAST}T12:00:00Z"}
    return [
        good | {"comment": f"call me: {text['comment']}@example.org"},
        good | {"interaction_type": text["type"]},
        good | {"user_id": f"{text['user']} of here"},
        good | {"item_id": f"{text['item']}@example.org"},
        good | {"timestamp": text["time"]},
        good | {text["key"]: text["value"]},
    ]


def personal(marks: dict[str, bytes]) -> list[Row]:
    """A row that keeps the contract, with an address in a column that nobody knows, and one for a column's name."""
    good = {"user_id": "p001", "item_id": "t001", "interaction_type": "view", "timestamp": f"{LAST}T12:00:00Z"}
    return [good | {"note": f"{marks['mail'].decode()}@example.org", f"{marks['name'].decode()}@example.org": 1}]


@contextmanager
def overheard(path: Path) -> Iterator[IO[str]]:
    """Everything that this process and what it starts say on stdout and stderr goes to a file."""
    with path.open("w") as out, redirect_stdout(out), redirect_stderr(out):
        kept = {number: os.dup(number) for number in (1, 2)}
        try:
            for number in kept:
                os.dup2(out.fileno(), number)
            yield out
        finally:
            out.flush()
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)


@pytest.fixture(scope="module")
def story(operator: Operator, pair: Pair, home: Home) -> Iterator[Story]:
    """The small pipeline over marked rows: few enough of them to pass, and then too many."""
    told = Story(home, {name: mark().encode() for name in (*PLANTED, *PERSONAL)})
    patch = pytest.MonkeyPatch()

    def noted(*args: Any, **claims: Any) -> str:
        told.tokens.append(mint(*args, **claims))
        return told.tokens[-1]

    path = home.root.parent / "said.txt"
    with patch.context() as within_, overheard(path) as out:
        within_.setattr("tasks.issuer.mint", noted)
        for prefix, times in PREFIXES.items():
            more = bad(told.planted) * times or personal(told.planted)
            operator.fill(BUCKET, prefix, {LAST: body(LAST, more=more)})
            gone = {"comment": {"*": "drop"}, "item_id": {"EMAIL_ADDRESS": "drop"}}
            document, policy = pair(prefix, name="marked", PII_detection={"actions": gone})
            state, run = shell.once(Screen(out), document=document, policy=policy)
            assert run is not None
            told.states.append(state)
            told.runs.append(run)
            shell.figures(Screen(out), run)
            shell.ending(Screen(out), home, state, run, "")
        _ask(told)
    told.said = path.read_text()
    path.unlink()
    _settled()
    yield told
    process.stop(home.root / "service" / told.runs[0].plan.run / "process.json")


def _settled() -> None:
    """Wait for what Prefect's client still has to send, and its server still has to write."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=20)
    before = -1
    for _ in range(20):
        if (count := len(everything())) == before:
            return
        before = count
        time.sleep(1)
    raise AssertionError("Prefect's server went on writing for twenty seconds")


def _ask(told: Story) -> None:
    """Ask the service that passed, rightly and with a marker for a user."""
    run = told.runs[0]
    url = run.notes["endpoint"] + run.plan.document["stages"][4]["inference_endpoint"]
    for user in ("p001", told.planted["user"].decode()):
        bearer = {"Authorization": f"Bearer {issuer.token(told.home, sub=user)}"}
        with httpx.Client(trust_env=False) as web:
            assert web.get(url, params={"user": user}, headers=bearer).status_code == 200


def private(home: Home) -> dict[str, dict[str, bytes]]:
    """File of the home -> the secrets that lie in it, each in every form that it could leave by."""
    keys: dict[str, dict[str, bytes]] = {}
    for path in [*sorted((home.root / "keys").glob("*.pem")), home.root / "lake" / "server.pem"]:
        text = path.read_bytes()
        body_ = text.split(b"PRIVATE KEY-----")[1].split(b"-----END")[0].strip()
        key = serialization.load_pem_private_key(text, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        number = key.private_numbers().private_value
        forms = {f"line {n}": line for n, line in enumerate(body_.splitlines()) if len(line) > 40}
        forms |= {"der": base64.b64decode(body_), "number": number.to_bytes(32, "big"), "hex": b"%064x" % number}
        keys[path.relative_to(home.root).as_posix()] = {f"{path.stem} {form}": data for form, data in forms.items()}
    for path in sorted((home.root / "keys").glob("*.key")):  # those that ids are hashed under
        text = path.read_bytes().strip()
        keys[path.relative_to(home.root).as_posix()] = {
            path.name: text,
            f"{path.name} raw": bytes.fromhex(text.decode()),
        }
    assert "keys/drift.key" in keys
    people = json.loads((home.root / "lake" / "credentials.json").read_text())
    named = {f"{who} {what}": text.encode() for who, pair in people.items() for what, text in pair.items()}
    assert len(named) == 6
    return keys | {"lake/credentials.json": named}


def everything() -> list[dict[str, Any]]:
    """Every flow run, task run, log, artifact and event that Prefect's server tells of."""
    told: list[dict[str, Any]] = []
    with get_client(sync_client=True) as api:
        for kind in ("flow_runs", "task_runs", "logs", "artifacts"):
            offset = 0
            while page := api._client.post(f"/{kind}/filter", json={"limit": 200, "offset": offset}).json():
                assert isinstance(page, list)
                told += page
                offset += len(page)
        answer = api._client.post("/events/filter", json={"limit": 50}).json()
        while True:
            told += answer["events"]
            if not answer["next_page"]:
                return told
            answer = api._client.get(answer["next_page"]).json()


def test_one_run_passed_and_two_were_refused(story: Story) -> None:
    passed, refused, found_out = story.states
    assert passed.is_completed(), passed.message
    assert story.runs[0].notes["clean"]["rejected"] == 4
    assert refused.name == REFUSED
    assert "CON-TYPE" in refused.message
    assert found_out.name == REFUSED
    assert re.search(r"PII-FOUND column \d: EMAIL_ADDRESS in 1 of 1 cells", found_out.message)
    assert "PII-FOUND names of columns: EMAIL_ADDRESS in 1 of " in found_out.message
    assert len(story.tokens) >= 30  # those with which the gate asked


def test_the_marked_rows_were_there(story: Story, operator: Operator) -> None:
    """The lake holds them, or there would be nothing to find."""
    for prefix, times in PREFIXES.items():
        held = operator.s3.get_object(Bucket=BUCKET, Key=f"{prefix}/{LAST}/part-000.jsonl.gz")["Body"].read()
        assert within(gzip.decompress(held), story.planted) == set(PLANTED if times else PERSONAL)


def test_no_marker_is_in_the_home(story: Story) -> None:
    assert found(story.home.root, story.planted) == {}


def test_everything_that_a_run_writes_was_searched(story: Story) -> None:
    """Every run is told of by their names, in every folder that tells of runs."""
    told = found(story.home.root, {run.plan.run: run.plan.run.encode() for run in story.runs})
    where = {path.split("/")[0] for path in told}
    assert {"evidence", "pages", "pointers", "prefect", "service", "store"} <= where


def test_no_secret_is_outside_of_its_file(story: Story) -> None:
    kept = private(story.home)
    tokens = {f"token {n}": token.encode() for n, token in enumerate(story.tokens)}
    needles = {name: data for named in kept.values() for name, data in named.items()} | tokens
    told = found(story.home.root, needles)
    # Where they may be, they are found: the search can see them.
    assert set(told) == set(kept)
    assert all(told[file] <= set(named) for file, named in kept.items())


def test_nothing_of_it_was_said(story: Story) -> None:
    tokens = {f"token {n}": token.encode() for n, token in enumerate(story.tokens)}
    hidden = {name: data for named in private(story.home).values() for name, data in named.items()}
    needles = story.planted | hidden | tokens
    states = "\n".join(f"{state.message} {state!r}" for state in story.states)
    assert "SecurityGateFailed" in states
    assert "CON-TYPE" in story.said
    assert within(states.encode(), needles) == set()
    assert within(story.said.encode(), needles) == set()


def test_prefects_server_tells_nothing_of_it(story: Story) -> None:
    told = everything()
    text = json.dumps(told).encode()
    assert b"CON-TYPE" in text
    assert b"gate-verdicts" in text
    hidden = {name: data for named in private(story.home).values() for name, data in named.items()}
    tokens = {f"token {n}": token.encode() for n, token in enumerate(story.tokens)}
    assert within(text, story.planted | hidden | tokens) == set()


def test_a_marker_that_is_there_is_found(tmp_path: Path) -> None:
    """Raw, named, packed, in a column, in a database whose pages cut it, in an envelope within an envelope."""
    marks = {name: mark().encode() for name in ("raw", "name", "gzip", "parquet", "row", "payload", "inner", "jwt")}
    text = {name: data.decode() for name, data in marks.items()}
    (tmp_path / "raw.bin").write_bytes(b"\0\xff" + marks["raw"] + b"\xff")
    (tmp_path / text["name"]).mkdir()
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"a" + marks["gzip"]))
    column = pa.array([["a", "b"], [text["parquet"]]])
    pq.write_table(pa.table({"n": [1, 2], "list": column}), tmp_path / "x.parquet", compression="zstd")
    with closing(sqlite3.connect(tmp_path / "x.db")) as base:
        base.execute("CREATE TABLE t (v TEXT)")
        base.executemany("INSERT INTO t VALUES (?)", [("-" * n + text["row"],) for n in range(4000, 4100)])
        base.commit()
    inner = json.dumps({"payload": base64.b64encode(marks["inner"] + b"!").decode()})
    outer = json.dumps({"signed": inner, "said": text["payload"]}).encode()
    (tmp_path / "log.jsonl").write_text(json.dumps({"payload": base64.b64encode(outer).decode()}) + "\n")
    claims = base64.urlsafe_b64encode(json.dumps({"sub": text["jwt"] + "?>"}).encode()).rstrip(b"=")
    (tmp_path / "service.log").write_bytes(b"GET /?t=eyJhbGciOiJFUzI1NiJ9." + claims + b".c2ln\n")
    told = found(tmp_path, marks)
    assert set().union(*told.values()) == set(marks)
    assert len(told) == 7
