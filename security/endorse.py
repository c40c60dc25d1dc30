"""What is signed of an image that has no envelope around it: cosign's `simple signing`, in one spelling.

Cosign signs the bare bytes of a small JSON object that names the digest of a manifest. Whoever signs makes these bytes
himself, from a digest and the name of a repository, or holds what he is given against what he would make: whatever else
is to be signed has an envelope.
"""

import json
import re
from typing import Any, Final, NamedTuple

from security.errors import KeyBroken

SIGNED: Final = "cosign container image signature"
SHA: Final = re.compile(r"[0-9a-f]{64}")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9./:_-]{0,511}|")
"""HOST/PATH of a repository, or nothing."""
LONGEST: Final = 1 << 11
"""Bytes of a payload."""


class Image(NamedTuple):
    """What is endorsed: the SHA-256 of a manifest, and the repository that it is signed for, without tag or digest."""

    sha256: str
    name: str = ""


def payload(image: Image) -> bytes:
    """The bytes that are signed; `KeyBroken` for what is no digest or no name."""
    if not SHA.fullmatch(image.sha256) or not NAME.fullmatch(image.name):
        raise KeyBroken("an image is endorsed by a SHA-256 of 64 hexadecimal digits, and HOST/PATH or nothing")
    about = {"docker-manifest-digest": f"sha256:{image.sha256}"}
    told = {"identity": {"docker-reference": image.name}, "image": about, "type": SIGNED}
    return json.dumps({"critical": told, "optional": None}, separators=(",", ":")).encode()


def read(data: bytes) -> Image:
    """The image that a payload names. `KeyBroken` unless these are the very bytes that `payload` makes."""
    try:
        told: Any = json.loads(data) if len(data) <= LONGEST else {}
        critical = told["critical"]
        digest, name = critical["image"]["docker-manifest-digest"], critical["identity"]["docker-reference"]
        image = Image(digest.removeprefix("sha256:"), name)
        same = payload(image) == data
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise KeyBroken(f"no payload that names an image ({type(why).__name__})") from None
    if not same:
        raise KeyBroken("a payload in another spelling; allowed: the one of `simple signing` that is made here")
    return image
