"""The fingerprint of a secret: enough to tell it again, too little to learn it.

It is shown to whoever reads a verdict, and a verdict is read by more people than a checkout. A plain digest of a weak
password is the password: whoever has a list of passwords looks it up. A key would have to be kept, and would tie what a
policy allows to one machine. So it is slow (scrypt), salted by rule and path, and short: at 24 bits, of a list of a
thousand million passwords sixty fit, after months of trying; no guess is ever confirmed. That two secrets of one rule
in one file have the same is one in sixteen million: enough for what was looked at once and allowed. What a source says
its bytecode says too: both have one.
"""

import hashlib

from security.engines import bytecode

COST = 1 << 13
BITS = 24


def fingerprint(rule: str, path: str, value: str) -> str:
    """Of a secret of a rule in a file, wherever it stands there."""
    told = bytecode.source(path) or path
    salt = hashlib.sha256("\0".join(("sluice secret", rule, told)).encode("utf-8", "surrogateescape")).digest()
    data = value.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(data, salt=salt, n=COST, r=8, p=1, dklen=BITS // 8).hex()
