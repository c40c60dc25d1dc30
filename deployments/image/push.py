"""Sends an image of a layout to a registry, over the OCI distribution API 1.1: every blob, the manifest, what is said.

In that order, so that nothing is named before all of it is there: the image by its digest alone, then its attestations
and, last of all, its signatures, under the tags that cosign makes of the digest. What others have said there already
stays: it is added to. A blob is hashed as it is sent, in pieces that fit in memory; what the registry says that it took
must be what was sent, and the manifests are read back.

A registry that goes away, answers 429 or 5xx, or half, is asked again, `TRIES` times; then it is one error.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from security.engines.line import MANIFEST, Reply
from security.engines.login import Login, Place
from security.engines.oci import Client
from security.errors import CannotTell, StoreError
from security.inventory.layout import ENVELOPE, SIGNED, TAG, chunks, listed, opened, small
from security.verdict import canonical

if TYPE_CHECKING:
    import httpx

TRIES, WAIT, LONGEST = 4, 0.5, 30.0
"""How often something is asked; seconds before the second time, doubled from there on; the longest that a registry may
ask for."""
SECONDS = 3_600.0
"""Of everything that one push asks."""
PATIENCE = 300.0
"""Of one answer: a registry hashes a large blob before it says that it has it."""
PIECE, MOST = 8 << 20, 64 << 20
"""Bytes that are sent at once, and the most where a registry wants more."""
SAYINGS = 100
"""Signatures, or attestations, of one image."""
ENDS = {".att": ENVELOPE, ".sig": SIGNED}
"""Under which tags something is said about an image, in this order, and of which media type it is."""
AGAIN = frozenset({429, 500, 502, 503, 504})
Result = TypeVar("Result")


class Pushed(NamedTuple):
    """What was done: `reference` is HOST/PATH@sha256:DIGEST; `sent` and `there` are blobs, `size` bytes sent."""

    reference: str
    sent: int
    there: int
    size: int


class _Again(Exception):
    """An answer that may be another a moment later. `wait`: seconds that the registry asks for."""

    def __init__(self, said: str, wait: float = 0.0) -> None:
        super().__init__(said)
        self.wait = wait


class Push:
    """One push, to one repository."""

    def __init__(self, client: Client, sleep: Callable[[float], None]) -> None:
        self.client, self.sleep = client, sleep
        self.sent, self.there, self.size = 0, 0, 0

    def blob(self, sha: str, pieces: Callable[[], Iterable[bytes]]) -> None:
        """One blob, unless it is there."""
        found = self._ask(f"blob {sha[:12]}", "HEAD", self.client.at(f"blobs/sha256:{sha}"), (200, 404))
        if found.status == 200:
            _took(found, sha)
            self.there += 1
            return
        self.size += self._tried(f"blob {sha[:12]}", partial(self._sent, sha, pieces))
        self.sent += 1

    def _sent(self, sha: str, pieces: Callable[[], Iterable[bytes]]) -> int:
        """A blob in pieces, each at the place where the last ended; its size. From the start if it is tried again."""
        begun = _answered(self.client.ask("POST", self.client.at("blobs/uploads/")), (202,))
        least = begun.headers.get("oci-chunk-min-length", "0")
        length = min(max(PIECE, int(least) if re.fullmatch(r"[0-9]{1,9}", least) else 0), MOST)
        onward = self.client.follow(self.client.at("blobs/uploads/"), begun.headers.get("location", ""))
        total, size = hashlib.sha256(), 0
        for piece in _gathered(pieces(), length):
            where = {"Content-Range": f"{size}-{size + len(piece) - 1}"}
            took = _answered(self.client.ask("PATCH", onward, piece, "application/octet-stream", where), (202,))
            total.update(piece)
            size += len(piece)
            if took.headers.get("range", f"0-{size - 1}").removeprefix("bytes=") != f"0-{size - 1}":
                raise _Again("the registry took another part than was sent")
            onward = self.client.follow(onward, took.headers.get("location", ""))
        if total.hexdigest() != sha:
            self.client.ask("DELETE", onward)
            raise StoreError(f"blob {sha[:12]}: found SHA-256 {total.hexdigest()[:12]}; allowed: its own")
        joint = "&" if "?" in onward else "?"
        _took(_answered(self.client.ask("PUT", f"{onward}{joint}digest=sha256:{sha}"), (201,)), sha)
        return size

    def manifest(self, data: bytes, tag: str = "") -> None:
        """A manifest whose blobs are there, by its digest or under a tag; what lies there then is read back."""
        sha = hashlib.sha256(data).hexdigest()
        url, what = self.client.at(f"manifests/{tag or f'sha256:{sha}'}"), tag or f"manifest {sha[:12]}"
        took = self._ask(what, "PUT", url, (201,), data, MANIFEST)
        _took(took, sha)
        if self._ask(what, "GET", url, (200,)).body != data:
            raise StoreError(f"{what}: what is there now is not what was sent; somebody else may have written it")

    def said(self, root: Path, tag: str, kind: str, data: bytes) -> None:
        """What is said about the image under a tag, added to what others have said there."""
        mine = json.loads(data)
        there = self._ask(tag, "GET", self.client.at(f"manifests/{tag}"), (200, 404))
        told = _layers(there.body, tag, kind) if there.status == 200 else []
        new = [each for each in mine["layers"] if each not in told]
        if not new:
            return
        if len(told) + len(new) > SAYINGS:
            raise StoreError(f"{tag}: found {len(told):,} there; allowed: {SAYINGS:,} with these")
        for each in (mine["config"], *new):
            sha = str(each["digest"]).removeprefix("sha256:")
            self.blob(sha, partial(chunks, root, sha))
        self.manifest(canonical({**mine, "layers": [*told, *new]}) if told else data, tag)

    def _ask(
        self, what: str, method: str, url: str, allowed: tuple[int, ...], content: bytes = b"", kind: str = ""
    ) -> Reply:
        return self._tried(what, lambda: _answered(self.client.ask(method, url, content, kind), allowed))

    def _tried(self, what: str, act: Callable[[], Result]) -> Result:
        """Again and again, as often as may be; `StoreError` with what was said last."""
        for count in range(1, TRIES + 1):
            try:
                return act()
            except (_Again, CannotTell) as why:
                if count == TRIES:
                    raise StoreError(f"{what}: {why}; tried {TRIES} times") from None
                self.sleep(min(max(WAIT * 2 ** (count - 1), getattr(why, "wait", 0.0)), LONGEST))
        raise AssertionError(what)


def pushed(
    root: Path,
    sha: str,
    place: Place,
    login: Login | None = None,
    *,
    transport: "httpx.BaseTransport | None" = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pushed:
    """Send the image of this digest, and what is said about it. `StoreError` where it was not taken whole: then no tag
    names any of what was missing. `transport` is there for registries that are doubles."""
    image = opened(root, sha)
    tags = {f"sha256-{sha}{end}": kind for end, kind in ENDS.items()}
    said = [(tag, kind, each) for tag, kind in tags.items() for each in listed(root) if _tag(each) == tag]
    reference = f"{place.host}/{place.repository}@sha256:{sha}"
    with Client(place, login, transport, seconds=SECONDS, patience=PATIENCE, known=True) as client:
        push = Push(client, sleep)
        try:
            for layer in image.layers:
                push.blob(layer.sha256, layer.chunks)
            config = hashlib.sha256(image.config).hexdigest()
            push.blob(config, lambda: (image.config,))
            push.manifest(image.manifest)
            for tag, kind, each in said:
                push.said(root, tag, kind, small(root, str(each["digest"]).removeprefix("sha256:")))
        except (StoreError, CannotTell) as why:
            raise StoreError(f"{reference} was not pushed: {why}") from None
    return Pushed(reference, push.sent, push.there, push.size)


def _tag(each: dict[str, Any]) -> str:
    return str(each.get("annotations", {}).get(TAG))


def _gathered(pieces: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The same bytes in pieces of this length, and what is left."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= length:
            yield bytes(held[:length])
            del held[:length]
    if held:
        yield bytes(held)


def _answered(reply: Reply, allowed: tuple[int, ...]) -> Reply:
    said = f"the registry answered {reply.status} {reply.code}".rstrip()
    if reply.status in AGAIN:
        asked = reply.headers.get("retry-after", "")
        raise _Again(said, float(asked) if re.fullmatch(r"[0-9]{1,4}", asked) else 0.0)
    if reply.status not in allowed:
        raise StoreError(f"{said}; allowed: {' or '.join(map(str, allowed))}")
    return reply


def _took(reply: Reply, sha: str) -> None:
    """`StoreError` where a registry says that it took something else."""
    told = reply.headers.get("docker-content-digest", f"sha256:{sha}")
    if told != f"sha256:{sha}":
        raise StoreError(f"{sha[:12]}: the registry took {ascii(told[:19])}; allowed: what was sent")


def _layers(data: bytes, tag: str, kind: str) -> list[dict[str, Any]]:
    """What somebody has said under a tag; `StoreError` where that is something else."""
    try:
        told = json.loads(data)
        layers = [dict(each) for each in told["layers"]]
        if told["mediaType"] != MANIFEST or any(each["mediaType"] != kind for each in layers):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError(f"{tag}: what is there already is no manifest of {kind}; have it removed") from None
    return layers
