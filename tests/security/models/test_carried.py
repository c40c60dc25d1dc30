"""A chain as it travels: one manifest in one spelling, of this name, with one layer that is not too large."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from security.errors import LogBroken
from security.models import carried, chain
from security.verdict import canonical

LINES = [b"one", b"two"]


def test_there_and_back() -> None:
    told, data = carried.made("sample", LINES)
    sha, size = carried.read(told, "sample")
    assert (size, chain.lines(data, "sample")) == (len(data), LINES)
    assert sha in told.decode()
    assert json.loads(told)["artifactType"] == "application/vnd.sluice.chain.v1"


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "more": lambda told: told.update(more=1),
    "another type": lambda told: told.update(artifactType="application/vnd.sluice.model.v1"),
    "two layers": lambda told: told["layers"].append(told["layers"][0]),
    "no layers": lambda told: told.update(layers=[]),
    "too large": lambda told: told["layers"][0].update(size=chain.MOST + 1),
    "below nothing": lambda told: told["layers"][0].update(size=-1),
    "no digest": lambda told: told["layers"][0].update(digest="sha256:abc"),
    "elsewhere": lambda told: told["layers"][0].update(urls=["https://elsewhere.test/"]),
    "another config": lambda told: told["config"].update(size=3),
    "no size": lambda told: told["layers"][0].pop("size"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_else_is_a_chain(change: str) -> None:
    told = json.loads(carried.made("sample", LINES)[0])
    CHANGES[change](told)
    with pytest.raises(LogBroken, match="sample: what was sent is no chain"):
        carried.read(canonical(told), "sample")


def test_of_another_model_or_in_another_spelling() -> None:
    told, _ = carried.made("sample", LINES)
    for odd, name in ((told, "other"), (told + b" ", "sample"), (b"[]", "sample"), (b"", "sample")):
        with pytest.raises(LogBroken, match="what was sent is no chain"):
            carried.read(odd, name)
