"""An OCI image layout 1.1 on disk (image-layout.md): what its index names, by digest, and the blobs of it.

Nothing is believed for its name: each blob is hashed by who reads it. A link is no blob, and no index of indexes is
followed: one image is named, for one platform.
"""

import base64
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from security.errors import BadInput
from security.inventory.layers import PIECE, Blob
from security.inventory.made import read

MOST = 16 << 20
"""Bytes of an index, a manifest, a config or what is said about an image."""
TAG = "org.opencontainers.image.ref.name"
SIGNATURE = "dev.cosignproject.cosign/signature"
SIGNED = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Opened(NamedTuple):
    """An image of a layout. `blobs`: how many its config says that it has layers; `said`: kind of what is said about it
    (`signature` with payload and mark, `attestation`) and the thing."""

    sha256: str
    manifest: bytes
    config: bytes
    layers: tuple[Blob, ...]
    blobs: int
    said: tuple[tuple[str, Any], ...]


def opened(root: Path, sha: str) -> Opened:
    """The image whose manifest has this SHA-256. `BadInput` where there is none, or what is there is not it."""
    named = listed(root)
    if not any(each.get("digest") == f"sha256:{sha}" for each in named):
        raise BadInput("index.json", "manifests", f"{len(named):,} without {sha[:12]}", "the image that is named")
    manifest = small(root, sha)
    try:
        config = small(root, _DIGEST.fullmatch(str(json.loads(manifest)["config"]["digest"]))[1])  # type: ignore[index]
        layers = read(manifest, config)
        count = len(json.loads(config)["rootfs"]["diff_ids"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(f"manifest {sha[:12]}", "the whole", "none of an image", "OCI image manifest 1.1") from None
    blobs = [Blob(kind, of, size, diff, partial(chunks, root, of)) for kind, of, size, diff in layers]
    return Opened(sha, manifest, config, tuple(blobs), count, tuple(_said(root, sha, named)))


def listed(root: Path) -> list[dict[str, Any]]:
    """The descriptors of the index; `BadInput` where this is no OCI layout."""
    told = _json(root / "index.json")
    if not isinstance(told.get("manifests"), list) or "imageLayoutVersion" not in _json(root / "oci-layout"):
        raise BadInput("index.json", "the whole", "no manifests", "the index of an OCI layout")
    return [each for each in told["manifests"] if isinstance(each, dict)]


def _said(root: Path, sha: str, named: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """What cosign says about an image, under the tags that it makes of the digest."""
    for end, kind in ((".sig", SIGNED), (".att", ENVELOPE)):
        tag = f"sha256-{sha}{end}"
        for each in named:
            found = _DIGEST.fullmatch(str(each.get("digest")))
            if each.get("annotations", {}).get(TAG) != tag or found is None:
                continue
            try:
                layers = json.loads(small(root, found[1]))["layers"]
                for layer in layers:
                    of = _DIGEST.fullmatch(str(layer["digest"]))
                    if layer["mediaType"] != kind or of is None:
                        continue
                    body = small(root, of[1])
                    yield ("attestation", body) if end == ".att" else ("signature", (body, _mark(layer)))
            except (ValueError, KeyError, TypeError, RecursionError):
                raise BadInput("index.json", tag[:24], "no manifest that can be read", "what cosign writes") from None


def _mark(layer: dict[str, Any]) -> bytes:
    return base64.b64decode(layer["annotations"][SIGNATURE], validate=True)


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(_bytes(path))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise BadInput(path.name, "the whole", "no JSON object", "that of an OCI layout")
    return told


def small(root: Path, sha: str) -> bytes:
    """A blob of a layout that is no layer, hashed: a manifest, a config, what is said about an image."""
    data = _bytes(root / "blobs" / "sha256" / sha)
    if hashlib.sha256(data).hexdigest() != sha:
        raise BadInput(f"blob {sha[:12]}", "the whole", "other bytes", "those of its digest")
    return data


def _bytes(path: Path) -> bytes:
    with _file(path) as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise BadInput(path.name[:12], "the whole", "more bytes than that", f"{MOST:,}")
    return data


def _file(path: Path) -> IO[bytes]:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise OSError
        return os.fdopen(number, "rb")
    except OSError as why:
        raise BadInput(path.name[:16], "the whole", type(why).__name__, "a file of an OCI layout") from None


def chunks(root: Path, sha: str) -> Iterator[bytes]:
    """A blob of a layout as it lies there, piece by piece; who reads it hashes it."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha):
        raise BadInput("manifest", "layers", "no SHA-256", "one of 64 hexadecimal digits")
    with _file(root / "blobs" / "sha256" / sha) as file:
        while chunk := file.read(PIECE):
            yield chunk
