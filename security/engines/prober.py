"""Asks a running recommendation service the questions of `access_control_api`.

Requests are sent as spelled, follow nothing, take no proxy or password from the environment, and each has a deadline.
What is kept of an answer is a status and a few yes or no. Last comes a flood, by an identity of its own, so that
whatever limits it does not stand in the way of another question, and right behind it a right request of somebody else.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from security.engines.questions import Ask, Mint, asks
from security.keys import PublicKey
from security.verdict import Snapshot

if TYPE_CHECKING:
    import httpx

__all__ = ["Ask", "Mint", "asks", "operations", "probe"]

MOST = 1 << 20
"""Bytes of an answer that are read."""
AT_ONCE = 8
"""Connections of a flood."""
VERBS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
WANTED = {
    "nosniff": "x-content-type-options",
    "no-store": "cache-control",
    "default-src 'none'": "content-security-policy",
}
INSIDE = (b"Traceback", b'File "', b".py", b"Exception", b"site-packages")


def probe(
    url: str,
    path: str,
    mint: Mint,
    user: str,
    *,
    other: str,
    key: PublicKey,
    digest: str,
    items: Sequence[str],
    document: Mapping[str, Any],
    burst: int,
    ca: str = "",
    seconds: float = 5.0,
) -> Snapshot:
    """The service's answers.

    `user` and `other` are two users that it knows, `items` some items; `key` is the issuer's public key, `digest` that
    of the release that should answer, `document` its OpenAPI document, `burst` how many requests one identity may be
    served as fast as they come, `ca` a file of roots for https, `seconds` the deadline of one request. Plain http is
    asked on the loopback only: elsewhere it would show the tokens. What could not be asked is an `error`.
    """
    import ssl

    import httpx

    site = urlsplit(url)
    # Without a name and password: the client would send them in place of the credential under question.
    place = f"{site.scheme}://{site.netloc.rpartition('@')[2]}{site.path.rstrip('/')}"
    snapshot = Snapshot(kind="endpoint", uri=place + path, taken=time.time(), answers={})
    questions = asks(path, mint, user, other, key, items)
    answers: dict[str, dict[str, Any]] = dict.fromkeys(
        (*questions, "document", "flood", "right-flooded"), {"error": "PlainHttp"}
    )
    if site.scheme == "https" or (site.scheme == "http" and site.hostname in ("127.0.0.1", "::1")):
        context = ssl.create_default_context(cafile=ca or None)
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=seconds, verify=context) as client:

            def sent(ask: Ask) -> dict[str, Any]:
                try:
                    return _send(client, place, ask, digest, seconds)
                except Exception as why:  # noqa: BLE001 - the token's maker or the transport: no answer, never a pass
                    return {"error": type(why).__name__}

            answers.update({name: sent(ask) for name, ask in questions.items()})
            told = operations(document)
            for each in told:
                content = b"{}" if each["method"] in ("POST", "PUT", "PATCH") else None
                each["status"] = sent(Ask(None, each["method"], each["path"], content=content)).get("status", 0)
            there = {(each["method"], each["path"]) for each in told}
            right = {(questions[name].method, questions[name].path) for name in questions if name.startswith("right")}
            undeclared = [" ".join(each) for each in sorted(right - there)]
            answers["document"] = {"operations": told, "undeclared": undeclared}
            answers["flood"] = _flood(mint, path, burst, sent)
            answers["right-flooded"] = sent(questions["right-other"])
    return snapshot.model_copy(update={"answers": answers})


def operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a document declares: each operation, and whether it needs a credential of a scheme that is declared too.

    An operation's own `security` replaces the document's; one with an empty alternative needs none.
    """
    schemes = document.get("components", {}).get("securitySchemes", {})
    found = []
    for path, methods in document.get("paths", {}).items():
        for verb in VERBS:
            if verb in methods:
                wants = methods[verb].get("security", document.get("security", []))
                needs = bool(wants) and all(each and set(each) <= set(schemes) for each in wants)
                found.append({"method": verb.upper(), "path": path, "secured": needs, "status": 0})
    return found


def _flood(mint: Mint, path: str, burst: int, sent: Callable[[Ask], dict[str, Any]]) -> dict[str, Any]:
    """Requests of somebody new, as fast as they come, until one is answered 429, or one more than may be served was
    sent: the answer that says 429 if there is one, else another that is none of 200."""
    who = f"flood {secrets.token_hex(8)}"
    try:
        token = mint(sub=who)
    except Exception as why:  # noqa: BLE001 - the token's maker: no answer, never a pass
        return {"error": type(why).__name__}
    one = Ask(lambda: token, path=path, query=(("user", who), ("k", "1")))
    told: list[dict[str, Any]] = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        while len(told) <= burst and (not told or told[-1].get("status") != 429):
            wave = list(threads.map(sent, [one] * min(AT_ONCE, burst + 1 - len(told))))
            told += sorted(wave, key=lambda each: each.get("status") == 429)
    return next((each for each in reversed(told) if each.get("status") != 200), told[-1])


def _send(client: "httpx.Client", url: str, ask: Ask, digest: str, seconds: float) -> dict[str, Any]:
    headers = {"Accept-Encoding": "identity", **ask.headers}
    if ask.token is not None:
        headers["Authorization"] = f"{ask.scheme} {ask.token()}"
    if ask.content is not None:
        headers.setdefault("Content-Type", "application/json")
    target = ask.path + ("?" + urlencode(ask.query, quote_via=quote) if ask.query else "")
    # Sent as it is spelled: the client would tidy a path.
    spelled = {"target": (urlsplit(url).path + target).encode()}
    until = time.monotonic() + seconds
    body = b""
    with client.stream(ask.method, url, headers=headers, content=ask.content, extensions=spelled) as response:
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > MOST:
                return {"error": "TooLong"}
            if time.monotonic() > until:
                return {"error": "TooSlow"}
        return _kept(response, body, ask, digest)


def _kept(response: "httpx.Response", body: bytes, ask: Ask, digest: str) -> dict[str, Any]:
    """What is kept of a response: see `security.gates.api.Reply`."""
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    value = value if isinstance(value, dict) else {}
    items, user = value.get("items"), dict(ask.query).get("user")
    items = items if isinstance(items, list) else []
    return {
        "status": response.status_code,
        "items": len(items),
        "same": value.get("model") == digest,
        "mine": user is None or value.get("user") == user,
        "exact": set(value) == ask.declared
        and all(isinstance(each, dict) and set(each) == {"item", "score"} for each in items),
        "spills": any(mark in body for mark in INSIDE) and response.status_code != 200,
        "bare": [word for word, header in WANTED.items() if word not in response.headers.get(header, "").lower()],
        "challenge": response.headers.get("www-authenticate", "").lower().startswith("bearer"),
        "later": response.headers.get("retry-after", "").isdigit(),
    }
