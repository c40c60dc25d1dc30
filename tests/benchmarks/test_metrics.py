"""Every averaged metric against ranx, in an environment of its own: the same to 1e-12, at each k."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from security.gates.metrics import REQUIRED
from security.gates.metrics.names import AVERAGED
from tests.benchmarks.test_artifacts import environment
from tests.security.gates.test_metrics import GATE, Row, batch, material

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]
ITEMS, USERS, CUTS = 500, 300, (1, 5, 10, 20)
NAMES = {"precision": "precision", "recall": "recall", "ndcg": "ndcg", "map": "map", "hit": "hit_rate"}
"""Ours -> what ranx calls it."""
ASK = """
import json, sys
from ranx import Qrels, Run, evaluate
told = json.load(open(sys.argv[1]))
held = Qrels({user: dict.fromkeys(items, 1) for user, items in told["held"].items()})
places = {user: {item: -float(at) for at, item in enumerate(items)} for user, items in told["top"].items()}
lists = Run(places)
print(json.dumps({name: float(value) for name, value in evaluate(held, lists, told["names"]).items()}))
"""


def rows() -> list[Row]:
    """Users of very different numbers of held-out items, and lists that hit seldom to often."""
    draw = random.Random(11)
    made = list[Row]()
    for user in range(USERS):
        order = draw.sample(range(ITEMS), ITEMS)
        count = draw.choice((1, 2, 3, 7, 12, 40))
        held, rest = order[:count], order[count:]
        row: Row = {"user": user, "held": held, "seen": rest[:20], "held_from": 2, "seen_until": 1}
        for system in REQUIRED:
            hits = draw.randint(0, min(count, CUTS[-1]))
            row[f"top_{system}"] = draw.sample(draw.sample(held, hits) + rest[20 : 40 - hits], CUTS[-1])
        made.append(row)
    return made


def test_metrics_are_those_of_ranx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python, told = environment(tmp_path, "ranx") / "python", rows()
    facts = GATE.look(material(batch(told, str(ITEMS).encode(), ",".join(map(str, CUTS)).encode())))
    worst = 0.0
    for system in REQUIRED:
        asked = {
            "names": [f"{NAMES[name]}@{k}" for name in AVERAGED for k in CUTS],
            "held": {f"u{row['user']}": [f"i{item}" for item in row["held"]] for row in told},
            "top": {f"u{row['user']}": [f"i{item}" for item in row[f"top_{system}"]] for row in told},
        }
        (tmp_path / "asked.json").write_text(json.dumps(asked))
        ended = subprocess.run(
            [str(python), "-c", ASK, str(tmp_path / "asked.json")],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={"HOME": str(tmp_path), "PATH": ""},
        )
        assert ended.returncode == 0, f"ranx DID NOT ANSWER, nothing was compared: {ended.stderr[-800:]}"
        theirs = json.loads(ended.stdout.splitlines()[-1])
        for name in AVERAGED:
            for k in CUTS:
                ours = facts.systems[system].metrics[f"{name}@{k}"].value
                worst = max(worst, abs(ours - theirs[f"{NAMES[name]}@{k}"]))
    with capsys.disabled():
        print(
            f"\n{len(REQUIRED) * len(AVERAGED) * len(CUTS)} figures of {USERS} users: at most {worst:.1e} from ranx's"
        )
    assert worst <= 1e-12
