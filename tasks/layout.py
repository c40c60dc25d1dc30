"""Models on disk as an OCI image layout 1.0: `oci-layout`, `index.json`, and blobs named by their SHA-256.

A blob is written beside its place and linked into it whole, once; one that is there is hashed again and never replaced.
Nothing is believed for its name: what is read is hashed again, and handed on as the bytes that were hashed.
`index.json` only helps other tools to find a manifest by its tag, and decides nothing.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from security import whole
from security.errors import StoreError
from security.gates.model import contents
from security.models import manifest
from security.models.manifest import Manifest
from security.verdict import canonical

LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
TAG = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Stored:
    """A model as it was read: the digest of its manifest, its files, and what is said about it, each by title."""

    sha256: str
    manifest: Manifest
    files: dict[str, bytes]
    attached: dict[str, bytes]


@dataclass(frozen=True)
class Layout:
    """One folder in the OCI layout."""

    root: Path

    @property
    def blobs(self) -> Path:
        """Where the blobs lie."""
        return self.root / "blobs" / "sha256"

    def path(self, sha: str) -> Path:
        """The place of a blob."""
        if len(sha) != 64 or set(sha) - set("0123456789abcdef"):
            raise StoreError(f"{sha[:80]!a} is not a SHA-256 of 64 hexadecimal digits")
        return self.blobs / sha

    def put(self, data: bytes) -> str:
        """Keep bytes, whole and once; their digest."""
        sha = hashlib.sha256(data).hexdigest()
        self.blobs.mkdir(parents=True, exist_ok=True)
        number, fresh = tempfile.mkstemp(prefix=".new-", dir=self.root)
        try:
            with os.fdopen(number, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            Path(fresh).chmod(0o444)
            try:
                os.link(fresh, self.path(sha))
            except FileExistsError:
                self.get(sha, len(data))
        finally:
            Path(fresh).unlink()
        return sha

    def get(self, sha: str, size: int) -> bytes:
        """The bytes of a digest and a size; `StoreError` where there are others, or a link."""
        path = self.path(sha)
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                data = file.read(size + 1)
        except OSError as why:
            raise StoreError(f"blob {sha[:12]}: cannot be read ({type(why).__name__})") from None
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha:
            raise StoreError(f"blob {sha[:12]}: found other bytes than its digest and its size of {size:,} say")
        return data

    def keep(self, files: Mapping[str, bytes], attached: Mapping[str, bytes]) -> str:
        """Keep a model from its bytes; the digest of its manifest, which is written last."""
        told = manifest.made(files, attached)
        for data in (*files.values(), *attached.values()):
            self.put(data)
        return self.put(told)

    def model(self, sha: str) -> Stored:
        """A model by the digest of its manifest: every blob read once, and hashed."""
        try:
            size = self.path(sha).stat(follow_symlinks=False).st_size
        except OSError as why:
            raise StoreError(f"manifest {sha[:12]}: cannot be read ({type(why).__name__})") from None
        if size > manifest.MOST:
            raise StoreError(f"manifest {sha[:12]}: found {size:,} bytes; allowed: {manifest.MOST:,}")
        found = manifest.read(self.get(sha, size), sha)
        files = {each.title: self.get(each.sha256, each.size) for each in found.files}
        return Stored(sha, found, files, {each.title: self.get(each.sha256, each.size) for each in found.attached})

    def unpack(self, sha: str, to: Path) -> Path:
        """A model's files in a private folder that was not there before, whole or not at all."""
        stored = self.model(sha)
        to.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=to.parent))
        try:
            for name, data in stored.files.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(data)
            if contents(fresh) != stored.files:
                raise StoreError(f"manifest {sha[:12]}: was unpacked to other files than it names")
            if to.is_symlink() or to.exists():
                raise StoreError(f"{to.name} is there already")
            fresh.rename(to)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return to

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def tag(self, sha: str, tag: str) -> None:
        """Let other tools find a manifest by a name."""
        size = self.path(sha).stat().st_size
        entry = manifest.descriptor(manifest.MANIFEST, sha, size) | {"annotations": {TAG: tag}}
        with self._alone():
            if not (self.root / "oci-layout").exists():
                whole.write(self.root / "oci-layout", (LAYOUT,))
            others = [each for each in self._tagged() if each.get("annotations", {}).get(TAG) != tag]
            index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
            whole.write(self.root / "index.json", (canonical(index | {"manifests": [*others, entry]}),))

    def _tagged(self) -> list[dict[str, Any]]:
        path = self.root / "index.json"
        try:
            return list(json.loads(path.read_bytes())["manifests"]) if path.exists() else []
        except (OSError, ValueError, KeyError, TypeError) as why:
            said = f"{path.name}: cannot be read ({type(why).__name__}); remove it: it decides nothing"
            raise StoreError(said) from None
