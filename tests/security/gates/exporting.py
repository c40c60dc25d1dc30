"""Writes artefacts by the frameworks themselves, into a folder; run as a module, in a process of its own.

Sound ones: a Keras model of two levels in each of its formats, and SavedModels of Keras and of a plain module. Hostile
ones, by what their serving function calls, are exported and never called. With `--ops` it reads graphs instead, and
tells the operations that TensorFlow's own reader finds.
"""

import collections
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

HOSTILE: dict[str, Callable[[Any], Any]] = {
    "reads a file": lambda x: x + tf.strings.to_number(tf.io.read_file("/etc/hostname")),
    "writes a file": lambda x: (tf.io.write_file("/tmp/sluice-never", "x"), x)[1],  # noqa: S108
    "lists files": lambda x: x + tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32),
    "prints into a file": lambda x: (tf.print("x", output_stream="file:///tmp/sluice-never"), x)[1],
    "calls Python": lambda x: tf.py_function(lambda y: y, [x], tf.float32),
    "calls Python and NumPy": lambda x: tf.numpy_function(lambda y: y, [x], tf.float32),
    "reads rows of a file": lambda x: x + tf.cast(tf.data.TextLineDataset("/etc/hostname").cardinality(), tf.float32),
    "saves anywhere": lambda x: (tf.raw_ops.SaveV2(prefix="/tmp/n", tensor_names=["a"], shape_and_slices=[""], tensors=[x]), x)[1],  # noqa: E501, S108
    "restores anything": lambda x: x + tf.raw_ops.RestoreV2(prefix="/tmp/n", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0],  # noqa: E501, S108
    "hides in a branch": lambda x: tf.cond(tf.reduce_sum(x) > 1e9, lambda: x + tf.strings.to_number(tf.io.read_file("/etc/hostname")), lambda: x),  # noqa: E501
    "hides in a loop": lambda x: tf.while_loop(lambda y: tf.reduce_sum(y) < 0, lambda y: (tf.strings.to_number(tf.io.read_file("/etc/hostname")) + y,), (x,))[0],  # noqa: E501
}  # fmt: skip


class Module(tf.Module):  # type: ignore[misc]
    """A layer of tanh, or what is given."""

    def __init__(self, call: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.w, self.b = tf.Variable(tf.ones([4, 4])), tf.Variable(tf.zeros([4]))
        self.call = call or tf.tanh

    @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])  # type: ignore[untyped-decorator]
    def __call__(self, x: Any) -> Any:
        return self.call(x @ self.w + self.b)


def model(*more: Any) -> Any:
    layers = keras.layers
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dropout(0.1), *more])
    given = keras.Input((4,))
    out = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1))(inner(given))
    out = layers.LayerNormalization()(layers.BatchNormalization()(layers.Add()([out, out])))
    made = keras.Model(given, out)
    made.compile("adam", "mse", metrics=["mae"])
    return made


def export(folder: Path) -> None:
    sound, hostile = folder / "sound", folder / "hostile"
    for name in ("keras", "h5", "weights", "exported", "plain"):
        (sound / name).mkdir(parents=True)
    made = model()
    made.train_on_batch(tf.zeros([4, 4]), tf.zeros([4, 2]))
    made.save(sound / "keras" / "model.keras")
    made.save(sound / "h5" / "model.h5")
    made.save_weights(sound / "weights" / "model.weights.h5")
    made.export(sound / "exported", verbose=False)
    tf.saved_model.save(Module(), str(sound / "plain"))
    for name, call in HOSTILE.items():
        tf.saved_model.save(Module(call), str(hostile / name))
    table = Module()
    words = folder / "words.txt"
    words.write_text("a\nb\n")
    table.table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(str(words), tf.string, -2, tf.int64, -1), -1)
    tf.saved_model.save(table, str(hostile / "a table out of a file"))
    evil = model(keras.layers.Lambda(lambda x: x))
    for name, path in (("a lambda in Keras", "m.keras"), ("a lambda in HDF5", "m.h5")):
        (hostile / name).mkdir()
        evil.save(hostile / name / path)


def operations(data: bytes) -> dict[str, int]:
    """The operations of all nodes, and how often each is there, as TensorFlow's own reader has them."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(data)
    found: collections.Counter[str] = collections.Counter()

    def nodes() -> Iterator[Any]:
        for meta in saved.meta_graphs:
            yield from meta.graph_def.node
            for function in meta.graph_def.library.function:
                yield from function.node_def

    found.update(node.op for node in nodes())
    return dict(found)


def classes(names: list[str]) -> dict[str, Any]:
    """Each class of Keras as Keras writes it, with what it needs to be made and no more."""
    layers, made = keras.layers, dict[str, Any]()
    given: dict[str, Any] = {
        "Dense": lambda each: each(2),
        "Embedding": lambda each: each(3, 2),
        "Activation": lambda each: each("relu"),
        "Dropout": lambda each: each(0.1),
        "GaussianNoise": lambda each: each(0.1),
        "GaussianDropout": lambda each: each(0.1),
        "AlphaDropout": lambda each: each(0.1),
        "Reshape": lambda each: each((2, 2)),
        "Permute": lambda each: each((2, 1)),
        "RepeatVector": lambda each: each(2),
        "Dot": lambda each: each(axes=1),
        "InputLayer": lambda each: each((4,)),
        "TimeDistributed": lambda each: each(layers.Dense(2)),
        "Wrapper": lambda each: each(layers.Dense(2)),
        **dict.fromkeys(("Bidirectional", "Functional", "Model", "Sequential"), lambda each: None),
        "DTypePolicy": lambda each: each("mixed_float16"),
    }
    for name in names:
        each: Any = keras
        for part in name.split(".")[1:]:
            each = getattr(each, part, None)
        one = None if each is None else given.get(name.rpartition(".")[2], lambda each: each())(each)
        if one is not None:
            made[name] = keras.saving.serialize_keras_object(one)
    return made


if __name__ == "__main__":
    if sys.argv[1] == "--classes":
        print(json.dumps(classes(sys.argv[2:])))
    elif sys.argv[1] == "--ops":
        print(json.dumps({path.name: operations(path.read_bytes()) for path in Path(sys.argv[2]).iterdir()}))
    else:
        export(Path(sys.argv[1]))
