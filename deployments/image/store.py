"""Writes an OCI image layout 1.1: blobs by their digests, and an index that names what it is told to."""

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from security import whole
from security.errors import StoreError
from security.inventory.layout import TAG
from security.inventory.made import MANIFEST
from security.verdict import canonical

EMPTY = "application/vnd.oci.empty.v1+json"


class Store:
    """One layout, made where nothing was, or added to."""

    def __init__(self, root: Path) -> None:
        self.root, self.listed = root, list[dict[str, Any]]()
        self.blobs = root / "blobs" / "sha256"

    def put(self, pieces: Iterable[bytes], sha: str = "") -> dict[str, Any]:
        """Keep a blob; its digest and size. `StoreError` where it has another digest than `sha`."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        total, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self.root, prefix=".new-", delete=False) as file:
            for piece in pieces:
                total.update(piece)
                size += len(piece)
                file.write(piece)
        fresh, found = Path(file.name), total.hexdigest()
        if sha and sha != found:
            fresh.unlink()
            raise StoreError(f"blob {sha[:12]}: found SHA-256 {found[:12]}; allowed: its own")
        fresh.chmod(0o444)
        fresh.replace(self.blobs / found)
        return {"digest": f"sha256:{found}", "size": size}

    def name(self, manifest: bytes, tag: str) -> None:
        """Keep a manifest, and have the index name it."""
        told = {"mediaType": MANIFEST, **self.put((manifest,)), "annotations": {TAG: tag}}
        self.listed = [*(each for each in self.listed if each["annotations"][TAG] != tag), told]
        whole.write(self.root / "oci-layout", (canonical({"imageLayoutVersion": "1.0.0"}),))
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
        whole.write(self.root / "index.json", (canonical({**index, "manifests": self.listed}),))

    def attach(self, sha: str, end: str, kind: str, body: bytes, annotations: Mapping[str, str]) -> None:
        """Keep something that is said about an image, under the tag that cosign makes of the digest: `.sig`, `.att`."""
        layer = {"mediaType": kind, **self.put((body,)), "annotations": dict(annotations)}
        config = {"mediaType": EMPTY, **self.put((b"{}",))}
        told = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        self.name(canonical(told), f"sha256-{sha}{end}")
