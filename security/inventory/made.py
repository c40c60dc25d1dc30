"""Layers and manifests, written: of the same files always the same bytes, whoever writes them and when.

Nothing of the machine goes in: no time, no owner but root, no order but that of paths.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

from security.inventory.layers import Blob
from security.inventory.tree import Node
from security.verdict import canonical

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NOWHERE: Mapping[str, Path] = MappingProxyType({})


class Made(NamedTuple):
    """An image: its manifest, its config and its layers, as bytes."""

    manifest: bytes
    config: bytes
    layers: tuple[Blob, ...]

    @property
    def sha256(self) -> str:
        """Digest of the manifest, by which an image is named."""
        return hashlib.sha256(self.manifest).hexdigest()


def layer(nodes: Mapping[str, Node]) -> bytes:
    """The archive of these paths, and of the folders on the way to them."""
    out = io.BytesIO()
    archive(nodes, out)
    return out.getvalue()


def archive(nodes: Mapping[str, Node], out: IO[bytes], files: Mapping[str, Path] = NOWHERE) -> None:
    """Write such an archive. `files`: where the bytes of those nodes are read from that hold none, one after another;
    `OSError` for one that gets shorter meanwhile."""
    every = {path.rpartition("/")[0] for path in nodes}
    folders = {each[:at] for each in every for at in range(1, len(each) + 1) if each[at : at + 1] in ("", "/")}
    told = {**{each: Node("folder", 0o755) for each in folders}, **nodes}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tarred:
        for path in sorted(told):
            node, info = told[path], tarfile.TarInfo(path)
            info.mode = node.mode
            kinds = {"folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "file": tarfile.REGTYPE}
            info.type, info.linkname = kinds[node.kind], node.target
            data = node.data or b""
            with files[path].open("rb") if path in files else io.BytesIO(data) as file:
                size = os.fstat(file.fileno()).st_size if path in files else len(data)
                info.size = size if node.kind == "file" else 0
                tarred.addfile(info, file)


def blob(data: bytes) -> Blob:
    """An archive as a layer, not packed."""
    sha = hashlib.sha256(data).hexdigest()
    return Blob(LAYER, sha, len(data), sha, lambda: (data,))


def image(layers: Sequence[Blob], config: Mapping[str, Any]) -> Made:
    """The image of these layers. `config`: the OCI configuration without its `rootfs`."""
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{each.diff}" for each in layers]}
    body = canonical({**config, "rootfs": rootfs})
    told = {"schemaVersion": 2, "mediaType": MANIFEST}
    about = {"mediaType": CONFIG, "digest": f"sha256:{hashlib.sha256(body).hexdigest()}", "size": len(body)}
    listed = [{"mediaType": each.kind, "digest": f"sha256:{each.sha256}", "size": each.size} for each in layers]
    return Made(canonical({**told, "config": about, "layers": listed}), body, tuple(layers))


def read(manifest: bytes, config: bytes) -> list[tuple[str, str, int, str]]:
    """Media type, SHA-256, size and digest unpacked of the layers that a manifest and its config name; `ValueError`,
    `KeyError` or `TypeError` for no manifest."""
    layers = json.loads(manifest)["layers"]
    diffs = [str(each).removeprefix("sha256:") for each in json.loads(config)["rootfs"]["diff_ids"]]
    diffs += [""] * (len(layers) - len(diffs))
    return [
        (str(each["mediaType"]), str(each["digest"]).removeprefix("sha256:"), int(each["size"]), diff)
        for each, diff in zip(layers, diffs, strict=False)
    ]
