"""The keys that hashes are made under, by the reference that a policy has. None is ever in a plan, a log or a fact."""

import os
import secrets
from pathlib import Path

from security.errors import KeyBroken
from security.keys import once
from security.personal.handle import SHORTEST
from tasks.home import Home


def secret(home: Home, reference: str, name: str) -> bytes:
    """The key that a reference names: `env:NAME`, `file:PATH` or `UnsafeLocal`; empty for none.

    `name` is what it is for: `UnsafeLocal` makes one for each. `KeyBroken` where it cannot be had or is short. A key in
    a file or variable is its bytes, blanks around them left out.
    """
    if not reference:
        return b""
    kind, _, where = reference.partition(":")
    if kind == "UnsafeLocal":
        found = once(home.root / "keys" / f"{name}.key", lambda: secrets.token_hex(SHORTEST).encode()).read_bytes()
    elif kind == "env":
        found = os.fsencode(os.environ.get(where, ""))
    else:
        try:
            found = Path(where).read_bytes()
        except OSError:
            found = b""
    if len(found := found.strip()) < SHORTEST:
        raise KeyBroken(f"{reference}: a key of {len(found)} bytes for hashes; at least {SHORTEST} are needed")
    return found
