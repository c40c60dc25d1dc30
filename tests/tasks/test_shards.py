"""The same rows on threads, on a Dask cluster of two processes, and in one look: the same facts, the same verdict."""

import gzip
import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from distributed import LocalCluster
from prefect import flow
from prefect_dask import DaskTaskRunner

from deployments.lake import sample
from security.errors import BadInput, CannotTell
from security.gate import judge, observe
from security.gates import contract
from security.gates.contract import DataContract
from security.registry import PROFILES
from security.rows import lines
from security.verdict import Observation, Subject
from tasks.shards import Shard, cut, scanned

GATE = DataContract()
LIMITS: dict[str, Any] = {"since": "2023-06-30", "until": "2023-07-12", "clean": True}
Files = tuple[list[Path], list[str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Days of the sample in four formats, with repetitions across files, faults, and files without rows."""
    folder = tmp_path_factory.mktemp("shards")
    paths, names = [], []
    bodies = [(key, body) for key, body in sample.partitions() if key.startswith(sample.PREFIX)][:6]
    faulty = b'{"user_id":null,"item_id":"a b","interaction_type":"hover","timestamp":"soon"}\n' * 3
    more = [("again.jsonl.gz", bodies[1][1]), ("none.jsonl", b""), ("faulty.jsonl.zst", zstd.compress(faulty))]
    commas = b"timestamp,user_id,item_id,interaction_type\nsoon,,a b,hover\n2023-07-01T00:00:00Z,x,y,view\n"
    more += [("faulty.csv", commas), ("none.csv.gz", gzip.compress(commas[: commas.index(b"\n") + 1]))]
    for number, (key, body) in enumerate([*bodies, *more]):
        paths.append(folder / f"{number:02d}-{key.rpartition('/')[2]}")
        names.append(key)
        paths[-1].write_bytes(body)
    columns = {name: pa.array(["x", "x", "y"]) for name in ("user_id", "item_id", "interaction_type")}
    stamps = pa.array([1_688_169_600_000_000] * 3, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table(columns | {"timestamp": stamps}), folder / "x.parquet")
    return [*paths, folder / "x.parquet"], [*names, "x.parquet"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, each a process, on this machine's own address."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as made:
        yield made


def looked(held: Files) -> Observation:
    """One look in this process."""
    subject = Subject(kind="rows", name="x", sha256="0" * 64)
    material = contract.material(subject, partial(contract.batches, *held), sum(map(lines, held[0])))
    return observe(GATE, material, LIMITS, random.Random(7))


@flow(name="shards", retries=0)
def sharded(held: list[Shard]) -> dict[str, Any]:
    """The facts of every profile, over shards."""
    return {name: profile.facts().model_dump(mode="json") for name, profile in scanned(held).items()}


def test_a_cluster_sees_what_one_look_sees(prefect: str, cluster: LocalCluster, files: Files) -> None:
    held = cut(*files, 4)
    assert len(held) > 2
    assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
    with cluster.get_client() as client:
        pids = set(client.run(os.getpid).values())
    assert len(pids) == 2
    assert os.getpid() not in pids
    seen = looked(files)
    on_cluster = sharded.with_options(task_runner=DaskTaskRunner(address=cluster.scheduler_address))(held)
    with cluster.get_client() as client:
        ran = client.run(lambda dask_worker: sorted({entry[0] for entry in dask_worker.state.log}))
    assert len(ran) == 2
    assert all(ran.values())
    assert sum(map(len, ran.values())) >= len(held)
    on_threads = sharded(held)
    again = seen.model_copy(update={"facts": on_cluster["data_contract"]})
    assert on_cluster == on_threads
    assert again.model_dump_json().encode() == seen.model_dump_json().encode()
    verdict, other = judge(GATE, seen, LIMITS), judge(GATE, again, LIMITS)
    assert other.model_dump_json().encode() == verdict.model_dump_json().encode()
    assert {each.rule for each in verdict.findings} >= {"CON-DUP", "CON-EMPTY", "CON-NULL", "CON-TIME", "CON-TYPE"}
    assert set(on_cluster) == set(PROFILES)


def test_a_shard_that_cannot_be_read_is_an_error(prefect: str, tmp_path: Path, files: Files) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(files[0][0].read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"cut\.jsonl\.gz"):
        sharded([Shard(tuple(files[0][:2]), tuple(files[1][:2])), Shard((path,), ("cut.jsonl.gz",))])


def test_shards_hold_every_file_once_and_in_order(files: Files) -> None:
    for count in range(1, 20):
        held = cut(*files, count)
        assert [path for shard in held for path in shard.files] == files[0]
        assert [name for shard in held for name in shard.names] == files[1]
        assert len(held) <= count
    with pytest.raises(CannotTell, match="0 files"):
        cut([], [], 2)
    with pytest.raises(CannotTell, match="0 shards"):
        cut(*files, 0)
