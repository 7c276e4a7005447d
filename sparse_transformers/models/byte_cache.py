"""A cache that is bounded by the memory of what it keeps, not by the number of entries."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """Keeps the values that were used last, up to `max_bytes` of memory; safe in threads.

    Values may grow while they are kept: all are measured whenever one is added.

    Args:
        max_bytes: Memory of all values together. A value above it is not kept at all.
        size_of: The memory of a value, in bytes.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[Value], int]) -> None:
        self.max_bytes = max_bytes
        self._size_of = size_of
        self._entries: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not there."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        value = make()  # outside the lock: it may take long, and may ask for other values
        with self._lock:
            self._entries[key] = value
            n_bytes = sum(map(self._size_of, self._entries.values()))
            while n_bytes > self.max_bytes:
                _, oldest = self._entries.popitem(last=False)
                n_bytes -= self._size_of(oldest)
        return value

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()

    @property
    def n_bytes(self) -> int:
        """Memory of all values together."""
        with self._lock:
            return sum(map(self._size_of, self._entries.values()))
