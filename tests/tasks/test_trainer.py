"""The process that trains: the same bytes as here, nothing of a run within its reach, and no word of it believed."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from security.errors import CannotTell
from tasks.home import born
from tasks.recommender.autoencoder import NAMES, Progress, Settings, starting, train
from tasks.recommender.histories import Histories, histories
from tasks.trainer import ask, form
from tasks.trainer.ask import TRAINER, Isolation, Trainer

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(learning_rate=0.001, batch_size=16, epochs=4, every=2)
START = starting(30, 8, 1)
HOSTILE = '''
import json, os, socket
from dataclasses import dataclass
from pathlib import Path

told = json.loads(Path(__file__).with_name("told.json").read_text())

def tensorflow():
    """Nothing."""

@dataclass(frozen=True)
class Settings:
    learning_rate: float
    batch_size: int
    epochs: int
    dropout: float
    every: int
    patience: int
    k: int
    seed: int

def ask(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        return "asked"

def train(*_, **__):
    reached = {}
    acts = {
        "key": lambda: Path(told["key"]).read_text(),
        "rows": lambda: Path(told["rows"]).read_text(),
        "folder": lambda: os.listdir(told["folder"]),
        "signer": lambda: ask(told["signer"]),
        "port": lambda: socket.create_connection(("127.0.0.1", told["port"]), 5).close() or "connected",
        "parent": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes() and "read",
        "run": lambda: Path(f"/proc/{told['run']}/environ").read_bytes() and "read",
        "memory": lambda: open(f"/proc/{told['run']}/mem", "rb").close() or "opened",
        "code": lambda: Path(__file__).with_name("planted.py").write_text("") or "written",
        "end": lambda: os.kill(told["run"], 0) or "signalled",
    }
    for name, act in acts.items():
        try:
            reached[name] = act()
        except OSError as why:
            reached[name] = None
    links = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in range(64) if os.path.lexists(f"/proc/self/fd/{fd}")}
    sockets = [fd for fd, to in links.items() if "socket" in to]
    raise ValueError(json.dumps([reached, sockets, sorted(os.environ)]))
'''


@pytest.fixture(scope="module")
def striped() -> Histories:
    """Fifty users and thirty items in seven communities."""
    user, item = np.nonzero(np.add.outer(np.arange(50), np.arange(30)) % 7 < 2)
    return histories(user, item, (50, 30))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("keys") / "producer.pem"
    path.write_text("a key")
    return path


def trained(by: Trainer, given: Histories, key: Path, **options: Any) -> Any:
    told = {"validation": None, "watch": lambda _: None, "secret": [key], "isolated": True, **options}
    return by.train(given, START, SETTINGS, **told)


def test_here_it_is_isolated(key: Path) -> None:
    found = TRAINER.isolation([key])
    assert (found.level, found.why) == ("training", "")
    assert set(found.layers) >= {"seccomp", "no capabilities"}


def test_it_gives_the_bytes_that_are_trained_here(striped: Histories, key: Path) -> None:
    kept = striped.copy()
    kept.data[::5] = 0
    kept.eliminate_zeros()
    held = (striped - kept).tocsr()
    held.eliminate_zeros()
    heard: list[Progress] = []
    made, modules = trained(TRAINER, kept, key, validation=held, watch=heard.append)
    here = train(kept, START, SETTINGS, validation=held)
    assert {name: made.weights[name].tobytes() for name in NAMES} == {
        name: here.weights[name].tobytes() for name in NAMES
    }
    assert (made.best, len(heard)) == (here.best, len(here.progress))
    assert [(each.epoch, each.loss, each.validation) for each in heard] == [
        (each.epoch, each.loss, each.validation) for each in here.progress
    ]
    assert modules["tasks.recommender.autoencoder"] == str(ROOT / "tasks" / "recommender" / "autoencoder.py")
    assert modules["sys"] == "standard"
    assert "tensorflow" in modules


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[tuple[Path, Path]]:
    """The pipeline's code, but for what trains; and the key that it is after."""
    root = tmp_path_factory.mktemp("hostile")
    for name in ("tasks", "security"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tasks" / "recommender" / "autoencoder.py").write_text(HOSTILE)
    rows = key.parent / "rows.parquet"
    rows.write_text("rows")
    with socket.create_server(("127.0.0.1", 0)) as port, socket.socket(socket.AF_UNIX) as signer:
        signer.bind(str(key.parent / "signer"))
        signer.listen()
        told = {"key": str(key), "rows": str(rows), "folder": str(key.parent), "signer": str(key.parent / "signer")}
        told |= {"port": port.getsockname()[1], "run": os.getpid()}
        (root / "tasks" / "recommender" / "told.json").write_text(json.dumps(told))
        yield root, key


def reached(by: Trainer, given: Histories, key: Path, *, isolated: bool) -> tuple[dict[str, Any], list[int], list[str]]:
    try:
        with pytest.raises(CannotTell, match="the training broke off: ValueError: ") as told:
            trained(by, given, key, isolated=isolated)
        found = json.loads(str(told.value).partition("ValueError: ")[2])
    finally:
        by.close()
    return found[0], found[1], found[2]


def test_code_that_trains_and_is_hostile_reaches_nothing(
    striped: Histories, hostile: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "SAID", 4_000)
    monkeypatch.setenv("SLUICE_TEST_SECRET", "in the environment")
    found, sockets, names = reached(Trainer(hostile[0]), striped, hostile[1], isolated=True)
    assert len(found) == 10
    assert {name: what for name, what in found.items() if what is not None} == {}
    assert sockets == []
    assert "SLUICE_TEST_SECRET" not in names


def test_where_nothing_confines_it_it_reaches_the_key(
    striped: Histories, hostile: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "SAID", 4_000)
    found, _, _ = reached(Trainer(hostile[0], confined=False), striped, hostile[1], isolated=False)
    assert found["key"] == "a key"
    assert None not in found.values(), "an act that nobody can do shows nothing"


def test_one_that_reaches_a_key_does_not_train_where_the_plan_says_isolated(striped: Histories, key: Path) -> None:
    by = Trainer(confined=False)
    try:
        assert by.isolation([key]) == Isolation("none")
        with pytest.raises(CannotTell, match="the plan says that who trains is isolated; it did not try"):
            trained(by, striped, key)
        made, _ = trained(by, striped, key, isolated=False)
        assert made.best == SETTINGS.epochs
    finally:
        by.close()


def test_a_key_within_its_reach_is_no_isolation(striped: Histories, tmp_path: Path) -> None:
    inside = ROOT / "tasks" / "trainer" / "__main__.py"
    found = TRAINER.isolation([inside])
    assert (found.level, found.why) == ("none", "it reached __main__.py")
    with pytest.raises(CannotTell, match=r"the plan says that who trains is isolated; it reached __main__\.py"):
        trained(TRAINER, striped, inside)
    assert TRAINER.isolation([]).why == "isolation: no key was named to try"


def test_a_system_that_cannot_confine_says_so_and_trains(striped: Histories, key: Path, tmp_path: Path) -> None:
    for name in ("tasks", "security"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    place = tmp_path / "security" / "confine.py"
    place.write_text(place.read_text().replace("_OLDEST: Final = 3", "_OLDEST: Final = 3_000"))
    by = Trainer(tmp_path)
    try:
        found = by.isolation([key])
        assert (found.level, found.layers) == ("none", ())
        assert found.why.startswith("landlock: found version ")
        assert trained(by, striped, key, isolated=False)[0].best == SETTINGS.epochs
    finally:
        by.close()


def line(**told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"


REACHED = line(kind="reached", reached=[])
EPOCH = line(kind="epoch", epoch=1, loss=1.5, validation=None, seconds=0.1)
DONE = line(kind="done", best=1, modules={"tasks.recommender.autoencoder": "a.py"})
WORDS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the training ended without a word"),
    "no end": (REACHED + EPOCH, "the training ended without a word"),
    "no try": (EPOCH + DONE, "it did not try"),
    "half a line": (REACHED + EPOCH[:-1], r"no whole line"),
    "no JSON": (REACHED + b"\x80\n", "json_invalid"),
    "another kind": (line(kind="pass"), "union_tag_invalid"),
    "more than there is": (line(kind="reached", reached=[], verdict="pass"), "extra_forbidden"),
    "text for a number": (REACHED + line(kind="epoch", epoch="1", loss=1.0, seconds=0.1), "int_type"),
    "no number": (REACHED + b'{"kind":"epoch","epoch":1,"loss":NaN,"seconds":0.1}\n', "finite_number|json_invalid"),
    "another epoch": (REACHED + line(kind="epoch", epoch=2, loss=1.0, seconds=0.1), "found epoch 2; allowed: 1"),
    "the same epoch": (REACHED + EPOCH + EPOCH, "found epoch 1; allowed: 2"),
    "no code that trains": (REACHED + EPOCH + line(kind="done", best=1, modules={}), "allowed: a list with it"),
    "a failure": (REACHED + line(kind="failed", error="X", said="a\x1b[31m\nb"), r"X: a \[31m b$"),
    "what it reached": (line(kind="reached", reached=["a.pem"]), r"it reached a\.pem"),
}


@pytest.mark.parametrize("name", WORDS)
def test_no_word_of_it_is_believed_that_no_training_says(name: str) -> None:
    said, why = WORDS[name]
    with pytest.raises(CannotTell, match=why):
        ask._heard(io.BytesIO(said), lambda _: None, isolated=True)


def test_what_a_training_says_is_heard() -> None:
    progress, done = ask._heard(io.BytesIO(REACHED + EPOCH + DONE), lambda _: None, isolated=True)
    assert ([each.loss for each in progress], done.best) == ([1.5], 1)


def spoiled(**arrays: Any) -> bytes:
    return save({**START, **arrays})


WEIGHTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "cannot be read"),
    "a pickle": (b"\x80\x04N.", "cannot be read"),
    "one less": (save({name: START[name] for name in NAMES[1:]}), "found weights decoder"),
    "one more": (spoiled(more=np.zeros(1, np.float32)), "found weights .*more"),
    "another shape": (spoiled(decoder=START["decoder"].T.copy()), r"decoder: found float32 \(30, 8\)"),
    "another kind": (spoiled(encoder=START["encoder"].astype(np.float64)), "encoder: found float64"),
    "no number": (
        spoiled(encoder_bias=np.full(8, np.nan, np.float32)),
        "encoder_bias: found numbers that are not finite",
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_no_other_weights_come_back(name: str) -> None:
    data, why = WEIGHTS[name]
    with pytest.raises(CannotTell, match=why):
        form.trained(data, START)


def test_weights_that_are_too_large_are_not_read() -> None:
    large = io.BytesIO(bytes(sum(value.nbytes for value in START.values()) + ask.LARGEST + 1))
    with pytest.raises(CannotTell, match="found weights of more than"):
        ask._read(large, START)


def test_what_is_handed_over_is_what_is_taken(striped: Histories) -> None:
    train_, validation, start, settings = form.taken(form.given(striped, None, START, SETTINGS))
    assert validation is None
    assert (train_ != striped).nnz == 0
    assert train_.dtype == np.float32
    assert Settings(**settings) == SETTINGS
    assert all(np.array_equal(start[name], START[name]) for name in NAMES)


def _waits(until: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.05)
    return until()


LONG = """
import json, sys
import numpy as np
from pathlib import Path
from tasks.recommender.autoencoder import Settings, starting
from tasks.recommender.histories import histories
from tasks.trainer.ask import TRAINER
user, item = np.nonzero(np.add.outer(np.arange(50), np.arange(30)) % 7 < 2)
def watch(epoch):
    if epoch.epoch == 1:
        print(TRAINER._process.pid, flush=True)
given = histories(user, item, (50, 30)), starting(30, 8, 1), Settings(learning_rate=0.001, batch_size=1, epochs=10**6)
TRAINER.train(*given, validation=None, watch=watch, secret=[Path(sys.argv[1])], isolated=True)
"""


def test_it_does_not_outlive_its_run(key: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-P", "-c", LONG, str(key)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.stdout is not None
    with run.stdout:
        first = int(run.stdout.readline())
    children = [int(each) for each in Path(f"/proc/{first}/task/{first}/children").read_text().split()]
    assert len(children) == 1
    assert born(first)
    assert born(children[0])
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert _waits(lambda: not born(first) and not born(children[0]))


def test_one_that_has_ended_is_begun_again(striped: Histories, key: Path) -> None:
    by = Trainer()
    try:
        assert by.isolation([key]).level == "training"
        assert by._process is not None
        os.killpg(by._process.pid, signal.SIGKILL)
        by._process.wait()
        assert trained(by, striped, key)[0].best == SETTINGS.epochs
        before = by._process

        def end(_: Progress) -> None:
            assert by._process is not None
            os.killpg(by._process.pid, signal.SIGKILL)

        with pytest.raises(CannotTell, match="the training ended without a word"):
            trained(by, striped, key, watch=end)
        assert trained(by, striped, key)[0].best == SETTINGS.epochs
        assert by._process is not before
    finally:
        by.close()
