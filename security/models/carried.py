"""A chain as an OCI artifact, so that it travels with the models that it is about.

The manifest is of the artifact type `application/vnd.sluice.chain.v1` and has one layer: the entries, one a line. As of
a model's manifest, there is one spelling.
"""

import hashlib
import json
from collections.abc import Sequence

from security.errors import LogBroken
from security.models import chain
from security.models.manifest import MANIFEST, TITLE, descriptor
from security.verdict import canonical

CHAIN = "application/vnd.sluice.chain.v1"
LINES = "application/vnd.sluice.chain.v1+jsonl"
NOTHING = b"{}"
"""The config of an artifact that has none (OCI image 1.1)."""


def spelled(name: str, sha: str, size: int) -> bytes:
    """The manifest of a chain of this digest and size in bytes."""
    config = descriptor("application/vnd.oci.empty.v1+json", hashlib.sha256(NOTHING).hexdigest(), len(NOTHING))
    layer = descriptor(LINES, sha, size) | {"annotations": {TITLE: f"{name}.jsonl"}}
    told = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": CHAIN, "config": config, "layers": [layer]}
    return canonical(told)


def made(name: str, entries: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The manifest of a chain, and the bytes of its layer."""
    data = chain.joined(entries)
    return spelled(name, hashlib.sha256(data).hexdigest(), len(data)), data


def read(manifest: bytes, name: str) -> tuple[str, int]:
    """Digest and size of the chain that a manifest carries; `LogBroken` for anything else than a chain's manifest."""
    try:
        (layer,) = json.loads(manifest)["layers"]
        sha, size = str(layer["digest"]).removeprefix("sha256:"), int(layer["size"])
        plain = len(sha) == 64 and 0 <= size <= chain.MOST and spelled(name, sha, size) == manifest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise LogBroken(f"{name}: what was sent is no chain ({type(why).__name__})") from None
    if not plain:
        raise LogBroken(f"{name}: what was sent is no chain, of another model, or of more than {chain.MOST:,} bytes")
    return sha, size
