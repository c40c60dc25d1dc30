"""Work that is done ahead in a thread: what lets go of the interpreter there (decoding, sorting) costs no time here."""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from queue import Empty, Full, Queue
from typing import Any, TypeVar

Item = TypeVar("Item")
Items = TypeVar("Items", bound=Iterable[Any])
AHEAD = 2
"""Items that are made before they are asked for, at most; one more may be in the making."""
_BEAT = 0.1
"""Seconds after which a thread looks whether anybody still waits for it."""


@contextmanager
def ended(source: Items) -> Iterator[Items]:
    """A source that is closed at the end, if it is one that can be."""
    try:
        yield source
    finally:
        getattr(source, "close", lambda: None)()


def ahead(source: Iterable[Item], most: int = AHEAD) -> Generator[Item, None, None]:
    """The items of `source`, in order, each made while earlier ones are used.

    What `source` raises is raised here, in its place or when this is closed. Closing stops the thread, waits for it and
    closes `source` there; do that (`ended`) before what `source` reads from is closed.
    """
    made: Queue[tuple[bool, Item | None]] = Queue(most)
    left, late = threading.Event(), list[BaseException]()

    def put(more: bool, each: Item | None) -> None:
        while not left.is_set():
            with suppress(Full):
                return made.put((more, each), timeout=_BEAT)

    def work() -> None:
        try:
            with ended(iter(source)) as items:
                for each in items:
                    put(True, each)
                    if left.is_set():
                        return
        except BaseException as why:
            late.append(why)
        put(False, None)

    thread = threading.Thread(target=copy_context().run, args=(work,), name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            more, each = made.get()
            if more:
                yield each  # type: ignore[misc]
            else:
                break
    finally:
        left.set()
        with suppress(Empty):
            while True:
                made.get_nowait()
        thread.join()
        if late:
            raise late.pop()
