"""The gate over model artefacts, over what the frameworks write: a trained model of ours, Keras and TensorFlow's own.

Each framework runs in a process of its own, and writes hostile models without calling them.
"""

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from security.engines import bundle
from security.engines.unfit import Unfit
from security.engines.unfit import told as shown
from security.gate import judge, observe
from security.gates.artifact import Limits, ModelArtifactScan
from security.gates.artifact.forge import field
from security.gates.artifact.graph import Graph
from security.gates.artifact.known import LAYERS
from security.gates.artifact.layers import Walk
from security.keys import UnsafeLocalKeys
from security.verdict import Outcome, Verdict
from tasks import artifact as opener
from tasks.recommender.autoencoder import train
from tasks.recommender.histories import histories
from tasks.recommender.shape import Settings, starting
from tests.deployments.serving import release
from tests.security.gates.artefacts import ALL, SLUICE

ROOT = Path(__file__).parents[3]
GATE = ModelArtifactScan()
SOUND = ("keras", "h5", "weights", "exported", "plain")
HOSTILE = {
    "reads a file": "ART-14", "writes a file": "ART-14", "lists files": "ART-14", "prints into a file": "ART-14",
    "calls Python": "ART-14", "calls Python and NumPy": "ART-14", "reads rows of a file": "ART-14",
    "saves anywhere": "ART-15", "restores anything": "ART-15", "hides in a branch": "ART-14",
    "hides in a loop": "ART-14", "a table out of a file": "ART-14", "a lambda in Keras": "ART-12",
    "a lambda in HDF5": "ART-12",
}  # fmt: skip


def framework(*words: str) -> str:
    """What the exporting process says."""
    argv = [sys.executable, "-W", "ignore", "-m", "tests.security.gates.exporting", *words]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    framework(str(folder))
    return folder


def told(folder: Path, **limits: Any) -> Verdict:
    return judge(GATE, observe(GATE, opener.opened(folder, limits), limits), limits)


def test_a_trained_model_passes_under_its_policy(tmp_path: Path) -> None:
    user, item = np.nonzero(np.add.outer(np.arange(50), np.arange(30)) % 7 < 2)
    seen = histories(user, item, (50, 30))
    done = train(seen, starting(30, 8, 1), Settings(learning_rate=0.001, batch_size=16, epochs=2))
    arrays = {
        **done.weights,
        "seen_indptr": seen.indptr.astype(np.int64),
        "seen_indices": seen.indices.astype(np.int32),
    }
    ids = {"users": [f"u{n}" for n in range(50)], "items": [f"i{n}" for n in range(30)]}
    card = release.card(hyperparameters={"width": 8, "learning_rate": 0.001})
    by = UnsafeLocalKeys(tmp_path / "keys").signer("producer")
    folder = release.write(tmp_path / "model", by, tensors=arrays, names=ids, says=card)
    counts = SLUICE["counts"] | {"width": "model.json#hyperparameters.width"}
    limits = SLUICE | {"counts": counts}
    assert told(folder, **limits).outcome is Outcome.PASS
    (folder / "model.json").write_text(json.dumps(card | {"hyperparameters": {"width": 9}}))
    assert {each.rule for each in told(folder, **limits).findings} == {"ART-07"}
    (folder / "model.json").write_text(json.dumps(card))
    (folder / "model.safetensors").write_bytes(save(arrays | {"encoder": arrays["encoder"] * np.float32(np.nan)}))
    assert {each.rule for each in told(folder, **limits).findings} == {"ART-06"}


@pytest.mark.parametrize("name", SOUND)
def test_what_the_frameworks_write_passes_where_it_is_named(made: Path, name: str) -> None:
    found = told(made / "sound" / name, formats=ALL)
    assert (found.outcome, found.findings) == (Outcome.PASS, ())
    assert {each.rule for each in told(made / "sound" / name).findings} == {"ART-02"}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_they_write_that_is_hostile_is_refused_by_its_rule(made: Path, name: str) -> None:
    found = {each.rule for each in told(made / "hostile" / name, formats=ALL).findings}
    assert HOSTILE[name] in found
    assert found <= {HOSTILE[name], "ART-02", "ART-13", "ART-16"}


@pytest.mark.prove
def test_every_layer_that_is_allowed_is_written_with_keys_that_are_known() -> None:
    written = json.loads(framework("--classes", *sorted(LAYERS)).splitlines()[-1])
    models = {"keras.Model", "keras.Sequential", "keras.layers.Bidirectional"}
    assert LAYERS - written.keys() == models | {"keras.src.models.functional.Functional"}
    for name, config in written.items():
        walk = Walk()
        walk.node(config, "$")
        assert (walk.odd, set(walk.classes) - LAYERS) == ([], set()), name


def changed(made: Path, change: Callable[[Any], None]) -> set[str]:
    """The rules that an exported graph breaks after a change of its first meta graph."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((made / "sound" / "plain" / "saved_model.pb").read_bytes())
    change(saved.meta_graphs[0])
    facts = GATE.look(_handed(saved.SerializeToString()))
    return {each.rule for each in GATE.judge(facts, Limits.model_validate({"formats": ALL}))}


def _handed(data: bytes) -> Any:
    from security.gates import artifact
    from security.verdict import Subject

    items = [artifact.Item("saved_model.pb", "file", len(data), data)]
    return artifact.material(Subject(kind="model", name="m", sha256=""), lambda: items, 1).handed()[0]


def _function(meta: Any, part: str) -> Any:
    return next(each for each in meta.graph_def.library.function if part in each.signature.name)


def _node(meta: Any, part: str, op: str) -> Any:
    return next(each for each in _function(meta, part).node_def if each.op == op)


def _constant(meta: Any) -> None:
    """The saver's function writes to a path of its own."""
    _node(meta, "traced_save", "Const").attr["value"].tensor.string_val[0] = b"/etc/cron.d/x"


def _first(meta: Any) -> None:
    _node(meta, "traced_save", "SaveV2").input[0] = "Const:output:0"


def _joined(meta: Any) -> None:
    _node(meta, "traced_save", "StringJoin").attr["separator"].s = b"/../../etc/"


def _swapped(meta: Any) -> None:
    node = _node(meta, "traced_save", "StringJoin")
    node.input[0], node.input[1] = node.input[1], node.input[0]


def _merged(meta: Any) -> None:
    _node(meta, "traced_save", "MergeV2Checkpoints").input[1] = "Const:output:0"


def _restored(meta: Any) -> None:
    _node(meta, "traced_restore", "RestoreV2").input[0] = "RestoreV2/tensor_names:output:0"


def _called(meta: Any) -> None:
    """What serves calls the saver's function."""
    name = _function(meta, "traced_save").signature.name
    _node(meta, "signature_wrapper", "StatefulPartitionedCall").attr["f"].func.name = name


def _served(meta: Any) -> None:
    """A client says where the saver writes."""
    inputs = meta.signature_def["serving_default"].inputs
    inputs["path"].CopyFrom(next(iter(inputs.values())))
    inputs["path"].name = meta.saver_def.filename_tensor_name


def _answered(meta: Any) -> None:
    next(iter(meta.signature_def["serving_default"].outputs.values())).name = meta.saver_def.save_tensor_name


def _offered(meta: Any) -> None:
    meta.object_graph_def.concrete_functions[_function(meta, "traced_restore").signature.name].SetInParent()


def _depended(meta: Any) -> None:
    meta.graph_def.node[0].input.append("^" + meta.saver_def.restore_op_name)


def _named(meta: Any) -> None:
    next(each for each in meta.graph_def.node if each.name == "saver_filename").op = "Const"


@pytest.mark.parametrize(
    "change",
    [
        _constant,
        _first,
        _joined,
        _swapped,
        _merged,
        _restored,
        _called,
        _served,
        _answered,
        _offered,
        _depended,
        _named,
    ],
)
def test_a_saver_that_others_can_call_or_that_writes_elsewhere_is_refused(
    made: Path, change: Callable[[Any], None]
) -> None:
    assert changed(made, lambda meta: None) == set()
    assert changed(made, change) == {"ART-15"}


def test_a_function_by_the_name_of_an_operation_hides_nothing(made: Path) -> None:
    def hidden(meta: Any) -> None:
        _function(meta, "signature_wrapper").signature.name = "ReadFile"

    assert changed(made, hidden) == {"ART-14"}


@pytest.mark.prove
def test_graphs_that_are_taken_have_the_operations_that_tensorflow_reads(made: Path, tmp_path: Path) -> None:
    """Altered by some bytes: ours refuses them, or tells every operation that TensorFlow's reader finds."""
    sound = (made / "sound" / "plain" / "saved_model.pb").read_bytes()
    draw, ours = random.Random(3), dict[str, Counter[str]]()
    for number in range(1500):
        data = bytearray(sound)
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if number % 5 == 0:
            data += field(2, field(2, field(1, field(2, "ReadFile"))))
        try:
            graph = Graph(memoryview(bytes(data)))
        except Unfit:
            continue
        ours[str(number)] = Counter()
        for op, times in graph.ops.items():
            if op.where in ("graph", "function"):
                ours[str(number)][op.op] += times
        (tmp_path / str(number)).write_bytes(data)
    assert len(ours) > 100
    theirs = json.loads(framework("--ops", str(tmp_path)).splitlines()[-1])
    for number, read in theirs.items():
        ops = Counter[str]()
        for op, times in read.items():
            ops[shown(op)] += times
        calls = {op: times for op, times in ops.items() if op not in ours[number]}
        assert not calls or all(op[:1].islower() or op.startswith("__") for op in calls), (number, calls)
        assert {op: times for op, times in ops.items() if op in ours[number]} == dict(ours[number]), number


def test_a_saver_that_somebody_registered_is_refused(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(made / "sound" / "plain", folder)
    data, index = (folder / "variables" / name for name in ("variables.data-00000-of-00001", "variables.index"))
    held = bytearray(data.read_bytes())
    entry = next(each for each in bundle.read(memoryview(index.read_bytes()), len(held)) if not each.kind)
    at = entry.stop - len(bundle.text(memoryview(held)[entry.start : entry.stop])) + 2
    assert held[at] == 0x0A  # the first child of the first object
    held[at] = 0x22  # its registered saver
    data.write_bytes(held)
    assert {each.rule for each in told(folder, formats=ALL).findings} == {"ART-16"}
    data.write_bytes(held[:-1])
    assert {each.rule for each in told(folder, formats=ALL).findings} == {"ART-04"}


def test_variables_of_an_index_that_was_altered_lie_where_they_did_or_are_refused(made: Path) -> None:
    folder = made / "sound" / "exported" / "variables"
    index, length = (folder / "variables.index").read_bytes(), (folder / "variables.data-00000-of-00001").stat().st_size
    sound, draw = bundle.read(memoryview(index), length), random.Random(5)
    for _ in range(2000):
        data = bytearray(index)
        data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            found = bundle.read(memoryview(bytes(data)), length)
        except Unfit:
            continue
        # The whole of the data is someone's, and each type and shape takes exactly its bytes.
        assert [(each.start, each.stop) for each in found] == [(each.start, each.stop) for each in sound]
