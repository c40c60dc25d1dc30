"""One radosgw for the session."""

from collections.abc import Iterator

import pytest

from tests.ceph.gateway import Gateway, installed


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The running server."""
    root = installed()
    if root is None:
        pytest.skip("no radosgw: nothing is shown on a real S3 server; as root, install it with .ci/radosgw .radosgw")
    folder = tmp_path_factory.mktemp("radosgw")
    folder.chmod(0o700)
    with Gateway(root, folder) as made:
        yield made
