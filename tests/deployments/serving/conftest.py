"""One release and its home for the tests of the service."""

from pathlib import Path

import pytest

from tests.deployments.serving.release import Site, site


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A home with a signed release and keys."""
    return site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "release"
