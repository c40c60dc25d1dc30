"""Work that is done ahead in a thread: what lets go of the interpreter there (decoding, sorting) costs no time here."""

import threading
from collections.abc import Generator, Iterable
from contextlib import ExitStack, suppress
from contextvars import copy_context
from queue import Empty, Full, Queue
from typing import TypeVar

Item = TypeVar("Item")
AHEAD = 2
"""Items that are made before they are asked for, at most; one more may be in the making."""
_BEAT = 0.1
"""Seconds after which a thread looks whether anybody still waits for it."""


def ahead(source: Iterable[Item], most: int = AHEAD) -> Generator[Item, None, None]:
    """The items of `source`, in order, each made while earlier ones are used.

    What `source` raises is raised here, in its place. Closing this stops the thread, waits for it, and closes `source`
    there; do that (`contextlib.closing`) before what `source` reads from is closed.
    """
    made: Queue[tuple[bool, Item | BaseException | None]] = Queue(most)
    left = threading.Event()

    def put(more: bool, each: Item | BaseException | None) -> None:
        while not left.is_set():
            with suppress(Full):
                return made.put((more, each), timeout=_BEAT)

    def work() -> None:
        items = iter(source)
        try:
            with ExitStack() as stack:
                stack.callback(getattr(items, "close", lambda: None))
                for each in items:
                    put(True, each)
                    if left.is_set():
                        return
        except BaseException as why:
            put(False, why)
        else:
            put(False, None)

    thread = threading.Thread(target=copy_context().run, args=(work,), name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            more, each = made.get()
            if more:
                yield each  # type: ignore[misc]
            elif isinstance(each, BaseException):
                raise each
            else:
                return
    finally:
        left.set()
        with suppress(Empty):
            while True:
                made.get_nowait()
        thread.join()
