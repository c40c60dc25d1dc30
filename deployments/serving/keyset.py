"""The issuer's public keys, as a JWK set (RFC 7517), and a file of them that may change while the service runs."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from deployments.serving.schema import Refusal
from security.errors import KeyBroken
from security.keys import PublicKey
from security.signer.token import ALGORITHM

EVERY = 10.0
"""Seconds after which the file is read again: so long a key that was removed is still believed."""
LEAST = 1.0
"""Seconds between two readings, however many tokens name a key that is not there."""


def keyset(data: bytes, name: str = "the key set") -> KeySet:
    """The issuer's keys from a JWK set: public P-256 keys for signatures, each with its own id, only.

    Anything else in the set is `KeyBroken`: the library passes over keys of a kind that it does not know.
    """
    try:
        entries = json.loads(data)["keys"]
        if not isinstance(entries, list) or not entries:
            raise KeyBroken(f"{name} holds no keys")
        for entry in entries:
            if entry["kty"] != "EC" or entry["crv"] != "P-256" or "d" in entry:
                raise KeyBroken(f"{name} holds a key that is not a public P-256 key")
            if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHM) != ALGORITHM:
                raise KeyBroken(f"{name} holds a key for something other than {ALGORITHM} signatures")
        if len({entry["kid"] for entry in entries}) != len(entries):
            raise KeyBroken(f"{name} holds two keys with one id")
        return KeySet([ECKey.import_key(entry) for entry in entries])
    except (ValueError, KeyError, TypeError, RecursionError, JoseError):
        raise KeyBroken(f"{name} is not a set of P-256 keys with ids") from None


def jwks(*keys: PublicKey) -> bytes:
    """The JWK set of these keys, each named by its thumbprint (RFC 7638)."""
    if not keys:
        raise KeyBroken("a key set without keys")
    entries = []
    for key in keys:
        public = ECKey.import_key(key.pem)
        entries.append({**public.as_dict(private=False), "kid": public.thumbprint(), "alg": ALGORITHM, "use": "sig"})
    return json.dumps({"keys": entries}, sort_keys=True).encode()


class Rotation:
    """The keys in a file, read again as time passes, and at once (but not more often than every second) when a token
    names a key that is not there. While the file cannot be read, no key is believed: the service answers 503.

    Raises: `KeyBroken` or `OSError` where the file cannot be read at the start.
    """

    def __init__(
        self,
        file: Path,
        every: float = EVERY,
        least: float = LEAST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.file, self.every, self.least, self.clock = file, every, least, clock
        self._data = file.read_bytes()
        self._keys: KeySet | None = keyset(self._data, file.name)
        self._read = clock()

    def keys(self, unknown: bool = False) -> KeySet:
        """The keys that count now. `unknown`: a token names another."""
        now = self.clock()
        if now - self._read >= (self.least if unknown or self._keys is None else self.every):
            self._read = now
            try:
                data = self.file.read_bytes()
                if data != self._data or self._keys is None:
                    # None first: whatever happens while it is parsed, the old ones are not believed on.
                    self._data, self._keys = data, None
                    self._keys = keyset(data, self.file.name)
            except (OSError, KeyBroken):
                self._keys = None
        if self._keys is None:
            raise Refusal(503, "the issuer's keys cannot be read")
        return self._keys
