"""What the service imports of ours, and nothing else, goes into its image."""

import subprocess
import sys
from pathlib import Path

import pytest

from deployments.image.closure import closure
from security.errors import BadInput
from tasks import tree

ASKS = """
import sys
sys.path[:0] = [sys.argv[1], *sys.argv[2:]]
import importlib
for name in sys.stdin.read().split():
    importlib.import_module(name)
files = [getattr(each, "__file__", None) or "" for each in sys.modules.values()]
print(*sorted(each for each in files if each.startswith(sys.argv[1])))
"""


def test_what_is_imported_lies_in_it_and_can_be_imported_from_it_alone(tmp_path: Path) -> None:
    found = closure(tree.PIPELINE, "deployments.serving")
    for name, path in found.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(path.read_bytes())
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in found]
    argv = [sys.executable, "-I", "-c", ASKS, str(tmp_path)]
    asked = subprocess.run(argv, input=" ".join(names), capture_output=True, text=True, check=True)
    assert {str(Path(each).relative_to(tmp_path)) for each in asked.stdout.split()} == set(found)
    assert not [name for name in found if name.startswith(("tasks", "flows", "deployments/lake", "deployments/image"))]


def test_imports_of_every_form_are_followed_and_others_are_not(tmp_path: Path) -> None:
    for name, text in {
        "tasks/__init__.py": "",
        "tasks/start/__init__.py": "",
        "tasks/start/main.py": "import json, tasks.one\nfrom tasks import two\ndef f(): from tasks.deep.er import x\n",
        "tasks/one.py": "from numpy import array\n",
        "numpy.py": "what nobody has sealed\n",
        "tasks/two.py": "import tasks.start.main\n",
        "tasks/three.py": "",
        "tasks/deep/__init__.py": "",
        "tasks/deep/er.py": "x = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = closure(tmp_path, "tasks.start")
    assert list(found) == sorted(
        f"tasks/{each}.py"
        for each in ("__init__", "start/__init__", "start/main", "one", "two", "deep/__init__", "deep/er")
    )
    with pytest.raises(BadInput, match="found no package"):
        closure(tmp_path, "tasks.elsewhere")
    (tmp_path / "tasks" / "one.py").write_text("from . import two\n")
    with pytest.raises(BadInput, match="one.py, line 1: found a relative import"):
        closure(tmp_path, "tasks.start")
