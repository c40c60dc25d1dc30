"""The layers of an image, laid over each other as the OCI image specification 1.1 has it (layer.md).

A layer is hashed as it is stored and as it is unpacked, and read to its last byte: what lies after the end of an
archive, where one reader stops and another goes on, is told. A whiteout takes from the layers below alone. No path
leads out of the tree, and nothing is unpacked to a disk. What is larger or more than anybody would look at is
`CannotTell`; what is not as it says is told as broken.
"""

import hashlib
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from security.errors import CannotTell
from security.inventory.tree import Node, Tree
from security.inventory.unpack import BROKEN, plain

PIECE = 1 << 18
LARGEST, ALL = 4 << 30, 16 << 30
"""Bytes of one unpacked layer, and of all."""
MEMBERS, PATH, LAYERS = 1_000_000, 4096, 127
"""Members of a layer, characters of a path, layers."""
KEPT = 128 << 20
"""Bytes of one file that is kept."""
HEADER = 1 << 20
"""Bytes of a header that goes on: of a long path, or of its attributes."""
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
KINDS = {
    "application/vnd.oci.image.layer.v1.tar": "",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
}
KEEP = re.compile(
    r"(usr/lib|etc)/os-release|var/lib/dpkg/(status(\.d/[^/]+)?|info/[^/]+\.list)|lib/apk/db/installed"
    r"|(.*/)?[^/]+\.dist-info/(METADATA|RECORD)|(.*/)?[^/]+\.egg-info(/PKG-INFO)?"
)
"""Files whose bytes the inventory reads."""
Visit = Callable[[str, Callable[[], Iterable[bytes]]], None]
"""What is shown every file of every layer: its place, and its bytes."""


class Blob(NamedTuple):
    """A layer as its descriptor has it, and its bytes. `diff`: what the config says of it unpacked."""

    kind: str
    sha256: str
    size: int
    diff: str
    chunks: Callable[[], Iterable[bytes]]


@dataclass
class Laid:
    """The tree, the digests of the unpacked layers, and what is broken, as place and sentence."""

    tree: Tree = field(default_factory=Tree)
    diffs: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    left: int = ALL


def chains(diffs: Iterable[str]) -> list[str]:
    """The chain id of the first layer, of the first two, and so on: SHA-256 without its name."""
    made: list[str] = []
    for diff in diffs:
        told = f"sha256:{made[-1]} sha256:{diff}" if made else ""
        made.append(hashlib.sha256(told.encode()).hexdigest() if told else diff)
    return made


def lay(laid: Laid, number: int, blob: Blob, visit: Visit) -> None:
    """Lay one layer over what there is."""
    name = f"layer {number}"
    if number > LAYERS:
        raise CannotTell(f"the image has more than {LAYERS} layers")
    with tempfile.TemporaryFile() as file:
        stored, size, diff = _unpacked(blob, file, laid, name)
        if (stored, size) != (blob.sha256, blob.size):
            laid.broken.append((name, f"found SHA-256 {stored[:12]}, {size:,} bytes; allowed: those of its descriptor"))
        if diff != blob.diff:
            laid.broken.append((name, f"unpacked, found SHA-256 {diff[:12]}; allowed: {blob.diff[:12] or 'none'}"))
        laid.diffs.append(diff)
        file.seek(0)
        try:
            _over(laid, name, file, visit)
        except (tarfile.TarError, ValueError, EOFError, OverflowError) as why:
            laid.broken.append((name, f"found no archive ({type(why).__name__}); allowed: tar"))


def _unpacked(blob: Blob, file: IO[bytes], laid: Laid, name: str) -> tuple[str, int, str]:
    """Digest and size as it is stored, digest unpacked; its unpacked bytes go to `file`."""
    stored, diff, size, out = hashlib.sha256(), hashlib.sha256(), 0, 0

    def raw() -> Iterator[bytes]:
        nonlocal size
        for chunk in blob.chunks():
            stored.update(chunk)
            size += len(chunk)
            yield chunk

    pieces = raw()
    try:
        for piece in plain(pieces, KINDS[blob.kind], PIECE):
            out += len(piece)
            laid.left -= len(piece)
            if out > LARGEST or laid.left < 0:
                raise CannotTell(f"{name} is larger than anybody would look at: {LARGEST:,} bytes, {ALL:,} of all")
            diff.update(piece)
            file.write(piece)
    except KeyError:
        laid.broken.append((name, f"found the media type {blob.kind[:80]!a}; allowed: {', '.join(KINDS)}"))
    except BROKEN as why:
        laid.broken.append((name, f"cannot be unpacked ({type(why).__name__}); allowed: what its media type says"))
    for _ in pieces:  # what was not unpacked is a part of the digest all the same
        continue
    return stored.hexdigest(), size, diff.hexdigest()


class _Member(tarfile.TarInfo):
    """A member whose headers are of a size that somebody would write."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not self.isreg() and self.size > HEADER:
            raise tarfile.TarError("a header that is larger than any")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


def _over(laid: Laid, name: str, file: IO[bytes], visit: Visit) -> None:
    members, tree, left = list[tuple[str, tarfile.TarInfo]](), laid.tree, LARGEST
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as tarred:
        for info in tarred:
            path, why = _path(info)
            left -= info.size if info.isreg() else 0
            if len(members) >= MEMBERS or left < 0:
                raise CannotTell(f"{name} has more than {MEMBERS:,} members, or more than {LARGEST:,} bytes in them")
            if why:
                laid.broken.append((name, f"found {why}; allowed: paths in the image"))
            elif path:
                members.append((path, info))
        _ended(laid, name, file, tarred.offset)
        for path, _ in members:
            _whiteout(tree, path)
        for path, info in members:
            if path.rpartition("/")[2].startswith(WHITEOUT):
                continue
            parent, _, last = path.rpartition("/")
            at = tree.resolve(parent)
            if at is None:
                laid.broken.append((name, f"found {_told(path)} behind links in a circle; allowed: a path"))
                continue
            place = f"{at}/{last}" if at else last
            node = _node(tree, tarred, info, place)
            if node is None:
                laid.broken.append((name, f"found {_told(path)}, a link to nothing; allowed: to a file before it"))
                continue
            tree.put(place, node)
            if info.isreg():
                visit(f"{name}: {path}", lambda info=info: _chunks(tarred, info))  # type: ignore[misc]


def _ended(laid: Laid, name: str, file: IO[bytes], at: int) -> None:
    """After its end an archive has nothing: another reader might go on there."""
    file.seek(at)
    while chunk := file.read(PIECE):
        if chunk.strip(b"\0"):
            laid.broken.append((name, "found more after the end of the archive; allowed: nothing"))
            return


def _path(info: tarfile.TarInfo) -> tuple[str, str]:
    """A member's path, empty for the root; and what is wrong with it."""
    told = info.name
    parts = [each for each in told.split("/") if each not in ("", ".")]
    if len(told) > PATH or ".." in parts or told.startswith("/") or "\0" in told:
        return "", f"the path {_told(told)}"
    return "/".join(parts), ""


def _told(path: str) -> str:
    return ascii(path[:120])


def _whiteout(tree: Tree, path: str) -> None:
    parent, _, last = path.rpartition("/")
    if not last.startswith(WHITEOUT) or (at := tree.resolve(parent)) is None:
        return
    if last == OPAQUE:
        tree.clear(at)
    else:
        gone = last.removeprefix(WHITEOUT)
        tree.drop(f"{at}/{gone}" if at else gone)


def _node(tree: Tree, tarred: tarfile.TarFile, info: tarfile.TarInfo, place: str) -> Node | None:
    if info.issym():
        return Node("link", 0o777, target=info.linkname)
    if info.islnk():
        at = tree.resolve(info.linkname)
        node = tree.nodes.get(at) if at is not None else None
        return node if node and node.kind == "file" else None
    if info.isdir():
        return Node("folder", info.mode & 0o7777)
    if not info.isreg():
        return Node("other", info.mode & 0o7777)
    total, data = hashlib.sha256(), b""
    keep = KEEP.fullmatch(place) is not None
    if keep and info.size > KEPT:
        raise CannotTell(f"{place} has {info.size:,} bytes; allowed: {KEPT:,}")
    for piece in _chunks(tarred, info):
        total.update(piece)
        data += piece if keep else b""
    return Node("file", info.mode & 0o7777, data=data if keep else None, sha256=total.hexdigest())


def _chunks(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    source = tarred.extractfile(info)
    while source is not None and (chunk := source.read(PIECE)):
        yield chunk
