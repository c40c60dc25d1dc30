"""The scan of rows over shards: each is one Prefect task, on whatever task runner the flow has.

With threads that is this process; with `prefect_dask.DaskTaskRunner` a cluster. A shard is some whole files; the
profiles that come back are merged in the order of the files, and are those of one scan over all of them. They hold 44
bytes a row, no row and no id; the secret of their hashes goes to the workers, who read the rows anyway.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from prefect import task
from prefect.cache_policies import NO_CACHE

from security.errors import CannotTell
from security.gates.contract import batches
from security.registry import PROFILES
from security.rows.scan import SECRET, Profiles, merged, scan


class Shard(NamedTuple):
    """Files, and what they are called."""

    files: tuple[Path, ...]
    names: tuple[str, ...]


def cut(files: Sequence[Path], names: Sequence[str], count: int) -> list[Shard]:
    """Up to so many shards of whole files, in order, of about the same number of bytes."""
    if not files or count < 1:
        raise CannotTell(f"{len(files)} files cannot be cut into {count} shards", "coverage")
    sizes = [path.stat().st_size for path in files]
    total, done = sum(sizes) or 1, 0
    parts = list[list[int]]([] for _ in range(count))
    for index, size in enumerate(sizes):
        parts[min(count - 1, (done + size // 2) * count // total)].append(index)
        done += size
    return [Shard(tuple(files[i] for i in part), tuple(names[i] for i in part)) for part in parts if part]


@task(name="scan", retries=0, cache_policy=NO_CACHE, persist_result=False)
def scan_shard(shard: Shard, secret: bytes) -> Profiles:
    """Every profile of one shard."""
    return scan(batches(shard.files, shard.names), PROFILES, secret)


def scanned(shards: Sequence[Shard]) -> Profiles:
    """Every profile of all shards. Inside a flow; a shard that cannot be read raises what its reader raised."""
    secret = secrets.token_bytes(SECRET)
    parts = [scan_shard.submit(shard, secret) for shard in shards]
    return merged([part.result() for part in parts])
