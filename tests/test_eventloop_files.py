"""Readers and writers of file descriptors, with each driver."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import resource
import socket
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """A pipe: what reads, what writes. A test that closes an end takes it out of the list."""
    ends = list(os.pipe())
    for end in ends:
        os.set_blocking(end, False)
    reader, writer = ends
    kept = ends[:]
    yield ends
    for end in kept:
        if end in ends:
            os.close(end)
    del reader, writer


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


def test_reader_is_called_while_there_is_something_to_read(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    calls: list[Any] = []
    loop.add_reader(pipe[0], lambda *args: calls.append(args), 1, 'x')
    turn()
    assert calls == []
    os.write(pipe[1], b'ab')
    turn(2)
    assert len(calls) >= 1
    assert set(calls) == {(1, 'x')}
    count = len(calls)
    turn(2)
    assert len(calls) > count  # level-triggered: nobody has read
    os.read(pipe[0], 10)
    turn()
    count = len(calls)
    turn(3)
    assert len(calls) == count


def test_closed_file_can_be_removed_by_the_object_that_was_watched(
    each: Any, loop: Any, turn: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    for file, add, remove in zip(
        pair, (loop.add_reader, loop.add_writer), (loop.remove_reader, loop.remove_writer), strict=True
    ):
        add(file, lambda: None)
        file.close()
        assert remove(file)
        turn()
        with pytest.raises(ValueError, match='file descriptor'):  # nothing knows it now
            remove(file)


def test_writer_is_called_while_there_is_room(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    calls: list[int] = []
    loop.add_writer(pipe[1], calls.append, 1)
    turn(3)
    assert calls
    try:
        while True:
            os.write(pipe[1], bytes(65536))
    except BlockingIOError:
        pass
    turn()
    count = len(calls)
    turn(3)
    assert len(calls) == count
    assert loop.remove_writer(pipe[1]) is True


def test_waiting_loop_wakes_for_a_file(each: Any, loop: Any, run: Any, pair: Any) -> None:
    left, right = pair

    async def main() -> bytes:
        future = loop.create_future()

        def read() -> None:
            loop.remove_reader(left)
            future.set_result(left.recv(10))

        loop.add_reader(left, read)
        loop.call_later(0.001, right.send, b'late')
        return bytes(await future)

    assert run(main()) == b'late'


def test_reader_and_writer_of_one_file_are_independent(each: Any, loop: Any, turn: Any, pair: Any) -> None:
    left, right = pair
    log: list[str] = []
    loop.add_reader(left, log.append, 'read')
    loop.add_writer(left, log.append, 'write')
    turn(2)
    assert set(log) == {'write'}
    right.send(b'x')
    turn(2)
    assert set(log) == {'read', 'write'}
    assert loop.remove_writer(left) is True
    log.clear()
    turn(2)
    assert set(log) == {'read'}
    loop.add_writer(left, log.append, 'write')
    assert loop.remove_reader(left) is True
    turn()
    log.clear()
    turn(2)
    assert set(log) == {'write'}
    assert loop.remove_writer(left) is True
    turn()
    log.clear()
    turn(2)
    assert log == []


def test_adding_again_replaces_the_callback_and_cancels_its_handle(
    each: Any, loop: Any, turn: Any, pipe: list[int]
) -> None:
    log: list[str] = []
    loop.add_reader(pipe[0], log.append, 'old')
    loop.add_reader(pipe[0], log.append, 'new')
    os.write(pipe[1], b'x')
    turn(2)
    assert set(log) == {'new'}


def test_removing_tells_whether_there_was_anything(each: Any, loop: Any, pipe: list[int]) -> None:
    assert loop.remove_reader(pipe[0]) is False
    assert loop.remove_writer(pipe[1]) is False
    loop.add_reader(pipe[0], print)
    assert loop.remove_writer(pipe[0]) is False
    assert loop.remove_reader(pipe[0]) is True
    assert loop.remove_reader(pipe[0]) is False


def test_reader_that_is_removed_when_it_is_ready_is_not_called(
    each: Any, loop: Any, turn: Any, pipe: list[int], pair: Any
) -> None:
    left, right = pair
    log: list[str] = []

    def first() -> None:
        log.append('pipe')
        loop.remove_reader(left)
        loop.remove_reader(pipe[0])

    def second() -> None:
        log.append('socket')
        loop.remove_reader(left)
        loop.remove_reader(pipe[0])

    loop.add_reader(pipe[0], first)
    loop.add_reader(left, second)
    os.write(pipe[1], b'x')
    right.send(b'x')
    turn(3)
    assert log in (['pipe'], ['socket'])


def test_reader_may_remove_and_add_itself(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    log: list[int] = []

    def read() -> None:
        log.append(len(log))
        loop.remove_reader(pipe[0])
        if len(log) < 3:
            loop.add_reader(pipe[0], read)

    loop.add_reader(pipe[0], read)
    os.write(pipe[1], b'x')
    turn(8)
    assert log == [0, 1, 2]


def test_hang_up_is_for_the_reader(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    log: list[bytes] = []

    def read() -> None:
        log.append(os.read(pipe[0], 10))
        loop.remove_reader(pipe[0])

    loop.add_reader(pipe[0], read)
    os.close(pipe.pop(1))
    turn(2)
    assert log == [b'']


def test_broken_pipe_is_for_the_writer(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    log: list[type] = []

    def write() -> None:
        loop.remove_writer(writer)
        try:
            os.write(writer, b'x')
        except OSError as error:
            log.append(type(error))

    reader, writer = pipe
    while True:
        try:
            os.write(writer, bytes(65536))
        except BlockingIOError:
            break
    loop.add_writer(writer, write)
    turn()
    os.close(reader)
    pipe.remove(reader)
    turn(2)
    assert log == [BrokenPipeError]


def test_reader_that_raises_is_reported_each_time(
    each: Any, loop: Any, turn: Any, pipe: list[int], reports: list[dict[str, Any]]
) -> None:
    def fail() -> None:
        raise ValueError('in a reader')

    loop.add_reader(pipe[0], fail)
    os.write(pipe[1], b'x')
    turn(2)
    loop.remove_reader(pipe[0])
    assert reports
    assert {str(report['exception']) for report in reports} == {'in a reader'}


def test_reader_runs_in_the_context_it_was_added_in(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)
    seen: list[int] = []

    def read() -> None:
        seen.append(variable.get())
        variable.set(variable.get() + 1)

    context = contextvars.copy_context()
    context.run(variable.set, 10)
    context.run(loop.add_reader, pipe[0], read)
    os.write(pipe[1], b'x')
    turn(3)
    loop.remove_reader(pipe[0])
    assert seen[:2] == [10, 11]
    assert variable.get() == 0


def test_file_objects_and_numbers_are_the_same(each: Any, loop: Any, pair: Any) -> None:
    left, _ = pair
    loop.add_reader(left, print)
    assert loop.remove_reader(left.fileno()) is True
    loop.add_writer(left.fileno(), print)
    assert loop.remove_writer(left) is True


@pytest.mark.parametrize('thing', [None, 'text', 1.5, object(), -1, -1000])
def test_what_is_no_file_is_refused(each: Any, loop: Any, thing: object) -> None:
    for method in (loop.add_reader, loop.add_writer):
        with pytest.raises(ValueError, match='Invalid file'):
            method(thing, print)
    for method in (loop.remove_reader, loop.remove_writer):
        with pytest.raises(ValueError, match='Invalid file'):
            method(thing)


@pytest.mark.parametrize('number', [10**6, 2**31 - 1])
def test_number_that_is_not_open_is_refused(ours: Any, loop: Any, number: int) -> None:
    with pytest.raises(OSError, match='Bad file descriptor'):
        loop.add_reader(number, print)
    assert loop.remove_reader(number) is False
    assert loop.remove_writer(number) is False


@pytest.mark.parametrize('number', [2**31, 2**64, 10**30])
def test_number_that_can_be_no_file_is_refused(ours: Any, loop: Any, number: int) -> None:
    for method in (loop.add_reader, loop.add_writer):
        with pytest.raises((OSError, ValueError, OverflowError)):
            method(number, print)


def test_regular_file_is_refused(each: Any, loop: Any, turn: Any) -> None:
    with tempfile.TemporaryFile() as file:
        for method in (loop.add_reader, loop.add_writer):
            with pytest.raises(PermissionError):
                method(file, print)
        assert loop.remove_reader(file) is False
    turn()


@pytest.mark.parametrize('thing', [None, 1])
def test_callback_that_cannot_be_called_is_refused(ours: Any, loop: Any, pipe: list[int], thing: object) -> None:
    for method in ('add_reader', 'add_writer'):
        with pytest.raises(TypeError, match=method):
            getattr(loop, method)(pipe[0], thing)


def test_file_closed_without_removing_does_no_harm(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    reader = pipe[0]
    loop.add_reader(reader, print)
    os.close(reader)
    pipe.remove(reader)
    turn(2)
    assert loop.remove_reader(reader) is True
    turn()


def test_number_used_again_is_watched_anew(each: Any, loop: Any, turn: Any) -> None:
    log: list[str] = []
    reader, writer = os.pipe()
    loop.add_reader(reader, log.append, 'old')
    loop.remove_reader(reader)
    os.close(reader)
    os.close(writer)
    again, writer = os.pipe()
    try:
        assert again == reader
        loop.add_reader(again, log.append, 'new')
        os.write(writer, b'x')
        turn(2)
        loop.remove_reader(again)
        assert set(log) == {'new'}
    finally:
        os.close(again)
        os.close(writer)


def test_number_used_again_and_removed_too_late_is_watched_anew(each: Any, loop: Any, turn: Any) -> None:
    log: list[str] = []
    reader, writer = os.pipe()
    loop.add_reader(reader, log.append, 'old')
    os.close(reader)
    os.close(writer)
    again, writer = os.pipe()
    try:
        assert again == reader
        assert loop.remove_reader(reader) is True
        loop.add_reader(again, log.append, 'new')
        os.write(writer, b'x')
        turn(2)
        loop.remove_reader(again)
        assert set(log) == {'new'}
    finally:
        os.close(again)
        os.close(writer)


def test_many_files_are_watched_at_once(each: Any, loop: Any, turn: Any) -> None:
    pipes = [os.pipe() for _ in range(100)]
    ready: set[int] = set()

    def read(index: int) -> None:
        ready.add(index)
        os.read(pipes[index][0], 1)

    try:
        for index, (reader, _) in enumerate(pipes):
            loop.add_reader(reader, read, index)
        chosen = set(range(0, 100, 3))
        for index in chosen:
            os.write(pipes[index][1], b'x')
        turn(5)
        assert ready == chosen
        for reader, _ in pipes:
            assert loop.remove_reader(reader) is True
    finally:
        for reader, writer in pipes:
            os.close(reader)
            os.close(writer)


def test_more_files_ready_than_are_told_in_one_go_are_all_read(each: Any, loop: Any, turn: Any) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1000:
        pytest.skip('too few file descriptors are allowed')
    pairs = [socket.socketpair() for _ in range(350)]
    ready: set[int] = set()

    def read(index: int) -> None:
        pairs[index][0].recv(1)
        ready.add(index)

    try:
        for index, (left, right) in enumerate(pairs):
            loop.add_reader(left, read, index)
            right.send(b'x')
        turn(6)
        assert ready == set(range(350))
        for left, _ in pairs:
            loop.remove_reader(left)
    finally:
        for left, right in pairs:
            left.close()
            right.close()


def test_removed_callback_is_not_kept_alive(each: Any, loop: Any, turn: Any, pipe: list[int]) -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)
    loop.add_reader(pipe[0], id, argument)
    os.write(pipe[1], b'x')
    turn(2)
    loop.remove_reader(pipe[0])
    del argument
    turn()
    gc.collect()
    assert alive() is None


def test_callback_of_a_closed_loop_is_not_kept_alive(each: Any, make_loop: Any, pipe: list[int]) -> None:
    class Argument:
        pass

    loop = make_loop(each.make_loop)
    argument = Argument()
    alive = weakref.ref(argument)
    loop.add_reader(pipe[0], id, argument)
    del argument
    loop.close()
    gc.collect()
    assert alive() is None


def test_loop_leaves_no_file_open(ours: Any, make_loop: Any, pipe: list[int]) -> None:
    def count() -> int:
        return len(os.listdir('/proc/self/fd'))

    before = count()
    loop = make_loop(ours.make_loop)
    loop.add_reader(pipe[0], print)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert count() == before


def test_files_of_the_loop_are_not_inherited(ours: Any, make_loop: Any) -> None:
    def files() -> set[int]:
        numbers = os.listdir('/proc/self/fd')
        return {int(number) for number in numbers if os.path.exists(f'/proc/self/fd/{number}')}  # but what listed them

    before = files()
    loop = make_loop(ours.make_loop)
    loop.run_until_complete(asyncio.sleep(0))
    own = files() - before
    assert own
    assert not any(os.get_inheritable(fd) for fd in own)


def test_both_readers_of_a_busy_turn_run_before_what_they_schedule(
    each: Any, loop: Any, turn: Any, pipe: list[int], pair: Any
) -> None:
    left, right = pair
    log: list[str] = []

    def read(name: str, file: Any) -> None:
        loop.remove_reader(file)
        log.append(name)
        loop.call_soon(log.append, 'next turn')

    loop.add_reader(pipe[0], read, 'pipe', pipe[0])
    loop.add_reader(left, read, 'socket', left)
    os.write(pipe[1], b'x')
    right.send(b'x')
    turn(3)
    assert sorted(log[:2]) == ['pipe', 'socket']
    assert log[2:] == ['next turn', 'next turn']
