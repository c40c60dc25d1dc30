"""A front with three buckets; `lake` is closed, `out` is where the pipeline writes, `open` is opened by tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.lake.front import Front
from tests.deployments.lake.door import PEOPLE, Door


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A running front."""
    with Front(PEOPLE, tmp_path_factory.mktemp("state")) as front:
        yield Door(front)


@pytest.fixture(scope="module")
def op(door: Door) -> Iterator[Any]:
    """The operator's client, and the three buckets."""
    s3 = door.client("OPKEY")
    for name in ("lake", "out", "open"):
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket=name, Key="k/one", Body=b"one")
    yield s3
    s3.close()


@pytest.fixture
def pl(door: Door, op: Any) -> Iterator[Any]:
    """The pipeline's client."""
    s3 = door.client("PLKEY")
    yield s3
    s3.close()


@pytest.fixture
def policy(op: Any) -> Iterator[Callable[..., None]]:
    """Puts a policy of these statements on a bucket, until the test ends."""
    used: list[str] = []

    def put(bucket: str, *statements: dict[str, Any]) -> None:
        used.append(bucket)
        op.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))

    yield put
    for bucket in used:
        op.delete_bucket_policy(Bucket=bucket)
