"""Files of configuration, by name: where they lie, what they hold in one reading only, and the digest of that.

There are documents (`pipelines`), policies, data contracts, and model cards (`cards`). A key that is given twice, a
number that is none and a date that is not text are errors: what has no canonical JSON has no digest, and could not be
pinned.
"""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import rfc8785
import yaml

ROOT = Path(__file__).parent
BARE = re.compile(r"[a-z0-9_]+")
Folder = Literal["pipelines", "policies", "contracts", "cards"]
KINDS: dict[Folder, tuple[str, str]] = {
    "pipelines": ("document", ".json"),
    "policies": ("policy", ".yaml"),
    "contracts": ("contract", ".odcs.yaml"),
    "cards": ("model card", ".yaml"),
}
"""Folder -> what lies there, and how the names end."""


class ConfigError(Exception):
    """A document or policy that cannot be used, in one sentence with file and key."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (nearest: x)` for a name that is not known, or nothing where none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f" (nearest: {near[0]})" if near else ""


class _Once(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error."""


def _mapping(loader: _Once, node: yaml.MappingNode) -> dict[Any, Any]:
    pairs = [(loader.construct_object(key), loader.construct_object(value, deep=True)) for key, value in node.value]
    seen: set[Any] = set()
    for key, _ in pairs:
        if not isinstance(key, str):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a key that is not text")
        if key in seen:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: key {key!r} is given twice")
        seen.add(key)
    return dict(pairs)


_Once.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"key {key!r} is given twice")
    return dict(pairs)


@lru_cache(maxsize=256)
def _spelled(data: str, suffix: str) -> str:
    """What this very text says, as JSON, which whoever asks makes a value of their own from: YAML is slow to read, and
    what has no canonical JSON has no digest (a number that is none, a date that is not text)."""
    json_ = suffix == ".json"
    told = json.loads(data, object_pairs_hook=_unique) if json_ else yaml.load(data, _Once)  # noqa: S506 - it is safe
    sha256(told)
    return json.dumps(told)


def text(path: Path) -> Any:
    """The data in a JSON or YAML file, by its ending. `ConfigError` names what is wrong."""
    try:
        data = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"{path.name}: cannot be read ({type(why).__name__})") from None
    try:
        return json.loads(_spelled(data, path.suffix))
    except (ValueError, RecursionError, yaml.YAMLError) as why:
        raise ConfigError(f"{path.name}: {' '.join(str(why).split())}") from None


def sha256(data: Any) -> str:
    """SHA-256 of the canonical JSON (RFC 8785) of what a file holds: spacing and order do not count."""
    return hashlib.sha256(rfc8785.dumps(data)).hexdigest()


OFFERED: dict[str, Path] = {}
"""File name -> file, of documents and policies given to this process by path: a command line's, never a flow's."""


def offer(path: Path) -> str:
    """Make a file known in this process by its name alone; that name."""
    stem = path.name.partition(".")[0]
    if not BARE.fullmatch(stem) or not path.is_file():
        raise ConfigError(f"{path.name}: no such file, or a name of other than small letters, digits and _")
    if any((ROOT / folder / path.name).is_file() for folder in KINDS):
        raise ConfigError(f"{path.name}: is the name of a shipped file; give yours another")
    OFFERED[path.name] = path
    return stem


def find(name: str, folder: Folder, *, paths: bool = True, beside: Path | None = None) -> Path:
    """A file of a folder by its name: a shipped one, one that was offered, or one of the folder `SLUICE_CONFIGS`.

    With `paths`, what is not a bare name is the path of a file. A bare name is never a file of the working folder;
    `beside` is one more folder to look in, that of the file which gives the name.
    """
    what, suffix = KINDS[folder]
    own = os.environ.get("SLUICE_CONFIGS")
    if BARE.fullmatch(name):
        places = [
            ROOT / folder / f"{name}{suffix}",
            OFFERED.get(f"{name}{suffix}"),
            Path(own, f"{name}{suffix}") if own else None,
            beside / f"{name}{suffix}" if beside else None,
        ]
        for place in places:
            if place and place.is_file():
                return place
    elif paths and Path(name).is_file():
        return Path(name)
    shipped = sorted(path.name.removesuffix(suffix) for path in (ROOT / folder).glob(f"*{suffix}"))
    raise ConfigError(f"no {what} {name!r}{nearest(name, shipped)}; there are {', '.join(shipped)}")
