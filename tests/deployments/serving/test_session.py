"""Recommendations for a session: what they are, what a crafted session can do at the most, and what is refused."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving import body
from deployments.serving.app import Service, application
from deployments.serving.keyset import keyset
from deployments.serving.limit import Allowance, Limiter
from deployments.serving.load import Model, load
from deployments.serving.schema import BODY, LENGTH, Refusal, Session
from deployments.serving.token import Verifier
from tests.deployments.serving.release import AUDIENCE, ISSUER, ITEMS, PATH, TENANT, WIDTH, Site, arrays, ids
from tests.deployments.serving.test_service import bearing, error
from tests.deployments.serving.twins import serving

PARTS = arrays()
NAMES = ids()["items"]
JSON = {"Content-Type": "application/json"}
ENCODER, DECODER = PARTS["encoder"].astype(float), PARTS["decoder"].astype(float)
RAREST = np.argsort(np.bincount(PARTS["seen_indices"], minlength=ITEMS), kind="stable")[:5]
MOST = np.argmax(np.abs(DECODER).sum(axis=0))


@pytest.fixture(scope="module")
def model(home: Site) -> Model:
    """The good release, loaded."""
    return load(home.release, home.keys.public("producer"))


def hidden(numbers: list[int]) -> np.ndarray[Any, Any]:
    """The input of the hidden layer, by hand and in double precision."""
    row = np.zeros(ITEMS)
    row[numbers] = 1
    return np.asarray(row / np.linalg.norm(row) @ ENCODER + PARTS["encoder_bias"])


def scores(model: Model, items: list[str], k: int = ITEMS) -> dict[str, float]:
    """Every score of a session."""
    return dict(model.session(model.known(items)[0], k)[0])


@pytest.mark.parametrize("spelled", ["10", "10.0", "1e1", "100.0E-1"])
def test_one_number_is_one_however_json_spells_it(spelled: str) -> None:
    assert body.session(b'{"items": ["i001"], "k": %s}' % spelled.encode()).k == 10


@pytest.mark.parametrize("spelled", ["10.5", "1e-400", "1e400", "-0.0", "NaN", "Infinity", "101.0", '"10"', "true"])
def test_no_other_number_is_one(spelled: str) -> None:
    with pytest.raises(Refusal, match="a number from 1 to"):
        body.session(b'{"items": ["i001"], "k": %s}' % spelled.encode())


numbers = st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=ITEMS - 1, unique=True)


@given(numbers)
def test_a_session_is_folded_in_as_a_history_is(model: Model, some: list[int]) -> None:
    found = scores(model, [NAMES[n] for n in some])
    wanted = np.tanh(hidden(some)) @ DECODER + PARTS["decoder_bias"]
    assert set(found) == set(NAMES) - {NAMES[n] for n in some}
    assert found == pytest.approx({name: wanted[n] for n, name in enumerate(NAMES) if name in found}, abs=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_a_users_own_history_gives_the_users_own_answer(model: Model) -> None:
    history = [NAMES[n] for n in model.history("u001")]
    assert model.session(model.known(history)[0], 10) == (model.recommend("u001", 10)[0], "session")


@given(numbers, st.data())
def test_repeats_and_order_and_unknown_items_change_nothing(model: Model, some: list[int], data: st.DataObject) -> None:
    items = [NAMES[n] for n in some]
    crafted = items + data.draw(st.lists(st.sampled_from(items), max_size=100))
    crafted = data.draw(st.permutations([*crafted, "nowhere", "nobody", "nowhere"]))
    assert scores(model, crafted) == scores(model, items)
    assert model.known(crafted)[1] == 2


@given(numbers)
def test_whatever_is_in_a_session_no_score_leaves_its_bounds(model: Model, some: list[int]) -> None:
    found = scores(model, [NAMES[n] for n in some])
    reach = np.abs(DECODER).sum(axis=0)
    for n, name in enumerate(NAMES):
        if name in found:
            assert abs(found[name] - PARTS["decoder_bias"][n]) <= reach[n] + 1e-4


@given(numbers, st.integers(0, ITEMS - 1))
def test_one_item_more_moves_a_score_by_no_more_than_is_stated(model: Model, some: list[int], one: int) -> None:
    if one in some or len(some) > ITEMS - 2:
        return
    few, more = (scores(model, [NAMES[n] for n in each]) for each in (some, [*some, one]))
    step = np.minimum(1.5 / np.sqrt(len(some)) * np.abs(ENCODER).max(axis=0), 2.0)
    assert (np.abs(hidden([*some, one]) - hidden(some)) < 1.5 / np.sqrt(len(some)) * np.abs(ENCODER).max(axis=0)).all()
    for name in few.keys() & more.keys():
        assert abs(more[name] - few[name]) <= step @ np.abs(DECODER[:, NAMES.index(name)]) + 1e-4


CRAFTED = {
    "one promoted item, again and again": ["i007"] * LENGTH,
    "the rarest items": [NAMES[n] for n in RAREST],
    "what pulls hardest": [NAMES[n] for n in np.argsort(-(ENCODER @ DECODER[:, MOST]))[:3]],
    "what pulls apart": [NAMES[np.argmax(ENCODER[:, 0])], NAMES[np.argmin(ENCODER[:, 0])]],
    "all but one": NAMES[:-1],
    "enormous": [NAMES[n % (ITEMS - 1)] for n in range(LENGTH)],
}


@pytest.mark.parametrize("crafted", CRAFTED)
def test_a_crafted_session_stays_within_the_bounds_and_leaves_nothing_behind(model: Model, crafted: str) -> None:
    before = model.recommend("u002", 20)
    found = scores(model, CRAFTED[crafted])
    assert found
    assert not found.keys() & set(CRAFTED[crafted]), "nothing promotes itself"
    for name, score in found.items():
        n = NAMES.index(name)
        assert abs(score - PARTS["decoder_bias"][n]) <= np.abs(DECODER[:, n]).sum() + 1e-4
    assert model.recommend("u002", 20) == before


def test_what_is_loaded_cannot_be_written(model: Model) -> None:
    for array in (*model.weights.values(), *model.seen.values(), model.popular):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert model.weights["encoder_bias"].shape == (WIDTH,)


def test_unknown_items_alone_get_the_static_answer(model: Model) -> None:
    found, unknown = model.known(["nowhere", "nobody", "nowhere"])
    assert (found.size, unknown) == (0, 2)
    assert model.session(found, 5) == model.recommend("nobody-known", 5)


@pytest.fixture(scope="module")
def verifier(home: Site) -> Verifier:
    return Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)


@pytest.fixture(scope="module")
def client(model: Model, verifier: Verifier) -> Iterator[httpx.Client]:
    """A client of the service, which waits for a body for as long as a test can."""
    app = application(Service(model, verifier, Limiter(Allowance(1000, 10_000)), patience=0.2), PATH)
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=5) as each:
        yield each


def test_a_session_is_answered(client: httpx.Client, home: Site, model: Model) -> None:
    told = {"items": ["i001", "i002", "i001", "nowhere", "secret-item"], "k": 4}
    response = client.post(PATH, json=told, headers=bearing(home))
    best, _ = model.session(model.known(["i001", "i002"])[0], 4)
    assert response.status_code == 200
    assert response.json() == {
        "model": model.digest,
        "items": [{"item": item, "score": pytest.approx(score, abs=1e-5)} for item, score in best],
        "basis": "session",
        "counted": 2,
        "unknown": 2,
    }
    assert "secret-item" not in response.text
    cold = client.post(PATH, json={"items": ["nowhere"]}, headers=bearing(home)).json()
    assert (cold["basis"], cold["counted"], cold["unknown"], len(cold["items"])) == ("cold", 0, 1, 10)
    assert client.post(PATH, json={"items": NAMES[:LENGTH]}, headers=bearing(home)).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"items": []}',
        b'{"items": "i001"}',
        b'{"items": [1]}',
        b'{"items": [null]}',
        b'{"items": [""]}',
        b'{"items": ["i001"], "k": 0}',
        b'{"items": ["i001"], "k": 101}',
        b'{"items": ["i001"], "k": -1}',
        b'{"items": ["i001"], "k": 1.5}',
        b'{"items": ["i001"], "k": "10"}',
        b'{"items": ["i001"], "k": true}',
        b'{"items": ["i001"], "k": NaN}',
        b'{"items": ["i001"], "k": ' + b"1" * 5000 + b"}",
        b'{"items": ["i001"], "user": "u002"}',
        b'{"items": ["i001"], "items": ["i002"]}',
        b'{"items": ["i001"], "k": 3, "k": 4}',
        b'{"items": ["i001"]} {"items": ["i002"]}',
        b'{"items": ["i001"],}',
        b'\xef\xbb\xbf{"items": ["i001"]}',
        b'{"items": ["\xff"]}',
        '{"items": ["i001"]}'.encode("utf-16"),
        b"[" * 60_000,
        json.dumps({"items": ["i" * 257]}).encode(),
        json.dumps({"items": ["i001"] * (LENGTH + 1)}).encode(),
    ],
    ids=range(28),
)
def test_a_session_has_one_form(client: httpx.Client, home: Site, data: bytes) -> None:
    response = client.post(PATH, content=data, headers={**bearing(home), **JSON})
    assert error(response, 400) == body.FORM


@given(st.binary(max_size=300))
def test_no_body_is_taken_for_a_session_that_is_none(data: bytes) -> None:
    try:
        assert isinstance(body.session(data), Session)
    except Refusal as why:
        assert why.status == 400  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Encoding": "gzip", **JSON}, 415),
        ({"Content-Length": str(BODY + 1), **JSON}, 413),
        ({"Content-Length": "9" * 19, **JSON}, 413),
        ({"Transfer-Encoding": "chunked", **JSON}, 411),
        ({"content-type": "text/plain", **JSON}, 400),
    ],
)
def test_a_body_is_announced_as_short_json(
    client: httpx.Client, home: Site, headers: dict[str, str], status: int
) -> None:
    response = exchange(client, {**bearing(home), **headers})
    assert response[0].startswith(f"HTTP/1.1 {status} ")
    assert "connection: close" in response


def exchange(client: httpx.Client, headers: dict[str, str], data: bytes = b"", pause: float = 0.0) -> list[str]:
    """The lines of an answer to a POST whose body is sent a byte at a time."""
    site = urlsplit(str(client.base_url))
    usual = {"Host": site.netloc, **({} if "Transfer-Encoding" in headers else {"Content-Length": "20"}), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in usual.items())
    with socket.create_connection((site.hostname or "", site.port or 0), timeout=5) as raw:
        raw.sendall(f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode())
        for each in data:
            raw.sendall(bytes([each]))
            time.sleep(pause)
        text = b""
        while part := raw.recv(65_536):
            text += part
    return text.decode().lower().replace("http/1.1", "HTTP/1.1", 1).split("\r\n")


def test_a_body_that_does_not_come_in_time_is_not_waited_for(client: httpx.Client, home: Site) -> None:
    start = time.monotonic()
    response = exchange(client, {**bearing(home), **JSON}, b'{"items":', 0.01)
    assert response[0].startswith("HTTP/1.1 408 ")
    assert "connection: close" in response
    assert time.monotonic() - start < 2


def test_an_oversized_body_is_refused_and_a_session_takes_no_query(client: httpx.Client, home: Site) -> None:
    large = json.dumps({"items": ["i001"]}).encode() + b" " * BODY
    error(client.post(PATH, content=large, headers={**bearing(home), **JSON}), 413)
    fits = large[:BODY]
    assert client.post(PATH, content=fits, headers={**bearing(home), **JSON}).status_code == 200
    error(client.post(f"{PATH}?k=3", json={"items": ["i001"]}, headers=bearing(home)), 400)


def test_a_session_needs_the_token_that_a_user_needs(client: httpx.Client, home: Site) -> None:
    told = {"items": ["i001"]}
    error(client.post(PATH, json=told), 401)
    error(client.post(PATH, json=told, headers=bearing(home, scope="other")), 403)
    error(client.post(PATH, json=told, headers=bearing(home, tenant="other")), 401)
    assert error(client.post(PATH, content=b"nothing", headers=JSON), 401) == "a token is needed"


def test_the_budget_is_of_different_sessions_and_other_users(home: Site, model: Model, verifier: Verifier) -> None:
    limited = Service(model, verifier, Limiter(Allowance(1000, 10_000, budget=5)))
    everybody = bearing(home, scope="recommend:read recommend:any")
    with serving(application(limited, PATH)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        walked = [client.post(PATH, json={"items": [item]}, headers=bearing(home)) for item in NAMES[:8]]
        assert [each.status_code for each in walked] == [200] * 5 + [429] * 3
        assert "different" in error(walked[-1], 429)
        assert 0 < int(walked[-1].headers["retry-after"]) <= 3600
        again = {"items": [NAMES[0], NAMES[0]]}
        assert client.post(PATH, json=again, headers=bearing(home)).status_code == 200, "the same session"
        more = {"items": [NAMES[0], "nowhere"]}
        assert client.post(PATH, json=more, headers=bearing(home)).status_code == 429, "what is not known counts too"
        assert client.get(PATH, params={"user": "u001"}, headers=bearing(home)).status_code == 200, "one's own"
        other = [client.get(PATH, params={"user": f"u{n:03d}"}, headers=everybody).status_code for n in range(2, 4)]
        assert other == [429, 429]


def test_a_flood_is_refused_and_nobody_else_is(home: Site, model: Model, verifier: Verifier) -> None:
    limited = Service(model, verifier, Limiter(Allowance(rate=0.5, burst=3)))
    with serving(application(limited, PATH)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        told = [client.get("/version", headers=bearing(home)) for _ in range(5)]
        assert [each.status_code for each in told] == [200] * 3 + [429] * 2
        assert error(told[-1], 429) == "too many requests"
        assert told[-1].headers["retry-after"] == "2"
        assert client.get("/version", headers=bearing(home, sub="u002")).status_code == 200
        error(client.get("/version"), 401)
