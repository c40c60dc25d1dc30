"""What is made, and what makes it: folders, logs, models, packages, code, the registry, the training, the release."""

import pytest

from tests.attacks import test_refusals
from tests.attacks.attacker import Ground
from tests.attacks.codes import CODES, HELD
from tests.attacks.conftest import Pair
from tests.attacks.models import MADE
from tests.attacks.packages import PACKAGES
from tests.attacks.refused import refused
from tests.attacks.registries import REGISTRIES
from tests.attacks.releases import RELEASES
from tests.attacks.table import FOLDERS, LOGS, MODELS, Attack
from tests.attacks.trainings import TRAININGS

EVERY = (FOLDERS, LOGS, MODELS, PACKAGES, CODES, HELD, MADE, REGISTRIES, TRAININGS, RELEASES)
ATTACKS = {name: attack for group in EVERY for name, attack in group.items()}


def test_no_attack_hides_another_by_its_name() -> None:
    both = (*EVERY, *test_refusals.EVERY)
    assert len(ATTACKS | test_refusals.ATTACKS) == sum(map(len, both))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_it_is_refused_and_nothing_is_published(
    attack: Attack, ground: Ground, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(attack, ground, pair, monkeypatch)
