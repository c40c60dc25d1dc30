"""A few real files, signed as they are, with bytecode and a module beside them: what canaries are made of.

They are under the real commits: nobody but those on the list can sign others. Of a signed list the canary brings a
fresh key, which breaks CODE-08 besides its own rule.
"""

import base64
import hashlib
import importlib.util
import marshal
import random
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from security.engines import sshsig
from security.engines.objects import Commit, hashed
from security.errors import CannotTell
from security.fresh import Fresh
from security.gates.code import manifest
from security.gates.code.facts import FILE, MODULE, RUNS, Entry, Found, Item, Listed, Loaded
from security.keys import STATEMENT, spell
from security.verdict import canonical

FEW, SMALL = 4, 64 << 10
"""Files of a canary, and bytes of each."""
SAFE = b"def answer():\n    return 42\n"


class World:
    """Files as they are and as they were signed, and who signed them, to be spoiled."""

    def __init__(self, sample: Sequence[Item], draw: random.Random) -> None:
        told = {item.kind: item.value for item in sample}
        self.source = "manifest" if told.get("source") == "manifest" else "commit"
        self.now = float(told.get("now") or 1.7e9)
        self.since = told.get("since") or ("", "")
        self.commits = [item.value for item in sample if item.kind == "commit"] or [(_commit(self.now, draw), 0.0)]
        self.found: dict[str, Found] = {}
        self.more: list[Item] = []
        self.torn = False
        for path, data, mode in _some(sample, draw):
            self.put(path, data, mode)
        self.code = f"canary_{draw.randrange(9999)}"
        self.put(f"{self.code}.py", SAFE)
        self.listed = {path: self.entry(path) for path in self.found}
        self.cache(SAFE, draw)

    def put(self, path: str, data: bytes, mode: int = FILE) -> None:
        """A file with this content."""
        self.found[path] = Found(path, mode, len(data), lambda: iter((data,)))

    def entry(self, path: str) -> Listed:
        """A file, as it would be signed."""
        data = b"".join(self.found[path].read())
        id = hashed("blob", data) if self.source == "commit" else hashlib.sha256(data).hexdigest()
        return Listed(path, self.found[path].mode, id)

    def cache(self, source: bytes, draw: random.Random) -> None:
        """Bytecode of this source, whose header fits the file that is there."""
        head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, draw.getrandbits(32), len(SAFE))
        code = compile(source, f"{self.code}.py", "exec", dont_inherit=True, optimize=0)
        self.put(f"__pycache__/{self.code}.{sys.implementation.cache_tag}.pyc", head + marshal.dumps(code))

    def items(self, draw: random.Random) -> list[Item]:
        """What is handed out."""
        made = [Item("source", self.source), Item("since", self.since), Item("now", self.now), Item("imports", True)]
        if self.source == "manifest":
            envelope, keys = _envelope([each for each in self.listed.values() if each.mode != MODULE], draw)
            made.append(Item("envelope", (envelope.swapcase() if self.torn else envelope, keys)))
        else:
            made += [Item("commit", each) for each in self.commits]
        # A signed list has no submodules; one that is planted is told beside it.
        told = [each for each in self.listed.values() if self.source == "commit" or each.mode == MODULE]
        made += [Item("listed", each) for each in told]
        made += [Item("entry", Entry("the standard library", tuple(sorted(sys.stdlib_module_names)), True))]
        made += [Item("entry", Entry("here", (self.code,), False))]
        made += [Item("loaded", Loaded(self.code, "tree", f"{self.code}.py", "", self.found[f"{self.code}.py"].read))]
        return [*made, *self.more, *(Item("file", each) for each in self.found.values())]


def _some(sample: Sequence[Item], draw: random.Random) -> Iterator[tuple[str, bytes, int]]:
    listed = {item.value.path for item in sample if item.kind == "listed"}
    each = [item.value for item in sample if item.kind == "file"]
    plain = [one for one in each if one.mode in (FILE, RUNS) and one.size <= SMALL and "__pycache__" not in one.path]
    known = [one for one in plain if one.path in listed] or plain
    for one in draw.sample(known, min(FEW, len(known))):
        try:
            yield one.path, b"".join(one.read()), one.mode
        except (CannotTell, OSError):
            yield one.path, draw.randbytes(9), one.mode


def _commit(now: float, draw: random.Random) -> Commit:
    id = f"{draw.getrandbits(160):040x}"
    at = datetime.fromtimestamp(int(now), UTC)
    return resigned(Commit(id=id, tree=id, parents=(), committed=at, signed=draw.randbytes(40), signature=""), draw)


def resigned(commit: Commit, draw: random.Random, namespace: bytes = b"git") -> Commit:
    """The commit, signed by a fresh key."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
    public, kind = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), sshsig.string(b"ssh-ed25519")
    parts = sshsig.string(namespace), sshsig.string(b""), sshsig.string(b"sha512")
    digest = sshsig.string(hashlib.sha512(commit.signed).digest())
    mark = private.sign(sshsig.MAGIC + b"".join(parts) + digest)
    blob = sshsig.MAGIC + struct.pack(">I", sshsig.VERSION) + sshsig.string(kind + sshsig.string(public))
    blob += b"".join(parts) + sshsig.string(kind + sshsig.string(mark))
    return replace(commit, signature=f"{sshsig.BEGIN}\n{base64.encodebytes(blob).decode()}{sshsig.END}\n")


def _envelope(files: list[Listed], draw: random.Random) -> tuple[bytes, tuple[bytes, ...]]:
    """A list of files, signed by a fresh key, and that key."""
    fresh = Fresh(draw)
    body = canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": each.path, "digest": {"sha256": each.id}} for each in sorted(files)],
            "predicateType": manifest.KIND,
            "predicate": manifest.predicate(files, ""),
        }
    )
    return spell(body, fresh.sign(body), fresh.public.id), (fresh.public.pem,)
