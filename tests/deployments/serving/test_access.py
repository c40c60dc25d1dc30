"""What the service tells of itself to those who run it: a log and counts without a person in them."""

import fcntl
import json
import os
import re
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.app import Service, application
from deployments.serving.keyset import keyset
from deployments.serving.load import load
from deployments.serving.metrics import BOUNDS, Metrics
from deployments.serving.protocol import Patient
from deployments.serving.token import ANY, METRICS, READ, Verifier
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Site
from tests.deployments.serving.test_service import bearing
from tests.deployments.serving.twins import serving

PERSON = "margot.olsen-4711"


def lines(path: Path, count: int) -> list[dict[str, object]]:
    """The lines of the access log, once there are so many."""
    until = time.monotonic() + 5
    while (text := path.read_text()).count("\n") < count and time.monotonic() < until:
        time.sleep(0.01)
    return [json.loads(line) for line in text.splitlines()]


def test_the_access_log_has_a_line_a_request_and_nobody_in_it(home: Site) -> None:
    mine = bearing(home, sub=PERSON, scope=f"{READ} {ANY}")
    with home.serve() as service, httpx.Client(base_url=service.url, trust_env=False) as client:
        client.get(PATH, params={"user": PERSON}, headers=mine)
        client.post(PATH, json={"items": [PERSON, "i001"]}, headers=mine)
        client.get(PATH, params={"user": "u001"}, headers={"X-Forwarded-User": PERSON, "User-Agent": PERSON})
        client.get(f"/{PERSON}/u001", headers=mine)
        client.request("PROPFIND", PATH, headers=mine)
        client.request(PERSON.upper(), PATH, headers=mine)
        client.get(PATH, params={"user": PERSON, "k": "x"}, headers=mine)
        client.get("/healthz")
        told = lines(service.log, 8)
        text = service.log.read_text()
        _ = [client.get("/metrics", headers=bearing(home, sub=PERSON, scope=METRICS)) for _ in range(2)]
        counted = _[1].text
    for word in (PERSON, PERSON.upper(), "u001", "i001", mine["Authorization"].split(".")[2], "127.0.0.1"):
        assert word not in text
        assert word not in counted
    assert [(each["method"], each["route"], each["status"]) for each in told] == [
        ("GET", "recommendations", 200),
        ("POST", "session", 200),
        ("GET", "recommendations", 401),
        ("GET", "none", 404),
        ("other", "none", 405),
        ("other", "none", 400),
        ("GET", "recommendations", 400),
        ("GET", "healthz", 200),
    ]
    key = json.loads((home.home / "jwks.json").read_text())["keys"][0]["kid"]
    assert [each["key"] for each in told] == [key, key, "", "", "", "", key, ""]
    for each in told:
        assert list(each) == ["time", "method", "route", "status", "micros", "key"]
        assert abs(float(str(each["time"])) - time.time()) < 60
        assert 0 < int(str(each["micros"])) < 5e6
    assert 'sluice_requests_total{route="recommendations",status="200"} 1' in counted
    assert 'sluice_requests_total{route="metrics",status="200"} 1' in counted
    assert 'sluice_request_seconds_count{route="recommendations"} 3' in counted
    left = re.search(r"^sluice_release_seconds ([0-9]+)$", counted, re.MULTILINE)
    assert left is not None
    assert 0 < int(left[1]) <= 3600


def test_metrics_need_a_scope_of_their_own(home: Site) -> None:
    model = load(home.release, home.keys.public("producer"))
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    app = application(Service(model, verifier), PATH)
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/metrics").status_code == 401
        refused = client.get("/metrics", headers=bearing(home, scope=f"{READ} {ANY}"))
        assert (refused.status_code, "scope" in refused.headers["www-authenticate"]) == (403, True)
        assert client.get(PATH, params={"user": "u001"}, headers=bearing(home, scope=METRICS)).status_code == 403
        shown = client.get("/metrics", headers=bearing(home, scope=METRICS))
        assert shown.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_a_log_that_nobody_takes_is_counted_and_holds_nobody_up(home: Site) -> None:
    def full(line: bytes) -> None:
        raise BlockingIOError

    model = load(home.release, home.keys.public("producer"))
    service = Service(model, Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT))
    with serving(application(service, PATH, full)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/healthz").status_code == 200
        text = client.get("/metrics", headers=bearing(home, scope=METRICS)).text
    assert "\nsluice_unlogged_total 2\n" in text


def test_a_full_pipe_that_nobody_reads_does_not_stop_the_process(home: Site) -> None:
    out, into = os.pipe()
    room = fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with home.serve(into=into) as service, httpx.Client(base_url=service.url, trust_env=False) as client:
            os.close(into)
            for _ in range(room // 50):
                assert client.get("/healthz").status_code == 200
            text = client.get("/metrics", headers=bearing(home, scope=METRICS)).text
            lost = int(text.partition("\nsluice_unlogged_total ")[2].split()[0])
            told = [json.loads(line) for line in os.read(out, room).splitlines()]
            assert client.get("/healthz").status_code == 200
            later = os.read(out, room)
    finally:
        os.close(out)
    assert lost > 0
    assert sum(each["route"] == "healthz" for each in told) + lost == room // 50, "each is there or counted, none half"
    assert json.loads(later.splitlines()[-1])["status"] == 200, "and goes on where somebody reads again"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([200, 401]), st.integers(0, 10**8)), max_size=50))
def test_counts_and_buckets_are_of_all_answers(answers: list[tuple[str, int, int]]) -> None:
    counts = Metrics()
    for each in answers:
        counts.observe(*each)
    text = counts.text(10.0, 20.0).decode()
    assert text.endswith("\nsluice_release_seconds 0\n")
    for route in {route for route, _, _ in answers}:
        of = [micros for name, _, micros in answers if name == route]
        for bound in BOUNDS:
            below = sum(micros <= bound * 1e6 for micros in of)
            assert f'sluice_request_seconds_bucket{{route="{route}",le="{bound}"}} {below}\n' in text
        assert f'sluice_request_seconds_bucket{{route="{route}",le="+Inf"}} {len(of)}\n' in text
        assert f'sluice_request_seconds_sum{{route="{route}"}} {sum(of) / 1e6:.6f}\n' in text
    for key in {(route, status) for route, status, _ in answers}:
        count = sum(each[:2] == key for each in answers)
        assert f'sluice_requests_total{{route="{key[0]}",status="{key[1]}"}} {count}\n' in text


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /heal",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ",
        b"GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
    ],
)
def test_a_request_that_does_not_end_is_not_waited_for(
    home: Site, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(Patient, "seconds", 0.2)
    model = load(home.release, home.keys.public("producer"))
    service = Service(model, Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT))
    with serving(application(service, PATH)) as url:
        site = urlsplit(url)
        start = time.monotonic()
        with socket.create_connection((site.hostname or "", site.port or 0), timeout=5) as raw:
            for each in sent:
                raw.sendall(bytes([each]))
            text = b""
            while part := raw.recv(65_536):
                text += part
        refused = b"Length" in sent
        assert (0 if refused else 0.1) < time.monotonic() - start < 3
        assert text.count(b"404 Not Found" if refused else b"200 OK") == sent.count(b"\r\n\r\n")
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get("/healthz").status_code == 200
            time.sleep(0.3)
            assert client.get("/healthz").status_code == 200, "one that rests between two requests is kept"
