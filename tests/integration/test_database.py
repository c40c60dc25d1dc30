"""No secret in Prefect's database after a run on a worker: neither in any row of any table, nor in any byte of it."""

import base64
import json
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tasks.home import Home
from tasks.issuer import token
from tests.integration.conftest import Scheduled

TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")
PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def cells(path: Path) -> Iterable[bytes]:
    """Every value of every table, as bytes: a long one is in pieces in the file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if value is not None:
                        yield value if isinstance(value, bytes) else str(value).encode()


def searched(home: Home) -> bytes:
    """The database's files as they are, its journal among them, and all of its cells."""
    path = home.root / "prefect" / "prefect.db"
    raw = [each.read_bytes() for each in sorted(path.parent.glob("prefect.db*"))]
    return b"\0".join([*raw, *cells(path)])


def private(path: Path) -> list[bytes]:
    """A private key in the spellings that it could leak in."""
    pem = path.read_bytes()
    key = load_pem_private_key(pem, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    body = b"".join(pem.splitlines()[1:-1])
    plain, url = base64.b64encode(number), base64.urlsafe_b64encode(number)
    return [*pem.splitlines()[1:-1], body, der, number, number.hex().encode(), plain.rstrip(b"="), url.rstrip(b"=")]


def secrets(home: Home) -> dict[str, list[bytes]]:
    """What may not be there: whose it is -> its spellings."""
    known = json.loads((home.root / "lake" / "credentials.json").read_text())
    found = {f"{who} of the lake": [pair["access"].encode(), pair["secret"].encode()] for who, pair in known.items()}
    found |= {path.name: private(path) for path in sorted((home.root / "keys").glob("*.pem"))}
    return found


@pytest.fixture(scope="module")
def haystack(scheduled: Scheduled, home: Home) -> bytes:
    """The database after the run."""
    return searched(home)


def test_the_search_finds_what_is_there(haystack: bytes, scheduled: Scheduled) -> None:
    """The run's parameters, logs, states, artifacts and gates are in it."""
    run = scheduled.flow_run
    for known in (run["id"], run["state"]["id"], scheduled.document, "gate-verdicts", "gate: metric_thresholds"):
        assert known.encode() in haystack
    assert b"Beginning flow run" in haystack


def test_the_search_knows_what_a_token_and_a_key_look_like(home: Home) -> None:
    assert TOKEN.search(token(home, sub="u00001").encode())
    assert PRIVATE.search((home.root / "keys" / "producer.pem").read_bytes())


def test_no_secret_is_in_the_database(haystack: bytes, home: Home) -> None:
    known = secrets(home)
    assert {"pipeline of the lake", "operator of the lake", "producer.pem", "issuer.pem"} <= set(known)
    assert min(len(spelling) for spellings in known.values() for spelling in spellings) >= 16
    assert [who for who, spellings in known.items() if any(spelling in haystack for spelling in spellings)] == []


def test_no_token_and_no_private_key_is_in_the_database(haystack: bytes) -> None:
    assert TOKEN.search(haystack) is None
    assert PRIVATE.search(haystack) is None
