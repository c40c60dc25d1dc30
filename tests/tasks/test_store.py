"""Published outputs by digest: hashed again, whole or not there; and pointers that one of two writers moves."""

import hashlib
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import StoreError
from security.verdict import Ref, digest
from tasks import store
from tasks.home import Home

RUN = "20231027T000000Z-abcdef"
FLAT = {"rows.parquet": b"PAR1 rows", "manifest.json": b"{}", "manifest.dsse": b"{}"}
FILES = {"rows.parquet": b"PAR1 rows", "manifest.json": b"{}", "deep/er/more.bin": bytes(range(256))}


@pytest.fixture
def made(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def staged(home: Home, files: dict[str, bytes] | bytes = FILES, name: str = "rows") -> Ref:
    """An output that a task made: a folder of files, or one file."""
    place = home.path(f"staging:{name}", RUN)
    if isinstance(files, bytes):
        place.write_bytes(files)
    else:
        write(place, files)
    sha, size = store.measure(place)
    return Ref(kind="rows", uri=f"staging:{name}", sha256=sha, size=size, count=1, unit="rows")


def stored(home: Home) -> list[str]:
    """Everything that lies in the store, half-written things among it."""
    return sorted(path.name for path in home.folder("store").iterdir())


def test_a_file_is_known_by_its_bytes_and_a_folder_by_its_listing(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 3)
    assert store.measure(tmp_path / "one") == (hashlib.sha256(b"xxx").hexdigest(), 3)
    listing = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in sorted(FILES.items())
    ]
    assert store.measure(write(tmp_path / "many", FILES)) == (digest({"files": listing}), sum(map(len, FILES.values())))


NAMES = st.text("abc", min_size=1, max_size=3)


@settings(deadline=None, max_examples=40)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=5), min_size=1, max_size=4),
    other=st.dictionaries(NAMES, st.binary(max_size=5), min_size=1, max_size=4),
)
def test_two_folders_are_the_same_where_their_files_are(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], other: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    one, two = write(folder / "one", files), write(folder / "two", dict(reversed(other.items())))
    assert (store.measure(one)[0] == store.measure(two)[0]) == (files == other)


def test_what_is_published_lies_under_its_digest_and_is_the_same(made: Home) -> None:
    ref = staged(made)
    placed = store.publish(made, ref, RUN)
    assert placed == ref.model_copy(update={"uri": f"store:{ref.sha256}"})
    folder = made.root / "store" / ref.sha256
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in store.files(folder)} == FILES
    assert stored(made) == [ref.sha256]
    made.wipe(RUN)
    assert store.check(made, placed, RUN) == folder


def test_publishing_a_file_and_publishing_again(made: Home) -> None:
    ref = staged(made, b"one file", "summary")
    placed = store.publish(made, ref, RUN)
    before = (made.root / "store" / ref.sha256).stat().st_mtime_ns
    assert store.publish(made, ref, RUN) == placed
    assert (made.root / "store" / ref.sha256).stat().st_mtime_ns == before
    assert stored(made) == [ref.sha256]


def _alter(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"[]")


def _add(folder: Path) -> None:
    (folder / "more").write_bytes(b"")


def _remove(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _rename(folder: Path) -> None:
    (folder / "manifest.json").rename(folder / "manifesto.json")


def _link_file(folder: Path) -> None:
    (folder / "manifest.json").rename(folder.parent / "elsewhere")
    (folder / "manifest.json").symlink_to(folder.parent / "elsewhere")


def _link_folder(folder: Path) -> None:
    (folder / "deep").rename(folder.parent / "elsewhere")
    (folder / "deep").symlink_to(folder.parent / "elsewhere")


def _link_nowhere(folder: Path) -> None:
    (folder / "dangling").symlink_to("nowhere")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _replace(folder: Path) -> None:
    shutil.move(folder, folder.parent / "moved")
    folder.symlink_to(folder.parent / "moved")


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


SPOILS = [_alter, _add, _remove, _rename, _link_file, _link_folder, _link_nowhere, _pipe, _replace, _empty, _gone]
LINKS = [_link_file, _link_folder, _link_nowhere, _pipe, _replace]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_what_changed_after_its_gates_is_not_published(made: Home, spoil: Callable[[Path], None]) -> None:
    ref = staged(made)
    spoil(made.path(ref.uri, RUN))
    with pytest.raises(StoreError):
        store.check(made, ref, RUN)
    if spoil is not _replace:
        with pytest.raises((StoreError, OSError)):
            store.publish(made, ref, RUN)
        assert stored(made) == []


def test_behind_a_link_the_bytes_are_published_and_never_the_link(made: Home) -> None:
    ref = staged(made)
    _replace(made.path(ref.uri, RUN))
    placed = store.publish(made, ref, RUN)
    assert not (made.root / "store" / ref.sha256).is_symlink()
    shutil.rmtree(made.root / "staging")
    assert store.check(made, placed, RUN)


@pytest.mark.parametrize("spoil", LINKS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_links_and_devices_are_refused_by_their_names(made: Home, spoil: Callable[[Path], None]) -> None:
    place = made.path(staged(made).uri, RUN)
    spoil(place)
    with pytest.raises(StoreError, match="neither a file nor a folder|is not there"):
        store.measure(place)


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_what_changed_in_the_store_is_seen_before_it_is_used(made: Home, spoil: Callable[[Path], None]) -> None:
    placed = store.publish(made, staged(made), RUN)
    spoil(made.path(placed.uri, RUN))
    with pytest.raises(StoreError):
        store.check(made, placed, RUN)
    if spoil is not _gone:
        with pytest.raises(StoreError):
            store.publish(made, staged(made, name="again"), RUN)


def test_the_copy_is_hashed_not_the_original(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, real = staged(made, FLAT), shutil.copytree

    def copied(source: Path, target: Path, **how: Any) -> Any:
        done = real(source, target, **how)
        _alter(target)
        return done

    monkeypatch.setattr(shutil, "copytree", copied)
    with pytest.raises(StoreError, match="rows changed between its gates and its publication"):
        store.publish(made, ref, RUN)
    assert stored(made) == []


def test_nothing_half_written_has_a_name(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, real, copytree, seen = staged(made, FLAT), shutil.copy2, shutil.copytree, list[list[str]]()

    def slowly(source: str, target: str, **how: Any) -> Any:
        seen.append([name for name in stored(made) if not name.startswith(".")])
        if len(seen) == len(FLAT):
            raise OSError("no space left")
        return real(source, target, **how)

    monkeypatch.setattr(shutil, "copytree", lambda *a, **how: copytree(*a, **how, copy_function=slowly))
    with pytest.raises((OSError, shutil.Error)):
        store.publish(made, ref, RUN)
    assert seen == [[]] * len(FLAT)
    assert stored(made) == []
    monkeypatch.undo()
    assert store.publish(made, ref, RUN).sha256 == ref.sha256


def test_two_that_publish_the_same_at_once_both_have_it(made: Home) -> None:
    refs = [staged(made, name=f"rows{n}") for n in range(4)]
    errors: list[BaseException] = []

    def publish(ref: Ref) -> None:
        try:
            store.publish(made, ref, RUN)
        except BaseException as why:  # noqa: BLE001 - told by the main thread
            errors.append(why)

    threads = [threading.Thread(target=publish, args=(ref,)) for ref in refs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert stored(made) == [refs[0].sha256]


def test_a_pointer_moves_from_where_it_was_seen(made: Home) -> None:
    assert store.current(made, "serving") == (0, {})
    for number in range(12):
        assert store.move(made, "serving", number, {"run": str(number)}) == number + 1
        assert store.current(made, "serving") == (number + 1, {"run": str(number)})
    for old in (-1, 0, 5, 11, 13):
        with pytest.raises(StoreError, match="pointer serving has moved"):
            store.move(made, "serving", old, {"run": "late"})
    assert store.current(made, "serving") == (12, {"run": "11"})
    assert store.current(made, "other") == (0, {})
    assert not [path for path in (made.root / "pointers" / "serving").iterdir() if path.name.startswith(".")]


def test_a_pointer_that_may_not_be_read_never_looks_like_one_that_never_moved(
    made: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.move(made, "serving", 0, {"run": "first"})

    def refuse(path: object) -> list[str]:
        raise PermissionError(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        with pytest.raises(StoreError, match="pointer serving cannot be read .PermissionError"):
            store.current(made, "serving")
    (made.root / "pointers" / "serving" / "1").chmod(0o644)
    (made.root / "pointers" / "serving" / "1").write_text("{")
    with pytest.raises(StoreError, match="pointer serving cannot be read .JSONDecodeError"):
        store.current(made, "serving")


def test_a_store_that_lets_two_writers_win_is_found_out(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.conditional(made)
    assert list(made.folder("pointers").iterdir()) == []
    monkeypatch.setattr(os, "link", lambda source, target: shutil.copyfile(source, target))
    assert not store.conditional(made)


ROUNDS = 30


def _racer(root: Path, me: str, start: Any, told: Any) -> None:
    """Move the same pointer from the same place at the same time as another."""
    home = Home(root)
    for number in range(ROUNDS):
        start.wait(30)
        try:
            told.put((number, me, store.move(home, f"p{number}", 0, {"by": me})))
        except StoreError:
            told.put((number, me, 0))


def _reader(root: Path, stop: Any, told: Any) -> None:
    """Read a pointer again and again while somebody moves it; the moves that were seen."""
    home, seen = Home(root), list[int]()
    while not stop.is_set():
        number, to = store.current(home, "busy")
        if number and to != {"n": str(number), "pad": "x" * 20_000}:
            seen.append(-1)
        seen.append(number)
    told.put(seen)


def test_of_two_processes_that_move_a_pointer_exactly_one_wins(made: Home) -> None:
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(2), context.Queue()
    racers = [context.Process(target=_racer, args=(made.root, me, start, told)) for me in ("a", "b")]
    for racer in racers:
        racer.start()
    got = [told.get(timeout=60) for _ in range(2 * ROUNDS)]
    for racer in racers:
        racer.join(30)
        assert racer.exitcode == 0
    for number in range(ROUNDS):
        won = [(me, to) for n, me, to in got if n == number and to]
        assert len(won) == 1, number
        assert won[0][1] == 1
        assert store.current(made, f"p{number}") == (1, {"by": won[0][0]})


def test_a_reader_never_sees_half_a_pointer(made: Home) -> None:
    context = multiprocessing.get_context("spawn")
    stop, told = context.Event(), context.Queue()
    reader = context.Process(target=_reader, args=(made.root, stop, told))
    reader.start()
    for number in range(300):
        store.move(made, "busy", number, {"n": str(number + 1), "pad": "x" * 20_000})
    stop.set()
    seen = told.get(timeout=60)
    reader.join(30)
    assert reader.exitcode == 0
    assert -1 not in seen
    assert seen == sorted(seen)


def test_a_pointer_that_another_moved_meanwhile_is_not_moved(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen the same, and the other one is faster by a hair."""
    store.move(made, "serving", 0, {"run": "first"})
    real = os.link

    def late(source: str, target: Path, **how: Any) -> None:
        target.write_text(json.dumps({"run": "other"}))
        real(source, target, **how)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(StoreError, match="has moved since it was read"):
        store.move(made, "serving", 1, {"run": "mine"})
    assert store.current(made, "serving") == (2, {"run": "other"})
