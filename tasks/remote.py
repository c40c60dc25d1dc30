"""Models to and from a registry, by skopeo; whose answers are believed by their digests alone.

A registry is a place that holds bytes. A model's version is the tag of its number in the repository of its name, and
beside it lies its chain, under the tag `chain`; so do the revocations in the repository `revoked`. What comes back is
hashed, verified and held against what is here before any of it is kept: of two chains one must go on from the other.

What this cannot do: a registry lets the last writer win, so that of two who push at once one finds afterwards that the
chain there is another; and it may show somebody an old end of a chain, where that one knows no newer.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from security.errors import LogBroken, StoreError
from security.models import carried, chain
from security.models.belief import believe
from security.models.chain import Keys
from security.models.manifest import REVOKED
from security.models.standing import stands
from tasks import chains, models
from tasks.home import Home
from tasks.layout import Layout, Stored

ADDRESS = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
ABSENT = re.compile(r"manifest unknown|name unknown|repository name not known")
CHAIN, SENT = "chain", "sent"
"""The tag of a chain in a registry; that of what is sent in the layout that it is sent from."""
SECONDS = 1_800.0
ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")
UNSAFE_ANYTHING = b'{"default":[{"type":"insecureAcceptAnything"}]}'
"""skopeo is to ask for no signature of its own kind: what is believed here is what `believe` says of the bytes."""


@dataclass(frozen=True)
class Registry:
    """Where a registry is: HOST[:PORT][/PATH]. `unsafe_http` speaks to it without TLS."""

    address: str
    unsafe_http: bool = False

    def __post_init__(self) -> None:
        if not ADDRESS.fullmatch(self.address):
            raise StoreError(f"{self.address!a} is no registry; allowed: HOST[:PORT][/PATH]")

    def raw(self, name: str, tag: str) -> bytes | None:
        """The manifest that a tag names now, as it is sent; None where there is no such tag."""
        ended = self._skopeo("inspect", "--raw", *self._tls(""), f"docker://{self.address}/{name}:{tag}")
        if ended.returncode == 0:
            return ended.stdout
        said = ended.stderr.decode("utf-8", "replace")
        if ABSENT.search(said):
            return None
        raise StoreError(f"{name}:{tag}: the registry did not answer: {_last(said)}")

    def send(self, from_: Layout, name: str, tag: str, sha: str) -> None:
        """Copy what a layout has under `SENT` byte for byte, and ask for the tag again: it must name this digest."""
        to = f"docker://{self.address}/{name}:{tag}"
        ended = self._skopeo("copy", "--preserve-digests", *self._tls("dest-"), f"oci:{from_.root}:{SENT}", to)
        if ended.returncode != 0:
            raise StoreError(f"{name}:{tag}: was not taken: {_last(ended.stderr.decode('utf-8', 'replace'))}")
        found = self.raw(name, tag)
        if found is None or hashlib.sha256(found).hexdigest() != sha:
            raise StoreError(f"{name}:{tag}: what is there now is not what was sent; somebody else may have written it")

    def fetch(self, name: str, sha: str, to: Layout) -> None:
        """Copy a manifest of a digest, and its blobs, into a layout."""
        source = f"docker://{self.address}/{name}@sha256:{sha}"
        ended = self._skopeo("copy", "--preserve-digests", *self._tls("src-"), source, f"oci:{to.root}:fetched")
        if ended.returncode != 0:
            raise StoreError(f"{name}@{sha[:12]}: was not sent: {_last(ended.stderr.decode('utf-8', 'replace'))}")

    def _tls(self, side: str) -> list[str]:
        return [f"--{side}tls-verify={'false' if self.unsafe_http else 'true'}"]

    def _skopeo(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        program = shutil.which("skopeo")
        if program is None:
            raise StoreError("there is no skopeo; install it (Debian: apt-get install skopeo)")
        env = {name: os.environ[name] for name in (*ENVIRONMENT, *PROXIES) if name in os.environ}
        with tempfile.NamedTemporaryFile(prefix="sluice-", suffix=".json") as policy:
            policy.write(UNSAFE_ANYTHING)
            policy.flush()
            try:
                return subprocess.run(  # noqa: S603 - a fixed program, and arguments that were looked at
                    [program, "--policy", policy.name, *arguments],
                    env=env,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=SECONDS,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as why:
                raise StoreError(f"skopeo {arguments[0]}: {type(why).__name__}") from None


def _last(said: str) -> str:
    """The end of what a program said, in one line that a person can read."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    return "".join(each for each in (lines or ["nothing was said"])[-1][:400] if each.isprintable())


@contextmanager
def _aside() -> Iterator[Layout]:
    with tempfile.TemporaryDirectory(prefix="sluice-oci-") as folder:
        yield Layout(Path(folder, "layout"))


def push(home: Home, name: str, to: Registry, keys: Keys) -> list[int]:
    """Send every version of a model that stands, then its chain; the versions. Revocations go first.

    `LogBroken` where a chain there is no beginning of the one here; `StoreError` where a tag there is another model's.
    """
    mine, gone = chains.there(home, name), chains.there(home, REVOKED)
    found = stands(mine, gone, keys, name, now=time.time())
    if not found.rows:
        raise StoreError(f"{name}: no version was entered")
    for what, entries in ((REVOKED, gone), (name, mine)):
        if len(theirs := _chain(to, what)) > len(entries):
            raise LogBroken(f"{what}: the registry has {len(theirs):,} entries, here are {len(entries):,}; pull first")
        chain.extends(entries, theirs, what)
    sent = []
    _send(to, REVOKED, gone)
    for row in found.rows:
        if not row.wrong:
            model = models.layout(home).model(row.claim.manifest)
            believe(model.sha256, model.files, model.attached, keys, found)
            _version(name, row.claim.version, model, to)
            sent.append(row.claim.version)
    _send(to, name, mine)
    return sent


def _version(name: str, version: int, model: Stored, to: Registry) -> None:
    there = to.raw(name, str(version))
    if there is not None and hashlib.sha256(there).hexdigest() != model.sha256:
        raise StoreError(f"{name}:{version}: is another model there; a version is never replaced")
    with _aside() as aside:
        aside.tag(aside.keep(model.files, model.attached), SENT)
        to.send(aside, name, str(version), model.sha256)


def _send(to: Registry, name: str, entries: Sequence[bytes]) -> None:
    told, data = carried.made(name, entries)
    with _aside() as aside:
        for each in (data, carried.NOTHING):
            aside.put(each)
        sha = aside.put(told)
        aside.tag(sha, SENT)
        to.send(aside, name, CHAIN, sha)


def _chain(of: Registry, name: str) -> list[bytes]:
    """A chain as a registry has it, hashed; nothing where it has none."""
    told = of.raw(name, CHAIN)
    if told is None:
        return []
    sha, size = carried.read(told, name)
    with _aside() as aside:
        of.fetch(name, hashlib.sha256(told).hexdigest(), aside)
        return chain.lines(aside.get(sha, size), name)


def pull(
    home: Home, name: str, of: Registry, keys: Keys, *, version: int = 0, known: Collection[str] = ()
) -> list[int]:
    """Take a model's chain from a registry, and those of its versions that an alias names, or the one that is asked
    for; the versions. Revocations that are signed are kept, whatever becomes of the rest."""
    theirs = {what: _chain(of, what) for what in (REVOKED, name)}
    if not theirs[name]:
        raise StoreError(f"{name}: the registry has no chain of it")
    gone, newer = (_longer(theirs[what], chains.there(home, what), what) for what in (REVOKED, name))
    chain.read(gone, keys, REVOKED)
    chains.adopt(home, REVOKED, gone)
    found = stands(newer, gone, keys, name, now=time.time(), known=known)
    wanted = [version] if version else sorted({each.version for each in found.aliases.values()})
    for each in wanted:
        sha = found.row(each).claim.manifest
        with _aside() as aside:
            of.fetch(name, sha, aside)
            model = aside.model(sha)
        believe(sha, model.files, model.attached, keys, found)
        models.layout(home).keep(model.files, model.attached)
        models.layout(home).tag(sha, f"{name}-{each}")
    chains.adopt(home, name, newer)
    return wanted


def _longer(theirs: list[bytes], mine: list[bytes], name: str) -> list[bytes]:
    """Of two chains the one that goes on from the other; `LogBroken` where neither does."""
    longer, shorter = (theirs, mine) if len(theirs) > len(mine) else (mine, theirs)
    chain.extends(longer, shorter, name)
    return longer
