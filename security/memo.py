"""A pure computation over bytes, made once in a process for the same bytes.

They are known by their SHA-256: never by a path, a size or a date, which say nothing of what is there. Whoever asks has
read the bytes, again each time; what is saved is to make the same of them. The answer is given to all who ask, so that
it must be one that nobody can alter.
"""

import hashlib
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """`work`, which asks nothing but the bytes that it is given. The last `most` answers are kept; an error is none."""

    def __init__(self, work: Callable[[bytes], T], most: int) -> None:
        self._work, self._most = work, most
        self._known: dict[bytes, T] = {}
        self._lock = Lock()

    def __call__(self, data: bytes) -> T:
        """What comes of these bytes."""
        sha = hashlib.sha256(data).digest()
        with self._lock:
            if sha in self._known:
                self._known[sha] = found = self._known.pop(sha)  # asked for last
                return found
        made = self._work(data)
        with self._lock:
            self._known[sha] = made
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return made
