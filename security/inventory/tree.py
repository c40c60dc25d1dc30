"""A tree of files by their paths, as a container or a system would see them: links lead nowhere but into it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

DEEPEST = 40
"""Links that are followed on the way to one file: as many as Linux does (path_resolution(7))."""
SETUID, SETGID, EXECUTES = 0o4000, 0o2000, 0o111


class Node(NamedTuple):
    """What lies at a path. `mode`: permissions with their special bits; `target`: of a link; `data`: the bytes of a
    file, where they are kept; `sha256`: theirs, where it was taken."""

    kind: Literal["file", "folder", "link", "other"]
    mode: int = 0o644
    target: str = ""
    data: bytes | None = None
    sha256: str = ""


@dataclass
class Tree:
    """Nodes by path, relative to the root, without dots; the folders of each among them."""

    nodes: dict[str, Node] = field(default_factory=dict)

    def resolve(self, path: str) -> str | None:
        """Where a path leads, links followed; none where they lead in a circle. `..` of the root is the root."""
        left, here, links = _parts(path), list[str](), 0
        while left:
            part = left.pop()
            if part == "..":
                here = here[:-1]
                continue
            node = self.nodes.get("/".join([*here, part]))
            if node is None or node.kind != "link":
                here.append(part)
                continue
            links += 1
            if links > DEEPEST:
                return None
            if node.target.startswith("/"):
                here = []
            left += _parts(node.target)
        return "/".join(here)

    def read(self, path: str) -> bytes | None:
        """The bytes of the file that a path leads to; none where there is none, or none are kept."""
        at = self.resolve(path)
        node = self.nodes.get(at) if at is not None else None
        return node.data if node and node.kind == "file" else None

    def files(self) -> Iterator[tuple[str, Node]]:
        """Every file that is none but itself, in the order of paths."""
        return ((path, self.nodes[path]) for path in sorted(self.nodes) if self.nodes[path].kind == "file")

    def drop(self, path: str) -> None:
        """Without what lies at a path, and below it."""
        node = self.nodes.pop(path, None)
        if node is not None and node.kind == "folder":
            self.clear(path)

    def clear(self, path: str) -> None:
        """Without what lies below a path."""
        start = f"{path}/" if path else ""
        for each in [each for each in self.nodes if each.startswith(start)]:
            del self.nodes[each]

    def put(self, path: str, node: Node) -> None:
        """Lay something at a path: a folder keeps what is below one, anything else is in its place alone."""
        parent = path
        while parent := parent.rpartition("/")[0]:
            over = self.nodes.get(parent)
            if over is not None and over.kind == "folder":
                break
            self.nodes[parent] = Node("folder", 0o755)
        there = self.nodes.get(path)
        if there is not None and there.kind == "folder" and node.kind != "folder":
            self.clear(path)
        self.nodes[path] = node


def _parts(path: str) -> list[str]:
    """The names of a path, the last of them first."""
    return [each for each in reversed(path.split("/")) if each not in ("", ".")]
