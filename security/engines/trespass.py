"""Tries, with the producer's own credentials, what the producer must not be able to do in a registry.

Each attempt does no harm where it succeeds. What is overwritten and deleted is a version of the gate's own: number 0,
which no model has, of bytes that say what they are; it stays in the repository, so that nothing piles up there. To the
newest real version, `approved` and `production` goes what they name already; where an alias names nothing, the half of
a manifest, which a registry that would have moved the tag can only call invalid. What an attempt changed all the same
is put back; what somebody else put there meanwhile is left.

Beside the attempts stand calls that must work, or a refusal would prove nothing: the producer reads, and may upload,
before the first attempt and again after the last. After each attempt, and at the end, what the tags name is asked: an
answer alone is no proof. Tags that are neither versions nor aliases are told by a digest of their names.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from security.engines.line import MANIFEST, Reply
from security.engines.login import Login, Place
from security.engines.oci import Client, tags
from security.engines.probe import CANARY, EMPTY, TEXT, newest, own, sha, shown, spelled
from security.errors import CannotTell
from security.verdict import Snapshot

if TYPE_CHECKING:
    import httpx

Answer = dict[str, Any]
QUESTIONS = (
    "place", "write", "before", "read", "overwrite", "version", "approved", "production", "untag", "delete", "erase",
    "again", "after",
)  # fmt: skip
MOST = 1_000
"""Tags of a repository."""
HALF = b'{"schemaVersion": 2, "layers": ['
"""No manifest: a registry that would tag one at our word can only answer that it is invalid."""
TOLD = "the registry answers with the credentials that it was sent"


def trespass(place: Place, login: Login | None, nonce: str, transport: "httpx.BaseTransport | None" = None) -> Snapshot:
    """The answers to every question, of a repository as one user. `nonce`: letters and digits that nobody used before.

    What kept an answer from being had is its `error`; after the first that is missing, none is asked.
    """
    snapshot = Snapshot(kind="registry", uri=f"{place.address}/{place.name}", taken=round(time.time(), 3), answers={})
    answers: dict[str, Answer] = {}
    with Client(place, login, transport) as client:
        visit = _Visit(client, nonce)
        for question in QUESTIONS:
            try:
                answers[question] = getattr(visit, question)()
            except CannotTell as why:
                answers[question] = {"error": str(why)}
                break
            except Exception as bug:  # noqa: BLE001 - whatever kept the answer away, the gate must not take it for one
                answers[question] = {"error": f"a crash ({type(bug).__name__})"}
                break
        if client.tells(repr(answers)):
            answers = {QUESTIONS[0]: {"error": TOLD}}
    return snapshot.model_copy(update={"answers": answers})


def _sha(manifest: bytes | None) -> str:
    return sha(manifest) if manifest else ""


def _works(reply: Reply, what: str) -> None:
    """`CannotTell` unless the producer may do what it must."""
    if not 200 <= reply.status < 300:
        as_ = "without credentials" if reply.by == "nobody" else "with the producer's credentials"
        found = f"to {what}, {as_}, was answered {reply.status} {reply.code}".strip()
        raise CannotTell(f"{found}: where that does not work, a refusal proves nothing")


class _Visit:
    """One visit to one repository; a method for each question."""

    def __init__(self, client: Client, nonce: str) -> None:
        self.client, self.nonce, self.canary = client, nonce, spelled(nonce)
        self._kinds: dict[str, str] = {}
        self._newest = ""

    def place(self) -> Answer:
        of = self.client.place
        reply = self.client.ask("GET", of.base)
        if reply.status not in (200, 401, 403):
            raise CannotTell(f"no registry answers there: found {reply.status}; allowed: what OCI's /v2/ answers")
        return {"form": "remote", "address": of.address, "name": of.name, "scheme": of.scheme, **reply.said()}

    def write(self) -> Answer:
        """Upload what the gate's own version consists of, and enter it where it is not there yet."""
        for blob in (EMPTY, TEXT):
            reply = self._upload(blob)
            _works(reply, "upload")
        there = self._manifest(CANARY)
        if there is None:
            reply = self._put(CANARY, self.canary)
            _works(reply, "enter a version")
        elif not own(there):
            raise CannotTell("version 0 is somebody else's, and so nothing is tried on it; allowed: the gate's own")
        self.canary = there or self.canary
        return {**reply.said(), "made": there is None}

    def before(self) -> Answer:
        """What every tag names."""
        listed = tags(self.client, MOST)
        if self.client.tells(" ".join(listed)):
            raise CannotTell(TOLD)
        self._newest = self._newest or newest(listed)
        return {"tags": {shown(tag): self._named(tag) for tag in listed}}

    after = before

    def read(self) -> Answer:
        reply = self.client.ask("GET", self.client.at(f"manifests/{CANARY}"))
        return {**reply.said(), "found": sha(reply.body) if reply.status == 200 else ""}

    def overwrite(self) -> Answer:
        return self._moved(CANARY, "other", spelled(f"{self.nonce}x"))

    def version(self) -> Answer:
        """The newest real version, under its tag once more; where there is none, nothing is tried."""
        there = self._manifest(self._newest) if self._newest else None
        if self._newest and there is None:
            raise CannotTell(f"version {self._newest} is listed, and is not there")
        return {"tag": self._newest, **self._moved(self._newest, "same", there)} if there else {"tag": ""}

    def approved(self) -> Answer:
        return self._alias("approved")

    def production(self) -> Answer:
        return self._alias("production")

    def untag(self) -> Answer:
        return self._deleted(f"manifests/{CANARY}", lambda: self._named(CANARY))

    def delete(self) -> Answer:
        return self._deleted(f"manifests/sha256:{sha(self.canary)}", lambda: self._named(CANARY))

    def erase(self) -> Answer:
        path = f"blobs/sha256:{sha(TEXT)}"
        return self._deleted(path, lambda: sha(TEXT) if self._there(path) else "")

    def _alias(self, tag: str) -> Answer:
        there = self._manifest(tag)
        return self._moved(tag, "half" if there is None else "same", HALF if there is None else there)

    def again(self) -> Answer:
        """What worked at first works still: an upload, and the gate's own manifest by its digest, which moves no tag.
        If it does not, what was refused was perhaps refused to whoever asks."""
        reply = self._upload(TEXT)
        if 200 <= reply.status < 300:
            reply = self._put(f"sha256:{sha(self.canary)}", self.canary)
        return reply.said()

    def _moved(self, tag: str, way: str, to: bytes) -> Answer:
        """Put a manifest under a tag, and look at what it names then. What it named before is put back in the place of
        what was sent, and of nothing else: that somebody else put there."""
        before = self._manifest(tag)
        reply = self._put(tag, to)
        after = now = self._manifest(tag)
        granted = 200 <= reply.status < 300
        if after != before and (after == to or (after is None and granted)):
            if before is not None:
                self._quietly(lambda: self._put(tag, before))
            else:
                self._quietly(lambda: self.client.ask("DELETE", self.client.at(f"manifests/{tag}")))
            now = self._manifest(tag)
        held = {"before": _sha(before), "after": _sha(after), "sent": sha(to), "back": now == before}
        return {**reply.said(), "way": way, **held}

    def _deleted(self, path: str, named: Callable[[], str]) -> Answer:
        """Delete; where that worked, make it again."""
        before = named()
        reply = self.client.ask("DELETE", self.client.at(path))
        after = now = named()
        if before and not after:
            self._quietly(self.write)
            now = named()
        return {**reply.said(), "way": "gone", "before": before, "after": after, "sent": "", "back": now == before}

    def _quietly(self, mend: Callable[[], object]) -> None:
        try:
            mend()
        except CannotTell:
            return  # it was changed, and the answer says so, and by what is there that it could not be put back

    def _manifest(self, tag: str) -> bytes | None:
        """The bytes that a tag names now; None where there is no such tag."""
        reply = self.client.ask("GET", self.client.at(f"manifests/{tag}"))
        if reply.status == 200 and reply.body:
            self._kinds[sha(reply.body)] = reply.headers.get("content-type", MANIFEST)
            return reply.body
        if reply.status == 404 and reply.code in ("MANIFEST_UNKNOWN", "NAME_UNKNOWN"):
            return None
        raise CannotTell(f"what {tag} names cannot be read: the registry answered {reply.status} {reply.code}".strip())

    def _named(self, tag: str) -> str:
        return _sha(self._manifest(tag))

    def _there(self, path: str) -> bool:
        reply = self.client.ask("HEAD", self.client.at(path))
        if reply.status not in (200, 404):
            raise CannotTell(f"whether a blob is there cannot be told: the registry answered {reply.status}")
        return reply.status == 200

    def _put(self, tag: str, manifest: bytes) -> Reply:
        kind = self._kinds.get(sha(manifest), MANIFEST)
        return self.client.ask("PUT", self.client.at(f"manifests/{tag}"), manifest, kind)

    def _upload(self, blob: bytes) -> Reply:
        """The answer to an upload: of the first step where that is refused, else of the last."""
        url = self.client.at("blobs/uploads/")
        begun = self.client.ask("POST", url)
        if begun.status != 202:
            return begun
        to = self.client.follow(url, begun.headers.get("location", ""))
        to += f"{'&' if '?' in to else '?'}digest=sha256:{sha(blob)}"
        return self.client.ask("PUT", to, blob, "application/octet-stream")
