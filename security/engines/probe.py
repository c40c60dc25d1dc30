"""The gate's own version in a registry, and which tags are versions and aliases."""

import hashlib
import json
import re
from collections.abc import Iterable

from security.engines.line import MANIFEST
from security.verdict import canonical

CANARY = "0"
"""The tag of the gate's own version."""
MOVED = "chain"
"""The tag that whoever pushes moves by right: what it names later is not held against what it named."""
ALIASES = ("candidate", "approved", "production", MOVED)
PROBE = "application/vnd.sluice.probe.v1"
TEXT = b"Sluice tries to overwrite and to delete this, and must not be able to. It is no model.\n"
EMPTY = b"{}"
_NONCE = "org.sluice.probe"


def sha(data: bytes) -> str:
    """SHA-256, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def spelled(nonce: str) -> bytes:
    """The manifest of the gate's own version; another nonce, another digest."""
    layer = {"mediaType": "text/plain", "digest": f"sha256:{sha(TEXT)}", "size": len(TEXT)}
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": f"sha256:{sha(EMPTY)}", "size": len(EMPTY)}
    told = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": PROBE, "config": config, "layers": [layer]}
    return canonical(told | {"annotations": {_NONCE: nonce}})


def shown(tag: str) -> str:
    """A tag as it is told: versions and aliases by their names, others, which may say anything, by a digest."""
    return tag if tag in ALIASES or re.fullmatch(r"0|[1-9][0-9]{0,17}", tag) else f"other-{sha(tag.encode())}"


def newest(tags: Iterable[str]) -> str:
    """The tag of the newest version that is not the gate's own; empty where there is none."""
    return max((tag for tag in tags if re.fullmatch(r"[1-9][0-9]{0,17}", tag)), key=int, default="")


def own(manifest: bytes) -> bool:
    """Whether a manifest is the gate's own, of whatever nonce."""
    try:
        return bool(manifest == spelled(str(json.loads(manifest)["annotations"][_NONCE])))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
