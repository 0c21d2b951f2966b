"""The timers of a loop, in a binary heap in which each timer knows its place.

Adding and cancelling cost O(log n), and a cancelled timer is gone at once: programs cancel nearly all of their
timeouts.
"""

from __future__ import annotations

import cython

from .handle import TimerHandle


class Timers:
    """Timers ordered by time, and those of one time by age."""

    def __init__(self) -> None:
        self._heap: list[TimerHandle] = []
        self._sequence = 0

    def count(self) -> int:
        """Tell how many there are."""
        return len(self._heap)

    def first(self) -> TimerHandle | None:
        """Tell the next one to fire."""
        heap = self._heap
        if not heap:
            return None
        return cython.cast(TimerHandle, heap[0])

    def add(self, timer: TimerHandle) -> None:
        """Take in a new timer."""
        self._sequence += 1
        timer._sequence = self._sequence
        timer._timers = self
        heap = self._heap
        heap.append(timer)
        self.lift(timer, len(heap) - 1)

    def discard(self, timer: TimerHandle) -> None:
        """Forget a timer."""
        index: cython.Py_ssize_t = timer._index
        heap = self._heap
        if 0 <= index < len(heap) and heap[index] is timer:
            self.remove(index)

    def remove(self, index: cython.Py_ssize_t) -> None:
        """Take out what stands at a place; the last of the heap fills it."""
        heap = self._heap
        gone = cython.cast(TimerHandle, heap[index])
        last = cython.cast(TimerHandle, heap.pop())
        gone._index = -1
        gone._timers = None
        if last is not gone:
            if earlier(last, gone):
                self.lift(last, index)
            else:
                self.sink(last, index)

    def lift(self, timer: TimerHandle, index: cython.Py_ssize_t) -> None:
        """Put a timer at a place or, while it is earlier than its parent, above."""
        heap = self._heap
        while index > 0:
            up: cython.Py_ssize_t = (index - 1) >> 1
            parent = cython.cast(TimerHandle, heap[up])
            if not earlier(timer, parent):
                break
            heap[index] = parent
            parent._index = index
            index = up
        heap[index] = timer
        timer._index = index

    def sink(self, timer: TimerHandle, index: cython.Py_ssize_t) -> None:
        """Put a timer at a place or, while a child is earlier, below."""
        heap = self._heap
        size: cython.Py_ssize_t = len(heap)
        while True:
            down: cython.Py_ssize_t = 2 * index + 1
            if down >= size:
                break
            child = cython.cast(TimerHandle, heap[down])
            if down + 1 < size:
                other = cython.cast(TimerHandle, heap[down + 1])
                if earlier(other, child):
                    down += 1
                    child = other
            if not earlier(child, timer):
                break
            heap[index] = child
            child._index = index
            index = down
        heap[index] = timer
        timer._index = index


def earlier(a: TimerHandle, b: TimerHandle) -> bool:
    """Tell whether a fires before b."""
    return a._when < b._when or (a._when == b._when and a._sequence < b._sequence)
