"""Published outputs by digest, and the pointers to what is current.

An output is a file or a folder of files. Its digest is that of the file, or of the canonical listing of its files with
their digests. Publishing copies into a fresh place, hashes what was copied, and only then gives it its name, so that
nothing half-written is ever visible. Only a pointer moves, by compare-and-swap: each move is a new numbered file that
can be made once.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from security.errors import StoreError
from security.verdict import Ref, digest
from tasks.home import Home

CHUNK = 1 << 20


def hashed(path: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes of one file, streamed."""
    with path.open("rb") as data:
        sha = hashlib.file_digest(data, "sha256").hexdigest()
        return sha, data.tell()


def files(path: Path) -> list[Path]:
    """The regular files of an output, sorted. Anything else in it, a link among them, is an error."""
    if path.is_symlink() or not path.exists():
        raise StoreError(f"{path.name} is not there")
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    for each in found:
        if each.is_symlink() or not (each.is_file() or each.is_dir()):
            raise StoreError(f"{each.name} is neither a file nor a folder")
    return [each for each in found if each.is_file()]


def measure(path: Path) -> tuple[str, int]:
    """Digest and total size of an output."""
    if path.is_file() and not path.is_symlink():
        return hashed(path)
    listed = [(each.relative_to(path).as_posix(), *hashed(each)) for each in files(path)]
    if not listed:
        raise StoreError(f"{path.name} is empty")
    listing = [{"name": name, "sha256": sha, "size": size} for name, sha, size in sorted(listed)]
    return digest({"files": listing}), sum(size for _, _, size in listed)


def check(home: Home, ref: Ref, run: str) -> Path:
    """The place of a reference, its bytes hashed again; `StoreError` unless they are what it says."""
    path = home.path(ref.uri, run)
    sha, size = measure(path)
    if (sha, size) != (ref.sha256, ref.size):
        raise StoreError(
            f"{ref.kind} {ref.uri}: found SHA-256 {sha[:12]}, {size} bytes; the reference says "
            f"{ref.sha256[:12]}, {ref.size}"
        )
    return path


def publish(home: Home, ref: Ref, run: str) -> Ref:
    """Copy an output to its place by digest, hashing the copy. The same output again changes nothing."""
    source, target = home.path(ref.uri, run), home.folder("store", private=True) / ref.sha256
    if not target.exists():
        fresh = home.copying() / "copy"
        try:
            if source.is_file():
                shutil.copyfile(source, fresh)
            else:
                shutil.copytree(source, fresh, symlinks=True)
            if measure(fresh) != (ref.sha256, ref.size):
                raise StoreError(f"{ref.kind} changed between its gates and its publication")
            try:
                os.rename(fresh, target)
            except OSError:  # another run of the same content was first
                if not target.exists():
                    raise
        finally:
            shutil.rmtree(fresh.parent, ignore_errors=True)
    placed = ref.model_copy(update={"uri": f"store:{ref.sha256}"})
    check(home, placed, run)
    return placed


def conditional(home: Home) -> bool:
    """Whether the store lets exactly one of two writers make a name: without that, no pointer can be trusted."""
    with tempfile.TemporaryDirectory(prefix=".", dir=home.folder("pointers")) as folder:
        fresh, name = Path(folder, "fresh"), Path(folder, "1")
        fresh.write_bytes(b"")
        os.link(fresh, name)
        try:
            os.link(fresh, name)
        except FileExistsError:
            return True
    return False


def pointer(target: str, name: str = "") -> str:
    """The name of the pointer to what serves at a target: here one service, in a cluster one of each name."""
    return "serving" if target == "local" else f"serving-{target}-{name}"


def current(home: Home, name: str) -> tuple[int, dict[str, str]]:
    """How often a pointer was moved, and what it says now; 0 and nothing where it never was. `StoreError` where that
    cannot be read: to nobody does it look like one that never moved."""
    folder = home.folder("pointers", name)
    try:
        last = max((int(each) for each in os.listdir(folder) if each.isdigit()), default=0)
        return last, json.loads((folder / str(last)).read_text()) if last else {}
    except (OSError, ValueError) as why:
        raise StoreError(f"pointer {name} cannot be read ({type(why).__name__})") from None


def moves(home: Home, name: str) -> list[dict[str, str]]:
    """All that a pointer ever said, oldest first; `StoreError` where that cannot be read, or one is missing."""
    last, folder = current(home, name)[0], home.folder("pointers", name)
    try:
        return [json.loads((folder / str(number)).read_text()) for number in range(1, last + 1)]
    except (OSError, ValueError) as why:
        raise StoreError(f"pointer {name} cannot be read ({type(why).__name__})") from None


def move(home: Home, name: str, seen: int, to: dict[str, str]) -> int:
    """Move a pointer that was at `seen`; its new number. `StoreError` if it has moved meanwhile."""
    folder = home.folder("pointers", name)
    handle, fresh = tempfile.mkstemp(prefix=".", dir=folder)
    try:
        with os.fdopen(handle, "w") as out:
            json.dump(to, out, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        if current(home, name)[0] != seen:
            raise StoreError(f"pointer {name} has moved since it was read")
        try:
            os.link(fresh, folder / str(seen + 1))  # made once: of two writers one loses
        except FileExistsError:
            raise StoreError(f"pointer {name} has moved since it was read") from None
    finally:
        os.unlink(fresh)
    return seen + 1
