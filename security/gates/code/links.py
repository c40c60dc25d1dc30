"""Where the links of a tree lead: within what was signed, or out of it, where anybody may put anything."""

from collections.abc import Mapping, Set

MOST = 40
"""Links on the way of one."""


def leads(path: str, links: Mapping[str, str], known: Set[str]) -> bool:
    """Whether a link leads to a file or folder that was signed, over however many others. `links`: path -> target;
    `known`: the files, those links among them, and the folders that they lie in."""
    todo, at = path.split("/")[::-1], list[str]()
    for _ in range(MOST * 256):
        if not todo:
            return "/".join(at) in known or not at
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                return False
            at.pop()
            continue
        at.append(part)
        here = "/".join(at)
        if here not in known:
            return False
        if here in links:
            target = links[here]
            if target.startswith("/") or len(todo) > MOST * 64:
                return False
            at.pop()
            todo += target.split("/")[::-1]
    return False
