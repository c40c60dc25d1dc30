"""The body of a request: what its headers may announce, how long it may take, and the one form that it may have.

A body is announced by its length and is JSON in UTF-8, under no other name. It is parsed once, strictly: a property
that is not known, or that is there twice, is refused and not overlooked, since another reader would take the other one.
"""

import asyncio
import json
from collections.abc import Sequence

import msgspec
from starlette.types import Receive

from deployments.serving.schema import BODY, LENGTH, MOST, NAME, Refusal, Session

TYPE = b"application/json"
SECONDS = 5.0
"""How long a body may take to arrive."""
CLOSE = {"connection": "close"}
FORM = (
    f"a session is {{items, k}}: 1 to {LENGTH} ids of 1 to {NAME} characters, and a number from 1 to {MOST}; each once,"
    " and nothing else"
)


def comes(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the headers announce a body."""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def none(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """`Refusal` 413 where a request that takes no body announces one."""
    if comes(headers):
        raise Refusal(413, "no body is taken", CLOSE)


def announced(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """`Refusal` where the headers announce anything but a short body of JSON: 400, 411, 413, 415."""
    told = dict(headers)
    if len(told) != len(headers):
        raise Refusal(400, "a header is there twice", CLOSE)
    if b"transfer-encoding" in told or not told.get(b"content-length", b"").isdigit():
        raise Refusal(411, "a body must say its length", CLOSE)
    if len(told[b"content-length"]) > 9 or int(told[b"content-length"]) > BODY:
        raise Refusal(413, f"a body has at most {BODY} bytes", CLOSE)
    if told.get(b"content-type", b"").lower() != TYPE or b"content-encoding" in told:
        raise Refusal(415, f"a body is {TYPE.decode()}", CLOSE)


async def read(receive: Receive, seconds: float = SECONDS) -> bytes:
    """The whole body; `Refusal` 408 where it does not come in time, 400 where it breaks off."""
    data, more = b"", True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refusal(400, "the body broke off", CLOSE)
                data, more = data + message.get("body", b""), message.get("more_body", False)
                if len(data) > BODY:
                    raise Refusal(413, f"a body has at most {BODY} bytes", CLOSE)
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {seconds:g} s", CLOSE) from None
    return data


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _number(text: str) -> int | float:
    """JSON has one kind of number: 10.0 is 10."""
    value = float(text)
    return int(value) if value.is_integer() else value


def session(data: bytes) -> Session:
    """The session in a body; `Refusal` 400 for anything else."""
    try:
        return msgspec.convert(json.loads(data.decode(), object_pairs_hook=_once, parse_float=_number), Session)
    except (ValueError, RecursionError):  # msgspec's ValidationError is a ValueError
        raise Refusal(400, FORM) from None
