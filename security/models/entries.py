"""The entries of a chain as files: a folder, an entry a file, numbered from 1."""

import os
from pathlib import Path

from security.errors import LogBroken

LARGEST = 1 << 16
"""Bytes of an entry."""


def entries(folder: Path, name: str) -> list[bytes]:
    """The entries in the folder of a chain, in order; `LogBroken` where one is missing between others, is a link or too
    large, and where they cannot be listed or read: that is not the same as none."""
    found: list[bytes] = []
    try:
        # Not `Path.glob`: to that, a folder that may not be read is an empty one.
        paths = [folder / each for each in os.listdir(folder) if each[0].isdigit()]
        for number, path in enumerate(sorted(paths, key=lambda path: int(path.name)), 1):
            if path.name != str(number) or path.is_symlink() or path.stat().st_size > LARGEST:
                raise LogBroken(f"{name}: found the entry {path.name} in the place of {number}, or a link, or too much")
            found.append(path.read_bytes())
    except (OSError, ValueError) as why:
        raise LogBroken(f"{name}: the chain cannot be read ({type(why).__name__})") from None
    return found
