"""The race against the embedded lake, whose conditional puts are conditional, and against a store that forgets them."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.lake.server import Lake
from security.engines import race
from security.engines.s3 import Credentials, Endpoint
from security.errors import CannotTell


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake(tmp_path_factory.mktemp("lake") / "state") as made:
        made.make_bucket("raced")
        yield made


def ran(lake: Lake, who: str = "operator") -> bool:
    own = lake._credentials[who]
    endpoint = Endpoint(url=lake.endpoint, region=lake.region, account=lake.account, ca=str(lake.ca))
    return race.conditional(endpoint, Credentials(own["access"], own["secret"]), "raced", "p/")


def left(lake: Lake) -> Any:
    return lake.client("operator").list_object_versions(Bucket="raced").get("Versions", [])


def test_one_of_eight_wins_and_nothing_is_left(lake: Lake) -> None:
    assert ran(lake) is True
    assert left(lake) == []


@pytest.mark.parametrize("forgotten", ["IfNoneMatch", "IfMatch"])
def test_a_store_that_forgets_a_condition_is_noticed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    real = race.client

    def client(*given: Any) -> Any:
        made = real(*given)
        put = made.put_object
        made.put_object = lambda **how: put(**{k: v for k, v in how.items() if k != forgotten})  # type: ignore[method-assign]
        return made

    monkeypatch.setattr(race, "client", client)
    assert ran(lake) is False
    assert left(lake) == []


def test_a_refusal_of_another_kind_tells_nothing(lake: Lake) -> None:
    with pytest.raises(CannotTell, match="a conditional write has no answer: AccessDenied"):
        ran(lake, "stranger")
    assert left(lake) == []
