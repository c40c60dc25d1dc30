"""The service's OpenAPI document (3.1), made from the forms of `schema`. It is not served: a gate, and whoever writes a
client, has it from here. A test holds it against the routes, both ways.
"""

from typing import Any

import msgspec

from deployments.serving.schema import (
    MOST,
    NAME,
    Error,
    Health,
    Ready,
    Recommendations,
    Session,
    Suggestions,
    Version,
)
from deployments.serving.token import METRICS, READ

FORMS = (Error, Health, Ready, Recommendations, Session, Suggestions, Version)
TOLD = {
    200: "the answer",
    400: "a question of another form",
    401: "no token, or one that is not believed",
    403: "a token that is not for this",
    408: "a body that did not come in time",
    411: "a body without a length",
    413: "a body that is too long",
    415: "a body that is not JSON",
    429: "too much was asked; `Retry-After` says when to ask again",
    503: "no usable release, or no keys",
}


def _json(form: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{form}"}}}


def _operation(name: str, form: str, scope: str, *statuses: int, **more: Any) -> dict[str, Any]:
    """One operation: its answer, its refusals, and the scope that its token needs; an empty one is open to anybody."""
    known = (401, 403, 429, *statuses) if scope else statuses
    replies: dict[str, Any] = {"200": {"description": TOLD[200], "content": _json(form)}}
    for status in sorted(known):
        replies[str(status)] = {"description": TOLD[status], "content": _json("Error" if scope else form)}
    return {"operationId": name, "responses": replies, "security": [{"token": [scope]}] if scope else [], **more}


def document(path: str) -> dict[str, Any]:
    """The document of a service that recommends at `path`."""
    _, forms = msgspec.json.schema_components(FORMS, ref_template="#/components/schemas/{name}")
    user = {"name": "user", "in": "query", "required": True}
    k = {"name": "k", "in": "query", "required": False}
    parameters = [
        user | {"schema": {"type": "string", "minLength": 1, "maxLength": NAME}},
        k | {"schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": 10}},
    ]
    metrics = _operation("metrics", "Error", METRICS, 413, 503)
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    asked = {"required": True, "content": _json("Session")}
    more = (400, 408, 411, 413, 415, 503)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Recommendations", "version": "1"},
        "paths": {
            path: {
                "get": _operation("recommendations", "Recommendations", READ, 400, 413, 503, parameters=parameters),
                "post": _operation("session", "Suggestions", READ, *more, requestBody=asked),
            },
            "/version": {"get": _operation("version", "Version", READ, 413, 503)},
            "/metrics": {"get": metrics},
            "/healthz": {"get": _operation("healthz", "Health", "")},
            "/readyz": {"get": _operation("readyz", "Ready", "", 503)},
        },
        "components": {
            "schemas": forms,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
