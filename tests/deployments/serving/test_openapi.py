"""The document and the routes: the same operations, both ways, and what is declared is what is answered."""

import json

import httpx
import msgspec
import pytest

from deployments.serving import schema
from deployments.serving.app import Service
from deployments.serving.load import load
from deployments.serving.openapi import FORMS, document
from deployments.serving.token import METRICS, READ, Verifier
from security.gates.api import OPEN
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Running, Site
from tests.deployments.serving.test_service import bearing, client, running

__all__ = ["client", "running"]

DECLARED = {
    (path, method.upper()): operation
    for path, methods in document(PATH)["paths"].items()
    for method, operation in methods.items()
}


def test_operations_and_routes_are_the_same_both_ways(home: Site) -> None:
    model = load(home.release, home.keys.public("producer"))
    from deployments.serving.keyset import keyset

    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    routes = Service(model, verifier).routes(PATH)
    assert DECLARED.keys() == routes.keys()
    assert {key: operation["operationId"] for key, operation in DECLARED.items()} == {
        key: handler.__name__ for key, handler in routes.items()
    }


def test_every_operation_needs_a_token_but_those_that_are_open_by_name() -> None:
    open_ = {(method, path) for (path, method), each in DECLARED.items() if not each["security"]}
    assert open_ == OPEN
    scopes = {each["operationId"]: each["security"][0]["token"] for each in DECLARED.values() if each["security"]}
    assert scopes == {"recommendations": [READ], "session": [READ], "version": [READ], "metrics": [METRICS]}


def test_every_reference_leads_somewhere_and_every_form_is_there() -> None:
    whole = document(PATH)
    text = json.dumps(whole)
    forms = whole["components"]["schemas"]
    assert {form.__name__ for form in FORMS} <= set(forms)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in forms
    declared = {
        each.__name__
        for each in vars(schema).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each is not msgspec.Struct
    }
    assert declared == set(forms)
    assert forms["Session"]["additionalProperties"] is False
    assert forms["Session"]["properties"]["items"]["maxItems"] == schema.LENGTH


@pytest.mark.parametrize(
    ("path", "method", "status", "scope"),
    [
        (PATH, "GET", 200, READ),
        (PATH, "GET", 400, READ),
        (PATH, "GET", 401, ""),
        (PATH, "GET", 403, METRICS),
        (PATH, "POST", 200, READ),
        (PATH, "POST", 400, READ),
        (PATH, "POST", 401, ""),
        (PATH, "POST", 415, READ),
        ("/version", "GET", 200, READ),
        ("/version", "GET", 403, METRICS),
        ("/metrics", "GET", 200, METRICS),
        ("/metrics", "GET", 403, READ),
        ("/metrics", "GET", 401, ""),
        ("/healthz", "GET", 200, ""),
        ("/readyz", "GET", 200, ""),
    ],
)
def test_what_is_answered_is_declared(
    client: httpx.Client, home: Site, running: Running, path: str, method: str, status: int, scope: str
) -> None:
    headers = bearing(home, scope=scope) if scope else {}
    content = b'{"items": ["i001"]}' if status != 400 else b"{}"
    query = {"user": "u001"} if path == PATH and method == "GET" and status != 400 else {}
    more = {"Content-Type": "text/plain" if status == 415 else "application/json"}
    sent = {"content": content, "headers": headers | more} if method == "POST" else {"headers": headers}
    response = client.request(method, path, params=query, **sent)  # type: ignore[arg-type]
    assert response.status_code == status
    told = DECLARED[path, method]["responses"][str(status)]["content"]
    kind = response.headers["content-type"].split(";")[0]
    assert kind in told
    if kind == "application/json":
        form = getattr(schema, told[kind]["schema"]["$ref"].rpartition("/")[2])
        found = msgspec.json.decode(response.content, type=form)
        assert set(response.json()) == set(form.__struct_fields__)
        assert isinstance(found, form)
