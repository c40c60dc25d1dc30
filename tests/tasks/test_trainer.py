"""The process that trains: the same bytes as here, nothing of a run within its reach, and no word of it believed."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from security.errors import CannotTell
from tasks.home import Home, born
from tasks.recommender.autoencoder import train
from tasks.recommender.histories import Histories, histories
from tasks.recommender.shape import NAMES, Progress, Settings, State, starting
from tasks.trainer import ask, form, kept
from tasks.trainer.ask import TRAINER, Isolation, Trainer
from tests.tasks.checkouts import pipeline

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(learning_rate=0.001, batch_size=16, epochs=4, every=2)
START = starting(30, 8, 1)
HOSTILE = """
import json, os, socket
from pathlib import Path
from tasks.recommender.shape import Progress

told = json.loads(Path(__file__).with_name("told.json").read_text())

def attempt(act):
    try:
        return bool(act())
    except OSError:
        return False

def key():
    return Path(told["key"]).read_text()

AT_ONCE = attempt(key)

def ask(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        return True

def send():
    for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        return each.sendto(b"x", told["heard"])

def sockets():
    found = [f"/proc/self/fd/{fd}" for fd in range(64)]
    return [path for path in found if os.path.lexists(path) and "socket" in os.readlink(path)]

def screen():
    return [fd for fd in range(3) if os.readlink(f"/proc/self/fd/{fd}") != "/dev/null"]

def forge():
    # What who trains says to the run goes by a pipe that this code has too.
    for fd in range(3, 64):
        if os.path.lexists(f"/proc/self/fd/{fd}") and "pipe" in os.readlink(f"/proc/self/fd/{fd}"):
            os.write(fd, told["forged"].encode())

def train(*_, watch, **__):
    acts = [
        lambda: AT_ONCE,
        key,
        lambda: Path(told["rows"]).read_text(),
        lambda: os.listdir(told["folder"]),
        lambda: ask(told["signer"]),
        send,
        lambda: socket.create_connection(("127.0.0.1", told["port"]), 5).close() or True,
        lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes() or True,
        lambda: Path(f"/proc/{told['run']}/environ").read_bytes() or True,
        lambda: open(f"/proc/{told['run']}/mem", "rb").close() or True,
        lambda: Path(__file__).with_name("planted.py").write_text("") or True,
        lambda: os.kill(told["run"], 0) or True,
        lambda: os.kill(os.getppid(), 0) or True,
        lambda: os.waitpid(os.fork() or os._exit(0), 0),
        lambda: "SLUICE_TEST_SECRET" in os.environ,
        sockets,
        screen,
    ]
    if told["forged"]:
        forge()
    for number, act in enumerate(acts, 1):
        watch(Progress(number, float(attempt(act)), None, 0.0))
    raise ValueError("a row: somebody@example.org")
"""
ACTS = 17
# Of those, what one that is not confined does not do either: it is begun with no variables, sockets or screen.
NEVER = {15, 16, 17}


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
    pipeline(root)
    (root / "tasks" / "recommender" / "autoencoder.py").write_text(HOSTILE)
    rows = key.parent / "rows.parquet"
    rows.write_text("rows")
    with (
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as signer,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard,
    ):
        signer.bind(str(key.parent / "signer"))
        signer.listen()
        heard.bind(str(key.parent / "heard"))
        told = {"key": str(key), "rows": str(rows), "folder": str(key.parent), "signer": str(key.parent / "signer")}
        told |= {"port": port.getsockname()[1], "run": os.getpid(), "heard": str(key.parent / "heard"), "forged": ""}
        (root / "tasks" / "recommender" / "told.json").write_text(json.dumps(told))
        yield root, key


MANY = Settings(learning_rate=0.001, batch_size=16, epochs=ACTS)


def reached(by: Trainer, given: Histories, key: Path, *, isolated: bool) -> dict[int, bool]:
    """Number of an act -> whether it was done."""
    heard: list[Progress] = []
    told: dict[str, Any] = {"validation": None, "watch": heard.append, "secret": [key], "isolated": isolated}
    try:
        with pytest.raises(CannotTell, match="^the training broke off: ValueError$"):
            by.train(given, START, MANY, **told)
    finally:
        by.close()
    assert len(heard) == ACTS
    return {each.epoch: bool(each.loss) for each in heard}


def test_code_that_trains_and_is_hostile_reaches_nothing(
    striped: Histories, hostile: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_TEST_SECRET", "in the environment")
    found = reached(Trainer(hostile[0]), striped, hostile[1], isolated=True)
    assert [number for number, done in found.items() if done] == []


def test_where_nothing_confines_it_it_reaches_the_key(
    striped: Histories, hostile: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_TEST_SECRET", "in the environment")
    found = reached(Trainer(hostile[0], confined=False), striped, hostile[1], isolated=False)
    assert {number for number, done in found.items() if not done} == NEVER, "an act that nobody can do shows nothing"


def test_its_word_for_being_isolated_counts_for_nothing(striped: Histories, hostile: tuple[Path, Path]) -> None:
    place = hostile[0] / "tasks" / "recommender" / "told.json"
    told = json.loads(place.read_text())
    place.write_text(json.dumps(told | {"forged": '{"kind":"reached","reached":[]}\n'}))
    try:
        by = Trainer(hostile[0], confined=False)
        heard: list[Progress] = []
        with pytest.raises(CannotTell, match="the plan says that who trains is isolated: nothing confines it"):
            trained(by, striped, hostile[1], watch=heard.append)
        assert (heard, by._process is not None) == ([], True)  # it was asked, and given nothing
        with pytest.raises(CannotTell, match="said what no training says"):
            trained(by, striped, hostile[1], isolated=False)
        assert by._process is None
    finally:
        place.write_text(json.dumps(told))
        by.close()


def test_one_that_reaches_a_key_does_not_train_where_the_plan_says_isolated(striped: Histories, key: Path) -> None:
    by = Trainer(confined=False)
    try:
        assert by.isolation([key]) == Isolation("none")
        with pytest.raises(CannotTell, match="the plan says that who trains is isolated: nothing confines it"):
            trained(by, striped, key)
        made, _ = trained(by, striped, key, isolated=False)
        assert made.best == SETTINGS.epochs
    finally:
        by.close()


def test_one_that_was_confined_is_never_begun_without(key: Path, tmp_path: Path, striped: Histories) -> None:
    pipeline(tmp_path)
    by = Trainer(tmp_path)
    try:
        assert by.isolation([key]).level == "training"
        by.close()
        place = tmp_path / "security" / "confine.py"
        place.write_text(place.read_text().replace("_OLDEST: Final = 3", "_OLDEST: Final = 3_000"))
        with pytest.raises(CannotTell, match="the plan says that who trains is isolated: landlock: found version"):
            trained(by, striped, key)
        assert by.confined
    finally:
        by.close()


def test_a_run_imports_no_code_that_trains() -> None:
    trains = "('tensorflow', 'keras', 'tasks.recommender.autoencoder')"
    code = f"import sys, flows.pipeline, flows.shell; print([each for each in {trains} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=300, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_a_key_within_its_reach_is_no_isolation(striped: Histories, tmp_path: Path) -> None:
    inside = ROOT / "tasks" / "trainer" / "process.py"
    found = TRAINER.isolation([inside])
    assert (found.level, found.why) == ("none", "it reached process.py")
    with pytest.raises(CannotTell, match=r"the plan says that who trains is isolated: it reached process\.py"):
        trained(TRAINER, striped, inside)
    with pytest.raises(CannotTell, match="no key was named to try"):
        TRAINER.isolation([])


def test_a_system_that_cannot_confine_says_so_and_trains(striped: Histories, key: Path, tmp_path: Path) -> None:
    pipeline(tmp_path)
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


EPOCH = line(kind="epoch", epoch=1, loss=1.5, validation=None, seconds=0.1)
SECOND, THIRD = (line(kind="epoch", epoch=n, loss=1.5, validation=None, seconds=0.1) for n in (2, 3))
DONE = line(kind="done", best=1, modules={"tasks.recommender.autoencoder": "a.py"})
WORDS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the training ended without a word"),
    "no end": (EPOCH, "the training ended without a word"),
    "half a line": (EPOCH[:-1], r"no whole line"),
    "no JSON": (b"\x80\n", "json_invalid"),
    "another kind": (line(kind="pass"), "union_tag_invalid"),
    "its word for being isolated": (line(kind="reached", reached=[]), "union_tag_invalid"),
    "more than there is": (line(kind="done", best=1, modules={}, verdict="pass"), "extra_forbidden"),
    "text for a number": (line(kind="epoch", epoch="1", loss=1.0, seconds=0.1), "int_type"),
    "no number": (b'{"kind":"epoch","epoch":1,"loss":NaN,"seconds":0.1}\n', "finite_number|json_invalid"),
    "another epoch": (line(kind="epoch", epoch=2, loss=1.0, seconds=0.1), "found epoch 2; allowed: 1"),
    "the same epoch": (EPOCH + EPOCH, "found epoch 1; allowed: 2"),
    "an epoch too many": (EPOCH + SECOND + THIRD, "found epoch 3; allowed: an end after 2"),
    "no code that trains": (EPOCH + line(kind="done", best=1, modules={}), "allowed: a list with it"),
    "a failure": (line(kind="failed", error="ValueError"), "the training broke off: ValueError$"),
    "a failure with a row": (line(kind="failed", error="a row\x1b[31m"), "string_pattern_mismatch"),
}


@pytest.mark.parametrize("name", WORDS)
def test_no_word_of_it_is_believed_that_no_training_says(name: str) -> None:
    said, why = WORDS[name]
    with pytest.raises(CannotTell, match=why):
        ask._heard(io.BytesIO(said), lambda _: None, 2)


def test_what_a_training_says_is_heard() -> None:
    progress, done = ask._heard(io.BytesIO(EPOCH + DONE), lambda _: None, 2)
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


class Broken(Exception):
    """The run breaks off."""


def test_a_training_that_is_broken_off_goes_on_and_ends_with_the_same_bytes(
    striped: Histories, key: Path, tmp_path: Path
) -> None:
    """It is broken off after each validation in turn."""
    seen = striped.copy()
    seen.data[::5] = 0
    seen.eliminate_zeros()
    held = (striped - seen).tocsr()
    held.eliminate_zeros()
    settings = Settings(learning_rate=0.01, batch_size=1, epochs=12, every=2, patience=9, closed=3)
    whole = train(seen, START, settings, validation=held)
    begun: list[int] = []

    def attempt(until: int) -> Any:
        first = True

        def watch(epoch: Progress) -> None:
            nonlocal first
            if first:
                begun.append(epoch.epoch)
            first = False
            if epoch.epoch == until:
                raise Broken

        by = Trainer()
        told: dict[str, Any] = {"validation": held, "watch": watch, "secret": [key], "isolated": True}
        try:
            return by.train(seen, START, settings, state=tmp_path, seconds=0.0, **told)[0]
        finally:
            by.close()

    for until in (3, 5, 7, 9, 11):
        with pytest.raises(Broken):
            attempt(until)
        assert len(list(tmp_path.iterdir())) == 1
    made = attempt(99)
    # A state that is written over before it is read is none: that of two epochs before is gone on from.
    assert begun[0] == 1
    assert all(each % 2 for each in begun)
    assert begun == sorted(begun)
    assert begun[-1] >= 5
    assert all(np.array_equal(made.weights[name], whole.weights[name]) for name in NAMES)
    told, expected = ([(each.loss, each.validation) for each in one.progress] for one in (made, whole))
    assert told == expected
    assert (made.best, made.share) == (whole.best, whole.share)
    assert list(tmp_path.iterdir()) == []


RESUMED = """
import hashlib, sys
import numpy as np
from pathlib import Path
from tasks.recommender.shape import NAMES, Settings, starting
from tasks.recommender.histories import histories
from tasks.trainer.ask import TRAINER
user, item = np.nonzero(np.add.outer(np.arange(50), np.arange(30)) % 7 < 2)
held = item % 5 == 0
rows, kept = (histories(user[mask], item[mask], (50, 30)) for mask in (~held, held))
def watch(epoch):
    print(epoch.epoch, flush=True)
settings = Settings(learning_rate=0.001, batch_size=1, epochs=60, every=2, patience=99)
more = {"validation": kept, "watch": watch, "secret": [Path(sys.argv[1])], "isolated": True, "seconds": 0.0}
made, _ = TRAINER.train(rows, starting(30, 8, 1), settings, state=Path(sys.argv[2]), **more)
print(hashlib.sha256(b"".join(made.weights[name].tobytes() for name in NAMES)).hexdigest(), flush=True)
"""


def test_a_run_that_is_killed_goes_on_in_another_and_ends_with_the_same_digest(key: Path, tmp_path: Path) -> None:
    states = [tmp_path / "killed", tmp_path / "whole"]
    argv = [sys.executable, "-P", "-c", RESUMED, str(key)]

    def begun(state: Path) -> "subprocess.Popen[str]":
        state.mkdir(exist_ok=True)
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([*argv, str(state)], stdout=subprocess.PIPE, env=env, text=True)

    with begun(states[0]) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if int(line) >= 9:
                first.kill()
                break
    assert first.wait() == -signal.SIGKILL
    (left,) = [path for path in states[0].iterdir() if not path.name.startswith(".")]
    went = kept.read(kept.found(left) or b"").epoch
    assert went >= 6
    told = []
    for state in states:
        with begun(state) as run:
            assert run.stdout is not None
            told.append(run.stdout.read().split())
        assert run.returncode == 0
    assert told[0][0] == str(went + 1)
    assert told[1][0] == "1"
    assert told[0][-1] == told[1][-1]
    assert len(told[0][-1]) == 64


def test_a_state_that_does_not_hold_is_removed(tmp_path: Path) -> None:
    kept.keep(tmp_path / "one", b"a state")
    assert kept.found(tmp_path / "one") == b"a state"
    (tmp_path / "one").write_bytes((tmp_path / "one").read_bytes()[:-1] + b"?")
    assert kept.found(tmp_path / "one") is None
    assert list(tmp_path.iterdir()) == []


def test_states_that_nobody_went_on_with_are_swept_whatever_code_they_are_of(tmp_path: Path) -> None:
    home = Home(tmp_path)
    old, new = (home.folder("training", code, private=True) / "one" for code in ("before", "now"))
    for path in (old, new):
        kept.keep(path, b"a state")
    os.utime(old, (0, 0))
    home.sweep()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_state_that_no_training_goes_on_from_is_tried_once(striped: Histories, key: Path, tmp_path: Path) -> None:
    states: list[State] = []
    held = histories(np.array([0]), np.array([5]), striped.shape)
    rest = (striped - striped.multiply(held)).tocsr()
    train(rest, START, SETTINGS, validation=held, keep=lambda now: states.append(now()))
    odd = replace(states[0], arrays={name: each for name, each in states[0].arrays.items() if name != "first.encoder"})
    path = tmp_path / kept.name(form.given(rest, held, START, SETTINGS))
    kept.keep(path, kept.written(odd))
    with pytest.raises(CannotTell, match="broke off: ValueError"):
        trained(TRAINER, rest, key, validation=held, state=tmp_path)
    assert not path.exists()
    made, _ = trained(TRAINER, rest, key, validation=held, state=tmp_path)
    assert len(made.progress) == SETTINGS.epochs


def test_a_state_is_read_as_it_was_written_and_another_trainings_is_refused(striped: Histories) -> None:
    states: list[State] = []
    held = histories(np.array([0]), np.array([5]), striped.shape)
    train(striped - striped.multiply(held), START, SETTINGS, validation=held, keep=lambda now: states.append(now()))
    (state,) = states
    again = kept.read(kept.written(state))
    assert {name: each.tobytes() for name, each in again.arrays.items()} == {
        name: each.tobytes() for name, each in state.arrays.items()
    }
    assert vars(replace(again, arrays={})) == vars(replace(state, arrays={}))
    for odd in (
        replace(state, epoch=4),
        replace(state, arrays={name: each[:1] for name, each in state.arrays.items()}),
        replace(state, arrays={name: each for name, each in state.arrays.items() if name != "first.encoder"}),
    ):
        with pytest.raises(ValueError, match="of another training"):
            train(striped, START, SETTINGS, resume=odd)


@pytest.mark.parametrize("change", ["data", "start", "settings", "validation", "weights"])
def test_another_training_does_not_find_it(striped: Histories, change: str) -> None:
    other, held = striped.copy(), striped[::-1].tocsr()
    other.data[0] = 0.5
    given: dict[str, Any] = {"train": striped, "validation": held, "start": START, "settings": SETTINGS}
    changed = {
        "data": {"train": held},
        "weights": {"train": other},
        "start": {"start": starting(30, 8, 2)},
        "settings": {"settings": replace(SETTINGS, seed=1)},
        "validation": {"validation": None},
    }[change]
    names = [kept.name(form.given(*each.values())) for each in (given, given, given | changed)]
    assert names[0] == names[1] != names[2]


def _waits(until: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.05)
    return until()


LONG = """
import json, sys
import numpy as np
from pathlib import Path
from tasks.recommender.shape import Settings, starting
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


def test_a_state_that_cannot_be_read_is_removed_and_training_begins_anew(
    striped: Histories, key: Path, tmp_path: Path
) -> None:
    own = tmp_path / kept.name(form.given(striped, None, START, SETTINGS))
    kept.keep(own, b"\x02" + bytes(7) + b"{}")
    made, _ = trained(TRAINER, striped, key, state=tmp_path)
    assert len(made.progress) == SETTINGS.epochs
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_another_training_takes_away_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.keep(tmp_path / "one", b"a state")
    gone = tmp_path / "two"
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([gone]))
    assert kept.found(tmp_path / "one") == b"a state"
