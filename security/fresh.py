"""A key of a draw, which signs as kept keys do: for what is tried, or known to be bad, and for nothing else."""

import random

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from security.endorse import Image, payload
from security.keys import ORDER, PublicKey, Signer, pae


class Fresh(Signer):
    """A signer whose key nobody has and nobody keeps; of one draw always the same bytes."""

    def __init__(self, draw: random.Random) -> None:
        self._private = ec.derive_private_key(draw.randrange(1, ORDER), ec.SECP256R1())
        form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        self.public = PublicKey(self._private.public_key().public_bytes(*form))

    def sign(self, body: bytes) -> bytes:
        """A strict DER, low-S signature over the DSSE encoding of `body`."""
        return self.mark(pae(body))

    def endorse(self, image: Image) -> bytes:
        """The same over the payload that cosign has of an image."""
        return self.mark(payload(image))

    def mark(self, body: bytes) -> bytes:
        """The same over bytes as they are: for forms of signatures that are no envelopes."""
        mark = self._private.sign(body, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(mark)
        return bytes(encode_dss_signature(r, min(s, ORDER - s)))
