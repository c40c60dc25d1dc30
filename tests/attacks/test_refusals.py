"""What is trained on: buckets, objects, rows, what drifts, who is in which group, who acts together."""

import pytest

from tests.attacks.attacker import Ground
from tests.attacks.conftest import Pair
from tests.attacks.drifts import BASELINES, COLUMNS
from tests.attacks.groupings import GROUPINGS
from tests.attacks.newest import NEWEST
from tests.attacks.oddities import ODDITIES
from tests.attacks.poisonings import POISONINGS
from tests.attacks.refused import refused
from tests.attacks.table import BUCKETS, INPUTS, OBJECTS, PRIVACY, ROWS, Attack

EVERY = (BUCKETS, OBJECTS, INPUTS, ROWS, PRIVACY, COLUMNS, NEWEST, BASELINES, GROUPINGS, ODDITIES, POISONINGS)
ATTACKS = {name: attack for group in EVERY for name, attack in group.items()}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_it_is_refused_and_nothing_is_published(
    attack: Attack, ground: Ground, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(attack, ground, pair, monkeypatch)
