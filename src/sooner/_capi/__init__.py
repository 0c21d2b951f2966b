"""What neither Python nor Cython can say: the C API and the system calls that the hot modules need.

Compiled, these names are the C of the headers in this folder, declared in `__init__.pxd`.
Here they are in Python, with the same meaning, for the uncompiled package.
"""

from __future__ import annotations

import heapq
import math
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import wraps
from types import CoroutineType
from typing import Any

__all__ = [
    'CURRENT_TASK_IN_THREAD',
    'RAISED',
    'REFUSED',
    'RETURNED',
    'YIELDED',
    'Block',
    'Endpoints',
    'EpollEvents',
    'Ring',
    'TaskLink',
    'TaskList',
    'TimerHeap',
    'accept_stream',
    'as_double',
    'block_clear',
    'context_call',
    'context_call1',
    'context_method1',
    'context_method2',
    'context_value1',
    'copy_bytes',
    'copy_context',
    'copy_methods',
    'coro_send',
    'coro_throw',
    'cython_version',
    'datagram_sender',
    'delete_attribute',
    'epoll_change',
    'epoll_wait_for',
    'event_fd',
    'event_mask',
    'event_read',
    'event_write',
    'failed_context',
    'find_bytes',
    'forget_stop_iteration',
    'identity_hash',
    'indivisible',
    'is_context',
    'is_coroutine',
    'monotonic',
    'own_address',
    'peer_address',
    'recv_block',
    'recv_bytes',
    'recv_datagram',
    'recv_into',
    'recycle',
    'recycle_future',
    'replace_current_task',
    'reusable',
    'ring_clear',
    'ring_len',
    'ring_pop',
    'ring_push',
    'ring_push_front',
    'same_method',
    'send_bytes',
    'send_datagram',
    'send_vector',
    'sent_status',
    'set_attribute',
    'set_stop_iteration',
    'show_references',
    'snapshot_context',
    'swap_current_task',
    'tasks_add',
    'tasks_clear',
    'tasks_discard',
    'tasks_len',
    'tasks_list',
    'timers_add',
    'timers_clear',
    'timers_died',
    'timers_first',
    'timers_len',
    'timers_pop',
]

CURRENT_TASK_IN_THREAD = sys.version_info >= (3, 14)
"""Whether asyncio keeps the current task in the thread's state; before, in a dict by loop."""

monotonic = time.monotonic


def as_double(value: Any) -> float:
    """Convert a real number to a float; TypeError if it is none."""
    return math.ldexp(value, 0)


def cython_version() -> str | None:
    """Tell the version of Cython that compiled this; None if nothing did."""
    return None


identity_hash = object.__hash__


def reusable(instance: object) -> bool:
    """Tell whether nobody but the caller's caller knows of the instance; False if that can't be told."""
    return False


# Ring: a growing first-in first-out queue of objects.

Ring = deque
ring_len = len
ring_push = deque.append
ring_push_front = deque.appendleft
ring_pop = deque.popleft
ring_clear = deque.clear


# TaskList: the tasks that a loop holds, in order of creation; TaskLink: a task's place in it.

TaskList = dict
TaskLink = type(None)
tasks_len = len


def tasks_add(tasks: dict[int, Any], link: None, task: object) -> None:
    """Hold a task."""
    tasks[id(task)] = task


def tasks_discard(tasks: dict[int, Any], link: None, task: object) -> None:
    """Hold a task no longer, if it was held."""
    tasks.pop(id(task), None)


def tasks_list(tasks: dict[int, Any]) -> list[Any]:
    """Tell the tasks."""
    return list(tasks.values())


tasks_clear = dict.clear


# TimerHeap: the timers that a loop holds, in order of time and age; dead ones stay, but never more than live ones.


class TimerHeap(list[tuple[float, int, Any]]):
    """A heap for heapq."""

    added = 0
    dead = 0


def timers_len(heap: TimerHeap) -> int:
    """Tell how many are alive."""
    return len(heap) - heap.dead


def timers_add(heap: TimerHeap, when: float, timer: Any, alive: bool) -> None:
    """Hold a timer; the last argument is the attribute _in_heap, which from now on tells whether it is alive."""
    timer._in_heap = True
    heap.added += 1
    heapq.heappush(heap, (when, heap.added, timer))


def timers_first(heap: TimerHeap) -> float:
    """Tell the time of the first; infinity if there is none."""
    while heap and not heap[0][2]._in_heap:
        heap.dead -= 1
        heapq.heappop(heap)
    return heap[0][0] if heap else math.inf


def timers_pop(heap: TimerHeap) -> Any:
    """Hold the first no longer, whose time timers_first() just told; return it."""
    timer = heapq.heappop(heap)[2]
    timer._in_heap = False
    _sweep_timers(heap)
    return timer


def timers_died(heap: TimerHeap) -> None:
    """Take note that the attribute of one was set to False."""
    heap.dead += 1
    while heap and not heap[-1][2]._in_heap:
        heap.dead -= 1
        heap.pop()
    _sweep_timers(heap)


def _sweep_timers(heap: TimerHeap) -> None:
    if heap.dead > len(heap) // 2:
        everything = heap[:]  # so that nothing is released, which may run any code, before all is in order
        heap[:] = [entry for entry in everything if entry[2]._in_heap]
        heapq.heapify(heap)
        heap.dead = 0


def timers_clear(heap: TimerHeap) -> None:
    """Hold none."""
    everything = heap[:]
    heap.clear()
    heap.dead = 0
    for _, _, timer in everything:
        timer._in_heap = False


# How instances come and go.


def show_references(cls: type, instance: object, ready: object, tasks: object, timers: object) -> None:
    """Let the garbage collector see what a Ring, a TaskList and a TimerHeap hold."""


def recycle(cls: type) -> None:
    """Use the memory of dead instances of exactly this class again (one class a module)."""


def recycle_future(cls: type, sample: object, flag: int, attributes: object) -> None:
    """The same for a class with a __del__ and a __dict__, where those cost nothing unless they are used.

    Two fields of a sample: __del__ is called only if the flag is not 0; attributes is the pointer to the __dict__.
    """


_indivisible_lock = threading.RLock()


def _renew_lock() -> None:
    """In a child made by fork(): what another thread had locked there stays so."""
    global _indivisible_lock
    _indivisible_lock = threading.RLock()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_renew_lock)


def indivisible(cls: type, *names: str) -> None:
    """Let no other thread in between two statements of these methods, which compiled code keeps out by itself."""
    for name in names:

        def guard(method: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(method)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                with _indivisible_lock:
                    return method(*args, **kwargs)

            return guarded

        setattr(cls, name, guard(getattr(cls, name)))


def _leave_out_own_frame(exc: BaseException) -> BaseException:
    """Have the traceback begin where the caller's code does, as it does when this is C."""
    if exc.__traceback__ is not None:
        exc.__traceback__ = exc.__traceback__.tb_next
    return exc


# Methods.


def same_method(one: object, other: object) -> bool:
    """Tell whether two methods of classes are the same function."""
    return one is other


set_attribute = object.__setattr__
delete_attribute = object.__delattr__


def copy_methods(cls: type, base: type) -> None:
    """Compiled, make what a class inherits from a base written in C its own."""


# Contexts (PEP 567).

snapshot_context = copy_context
"""Copy the current context, to be entered by callbacks that were scheduled with shared=True."""


def is_context(instance: object) -> bool:
    """Tell whether this is a Context."""
    return type(instance) is Context


def context_call(context: Context, shared: bool, callback: Any, args: tuple[Any, ...] | None) -> BaseException | None:
    """Call in a context (in an equal one if it is shared); return the exception, or None."""
    try:
        context.run(callback, *(args or ()))
    except BaseException as exc:
        return _leave_out_own_frame(exc)
    return None


def context_call1(context: Context, shared: bool, callback: Any, arg: Any) -> BaseException | None:
    """Call with one argument, as context_call()."""
    return context_call(context, shared, callback, (arg,))


def context_method1(context: Context, instance: Any, name: str, arg: Any) -> BaseException | None:
    """Call a method with one argument in a context that is not shared; return the exception, or None."""
    try:
        context.run(getattr(instance, name), arg)
    except BaseException as exc:
        return _leave_out_own_frame(exc)
    return None


def context_value1(context: Context, instance: Any, name: str, arg: Any) -> Any:
    """Call a method with one argument in a context that is not shared; return what it returns, raise what it raises."""
    return context.run(getattr(instance, name), arg)


def context_method2(context: Context, instance: Any, name: str, first: Any, second: Any) -> BaseException | None:
    """The same with two arguments."""
    try:
        context.run(getattr(instance, name), first, second)
    except BaseException as exc:
        return _leave_out_own_frame(exc)
    return None


def failed_context(context: Context) -> Context:
    """Return the context in which the last call in this shared one ran, after that raised."""
    return context


# Coroutines.

YIELDED, RETURNED, RAISED, REFUSED = range(4)

_sent = threading.local()


def is_coroutine(instance: object) -> bool:
    """Tell whether this is the coroutine of an `async def`; others have to be asked more closely."""
    return type(instance) is CoroutineType


def sent_status() -> int:
    """Tell what the last coro_send() or coro_throw() gave.

    YIELDED, RETURNED, RAISED, or REFUSED with the RuntimeError that says that the context could not be entered.
    """
    return int(_sent.status)


def _resume(context: Context | None, method: Any, value: Any) -> Any:
    try:
        result = method(value) if context is None else context.run(method, value)
        status = YIELDED
    except StopIteration as exc:
        result, status = exc.value, RETURNED
    except BaseException as exc:
        entered = exc.__traceback__ is not None and exc.__traceback__.tb_next is not None
        refused = not entered and isinstance(exc, RuntimeError) and 'cannot enter context' in str(exc)
        result, status = _leave_out_own_frame(exc), REFUSED if refused else RAISED
    _sent.status = status
    return result


def coro_send(context: Context | None, coro: Any) -> Any:
    """Resume a coroutine; return what it yielded, returned or raised (see sent_status). None: in this context."""
    return _resume(context, coro.send, None)


def coro_throw(context: Context | None, coro: Any, exc: BaseException) -> Any:
    """Resume a coroutine with an exception, as coro_send()."""
    return _resume(context, coro.throw, exc)


def set_stop_iteration(value: Any) -> None:
    """Compiled, leave StopIteration(value) set for a bare "raise StopIteration" to return."""
    raise StopIteration(value)


def forget_stop_iteration() -> None:
    """Drop the last value of set_stop_iteration()."""


# The current task, where asyncio keeps it in the thread's state.


def replace_current_task(loop: object, task: object) -> bool:
    """Make a task (None: no task) the current one of the running loop, if it is known how; tell whether it was."""
    return False


def swap_current_task(swap: Callable[[Any, Any], Any], loop: object, task: object) -> Any:
    """Do so by asyncio's own function; return the previous one."""
    return swap(loop, task)


# Bytes objects.


def find_bytes(data: bytes, wanted: bytes, start: int) -> int:
    """Return where wanted bytes, at least one, are found from a place on; -1 if they are not."""
    return data.find(wanted, start)


class Block:
    """Memory for one bytes object after the other, where the compiler's memory is."""


def block_clear(block: Block) -> None:
    """Give the memory back."""


# epoll(7) and eventfd(2).


class EpollEvents(list[tuple[int, int]]):
    """The events of the last epoll_wait_for(): file descriptor, mask."""


def epoll_wait_for(epoll: Any, epoll_fd: int, events: EpollEvents, timeout: float) -> int:
    """Wait for timeout seconds (0: poll; < 0: for ever); return the number of events. Signal handlers have run."""
    try:
        events[:] = epoll.poll(None if timeout < 0 else timeout)
    except InterruptedError:
        events.clear()
    return len(events)


def event_fd(events: EpollEvents, i: int) -> int:
    """Tell the file descriptor of an event."""
    return events[i][0]


def event_mask(events: EpollEvents, i: int) -> int:
    """Tell the EPOLL* flags of an event."""
    return events[i][1]


def epoll_change(epoll: Any, epoll_fd: int, change: int, fd: int, events: int) -> None:
    """Add (1), delete (2) or change (3) what is asked of a file: select.EPOLL*."""
    if change == 1:
        epoll.register(fd, events)
    elif change == 2:
        epoll.unregister(fd)
    else:
        epoll.modify(fd, events)


def event_write(fd: int) -> None:
    """Add one to an eventfd; a full one wakes just as well."""
    try:
        os.eventfd_write(fd, 1)
    except BlockingIOError:
        pass


def event_read(fd: int) -> None:
    """Set an eventfd to zero."""
    try:
        os.eventfd_read(fd)
    except BlockingIOError:
        pass


# Moving bytes through non-blocking sockets, by file descriptor. A socket can be read and written like any other file.


_LARGE_BLOCK = 256 * 1024


def recv_bytes(fd: int, most: int, large: Block) -> bytes | None:
    """Return the bytes that are there, at most most of them, b'' at the end of the stream; None: not yet."""
    try:
        return os.read(fd, most)
    except BlockingIOError:
        return None


def recv_block(fd: int, small: Block, large: Block) -> bytes | None:
    """Do the same, of as many bytes as a large block has room for."""
    return recv_bytes(fd, _LARGE_BLOCK, large)


def recv_into(fd: int, buffer: Any) -> int:
    """Read into a writable buffer; return how many bytes, or -1 if nothing is there now."""
    try:
        return os.readv(fd, [buffer])
    except BlockingIOError:
        return -1


def send_bytes(fd: int, data: bytes, offset: int) -> int:
    """Send bytes from an offset on; return how many were taken, or -1 if none can be now."""
    try:
        return os.write(fd, memoryview(data)[offset:] if offset else data)
    except BlockingIOError:
        return -1


def send_vector(fd: int, chunks: list[bytes], offset: int) -> int:
    """Send several, the first from an offset on: as many as the system takes in one call; return as send_bytes()."""
    try:
        return os.writev(fd, [memoryview(chunks[0])[offset:], *chunks[1:64]])
    except BlockingIOError:
        return -1


def copy_bytes(data: Any, most: int, block: Block) -> bytes | None:
    """Copy the bytes of a bytes-like object, if they are `most` or fewer and lie in one piece; else return None.

    In a block, if they fit.
    """
    view = memoryview(data)
    return bytes(view) if view.nbytes <= most and view.c_contiguous else None


class Endpoints(list[Any]):
    """What the ends of an accepted TCP connection are called: the peer's address, and this one's."""


def accept_stream(sock: socket.socket, fd: int, ends: Endpoints) -> int:
    """Accept a TCP connection, non-blocking and without delay of small writes; return its file, or -1: none waits."""
    try:
        connection, peer = sock.accept()
    except (BlockingIOError, InterruptedError, ConnectionAbortedError):
        return -1
    connection.setblocking(False)
    try:
        own = connection.getsockname()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:  # no TCP, or gone
        own = None
    ends[:] = peer, own
    return connection.detach()


def peer_address(ends: Endpoints) -> Any:
    """Tell the peer's address as Python's sockets do; None if it is not known."""
    return ends[0]


def own_address(ends: Endpoints) -> Any:
    """Tell this end's address."""
    return ends[1]


# Datagrams of IP.


_received = threading.local()


def recv_datagram(sock: socket.socket, fd: int) -> bytes | None:
    """Return the next datagram, whose sender's address datagram_sender() gives then; None if there is none."""
    try:
        data, _received.sender = sock.recvfrom(64 * 1024)
    except (BlockingIOError, InterruptedError):
        return None
    return data


def datagram_sender() -> Any:
    """Return the address of the sender of what recv_datagram() has received."""
    return _received.__dict__.pop('sender', None)


def send_datagram(sock: socket.socket, fd: int, family: int, data: bytes, address: Any) -> int:
    """Send to an address that datagram_sender() told, or to the peer of a connected socket (None).

    Return 1, or 0 if that can't be done now, or -1: another address, which is for the socket's sendto().
    """
    if address is not None:
        return -1
    try:
        sock.send(data)
    except (BlockingIOError, InterruptedError):
        return 0
    return 1
