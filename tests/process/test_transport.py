"""Child processes: how they start, talk, are signalled, and end; what their protocols are told, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import inspect
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any

import pytest
from patience import PATIENCE

from sooner.process import exit as exit_module
from sooner.process.exit import DescriptorWatch, ThreadWatch, kernel_has_descriptors

HAS_DESCRIPTORS = kernel_has_descriptors()
BLOCKS = ('sleep', '1000')
DIES = ('sh', '-c', 'kill -KILL $$')


@pytest.fixture(params=['descriptor', 'thread'])
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to notice the end of a child."""
    kind: str = request.param
    if kind == 'thread':
        monkeypatch.setattr(exit_module, 'kernel_has_descriptors', lambda: False)
    elif not HAS_DESCRIPTORS:
        pytest.skip('processes have no file descriptors here')
    return kind


def open_files() -> set[str]:
    return set(os.listdir('/proc/self/fd')) if sys.platform == 'linux' else set()


def children() -> set[int]:
    """The children of this process, zombies among them."""
    found = set()
    for task in Path('/proc/self/task').iterdir():
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in (task / 'children').read_text().split()}
    return found


def join_waiting_threads() -> None:
    """Wait for the threads that wait for a child: one may be about to tell a loop that was closed."""
    for thread in threading.enumerate():
        if thread.name.startswith('wait for process'):
            thread.join(PATIENCE)


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    """Fail if a file or a child is left."""
    gc.collect()
    files, before = open_files(), children()
    yield
    join_waiting_threads()
    gc.collect()
    assert open_files() <= files
    assert children() <= before


class Recorder(asyncio.SubprocessProtocol):
    """Writes down what it is told, in order; pieces of data are joined."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.data = {1: b'', 2: b''}
        self.lost = asyncio.get_running_loop().create_future()
        self.heard = asyncio.Event()
        self.exited = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.calls.append('connection_made')

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if not self.data[fd]:
            self.calls.append(('pipe_data_received', fd))
        self.data[fd] += data
        self.heard.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.calls.append(('pipe_connection_lost', fd, type(exc)))

    def process_exited(self) -> None:
        self.calls.append('process_exited')
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(('connection_lost', exc))
        self.lost.set_result(None)


async def start(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().subprocess_exec(Recorder, *args, **kwargs)


# Ending.


@pytest.mark.parametrize('code', [0, 1, 7, 255])
def test_exit_code_is_told(each: Any, run: Any, watched: str, code: int) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(f'exit {code}')
        assert await process.wait() == code
        assert process.returncode == code

    run(main())


@pytest.mark.parametrize('name', ['kill', 'terminate'])
def test_signal_is_the_negative_exit_code(each: Any, run: Any, watched: str, name: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*BLOCKS)
        getattr(process, name)()
        assert await process.wait() == -(signal.SIGKILL if name == 'kill' else signal.SIGTERM)

    run(main())


def test_core_dump_counts_as_the_signal(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell('kill -ABRT $$')
        assert await process.wait() == -signal.SIGABRT

    run(main())


def test_many_wait_and_some_give_up(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*BLOCKS)
        waiting = [asyncio.create_task(process.wait()) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        process.kill()
        assert await asyncio.gather(*waiting[1:]) == [-signal.SIGKILL] * 4
        assert waiting[0].cancelled()
        assert await process.wait() == -signal.SIGKILL

    run(main())


def test_wait_ends_with_the_process_though_its_pipes_are_held_open(ours: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        transport, protocol = await start('sh', '-c', 'sleep 1000 & echo $!; exit 3', stdin=None, stderr=None)
        assert await transport._wait() == 3
        assert 'process_exited' in protocol.calls
        assert not protocol.lost.done()
        await protocol.heard.wait()
        os.kill(int(protocol.data[1]), signal.SIGKILL)
        await protocol.lost
        assert protocol.calls[-2:] == [('pipe_connection_lost', 1, type(None)), ('connection_lost', None)]
        transport.close()

    run(main())


def test_pipes_may_close_before_the_process_ends(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        transport, protocol = await start('sh', '-c', 'exec >&- 2>&-; read line; exit 3')
        transport.get_pipe_transport(0).write(b'x')  # who keeps no reference may still go on
        while len(protocol.calls) < 3:
            await asyncio.sleep(0)
        assert transport.get_returncode() is None
        transport.get_pipe_transport(0).write(b'\n')
        await protocol.lost
        assert protocol.calls[0] == 'connection_made'
        assert {call[1] for call in protocol.calls[1:3]} == {1, 2}
        assert 'process_exited' in protocol.calls
        assert protocol.calls[-1] == ('connection_lost', None)
        assert transport.get_returncode() == 3
        transport.close()

    run(main())


def test_everything_written_arrives_before_the_end(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        transport, protocol = await start(
            'sh', '-c', 'head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2', stdin=DEVNULL
        )
        await protocol.lost
        assert {fd: len(data) for fd, data in protocol.data.items()} == {1: 300000, 2: 200000}
        assert protocol.calls[0] == 'connection_made'
        assert protocol.calls[-1] == ('connection_lost', None)
        for fd in (1, 2):
            assert protocol.calls.index(('pipe_data_received', fd)) < protocol.calls.index(
                ('pipe_connection_lost', fd, type(None))
            )
        transport.close()

    run(main())


def test_child_that_ends_at_once_is_told_after_connection_made(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        for _ in range(20):
            transport, protocol = await start('/bin/true')
            await protocol.lost
            assert protocol.calls[0] == 'connection_made'
            assert sorted(map(str, protocol.calls[1:-1])) == sorted(
                map(str, ['process_exited', *(('pipe_connection_lost', fd, type(None)) for fd in (0, 1, 2))])
            )
            assert protocol.calls[-1] == ('connection_lost', None)
            transport.close()

    run(main())


def test_connection_lost_lets_go_of_everything(ours: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        transport, protocol = await start('/bin/true')
        await protocol.lost
        await asyncio.sleep(0)
        assert transport.get_protocol() is None
        assert transport.get_returncode() == 0
        for signalled in (transport.kill, transport.terminate, lambda: transport.send_signal(signal.SIGHUP)):
            with pytest.raises(ProcessLookupError):
                signalled()
        transport.close()

    run(main())


# Talking.


def test_communicate_moves_more_than_pipes_hold(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec('cat', stdin=PIPE, stdout=PIPE)
        data = bytes(range(256)) * 8000
        assert await process.communicate(data) == (data, None)
        assert process.returncode == 0

    run(main())


def test_communicate_survives_a_child_that_reads_nothing(each: Any, run: Any, reports: Any) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec('/bin/true', stdin=PIPE, stdout=PIPE)
        assert await process.communicate(b'x' * 1_000_000) == (b'', None)

    run(main())
    gc.collect()
    if '_log_traceback' in inspect.getsource(asyncio.subprocess.SubprocessStreamProtocol.pipe_connection_lost):
        assert reports == []
    else:  # before 3.11.3 that class of asyncio's may forget an exception that nobody asked it for
        assert all(isinstance(report['exception'], BrokenPipeError) for report in reports)


def test_lines_are_read_as_they_come(each: Any, run: Any) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec('cat', stdin=PIPE, stdout=PIPE)
        for number in range(100):
            process.stdin.write(b'%d\n' % number)
            assert await process.stdout.readline() == b'%d\n' % number
        process.stdin.close()
        await process.stdin.wait_closed()
        assert await process.stdout.read() == b''
        assert await process.wait() == 0

    run(main())


def test_lines_of_both_outputs_are_read_however_they_come(each: Any, run: Any, tmp_path: Path) -> None:
    """Also those that come before the process is connected."""
    script = 'for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo error $i >&2; done; printf "no end"'

    async def main() -> None:
        process = await asyncio.create_subprocess_exec('sh', '-c', script, stdout=PIPE, stderr=PIPE, limit=64)
        assert process.stdout is not None
        assert process.stderr is not None
        for reader in (process.stdout, process.stderr):
            assert isinstance(reader, asyncio.StreamReader)
            assert (type(reader) is asyncio.StreamReader) == each.is_stock  # a faster one
        assert [line async for line in process.stdout] == [*(b'out %d\n' % i for i in range(1, 10)), b'no end']
        assert await process.wait() == 0
        assert await process.stderr.read() == b''.join(b'error %d\n' % i for i in range(1, 10))

    run(main())


def test_child_waits_while_nobody_reads_it(each: Any, run: Any) -> None:
    if each.is_stock and 'is_reading' not in vars(asyncio.unix_events._UnixReadPipeTransport):  # type: ignore[attr-defined]
        pytest.skip('asyncio does not tell that it is paused here')

    async def main() -> None:
        process = await asyncio.create_subprocess_exec('cat', '/dev/zero', stdout=PIPE, limit=1000)
        assert process.stdout is not None
        transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
        while transport.is_reading():
            await asyncio.sleep(0)
        assert await process.stdout.readexactly(1 << 20) == bytes(1 << 20)
        process.kill()
        await process.communicate()

    run(main())


def test_readers_of_a_child_can_be_refused_to_be_fast(ours: Any, run: Any, loop: Any) -> None:
    loop.fast_streams = False

    async def main() -> None:
        process = await asyncio.create_subprocess_exec('echo', 'line', stdout=PIPE)
        assert type(process.stdout) is asyncio.StreamReader
        assert await process.communicate() == (b'line\n', None)

    run(main())


def test_errors_can_go_where_the_output_goes(each: Any, run: Any) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell('echo out; echo err >&2', stdout=PIPE, stderr=STDOUT)
        assert await process.communicate() == (b'out\nerr\n', None)
        assert process.stderr is None

    run(main())


def test_popen_arguments_are_passed_on(each: Any, run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        read, write = os.pipe()
        process = await asyncio.create_subprocess_exec(
            'sh',
            '-c',
            f'pwd; echo "$NAME"; umask; echo passed >/dev/fd/{write}; read line',
            stdin=PIPE,
            stdout=PIPE,
            cwd=tmp_path,
            env={**os.environ, 'NAME': 'value'},
            umask=0o27,
            process_group=0,
            pass_fds=[write],
        )
        assert process.stdout is not None
        cwd, name, umask = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
        assert (cwd, name, int(umask, 8)) == (str(tmp_path), 'value', 0o27)
        assert os.getpgid(process.pid) == process.pid
        await process.communicate(b'\n')
        os.close(write)
        assert os.read(read, 100) == b'passed\n'
        os.close(read)

    run(main())


def test_file_descriptors_and_sockets_can_be_the_childs(each: Any, run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / 'in').write_bytes(b'hello')
        with (tmp_path / 'in').open('rb') as source, (tmp_path / 'out').open('wb') as target:
            process = await asyncio.create_subprocess_exec('cat', stdin=source, stdout=target)
            assert await process.wait() == 0
        assert (tmp_path / 'out').read_bytes() == b'hello'

    run(main())


def test_preexec_function_runs_in_the_child(each: Any, run: Any) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec('/bin/true', preexec_fn=lambda: os._exit(9))
        assert await process.wait() == 9

    run(main())


@pytest.mark.parametrize(
    'arguments',
    [
        {'shell': True},
        {'bufsize': 4096},
        {'universal_newlines': True},
        {'text': True},
        {'encoding': 'ascii'},
        {'errors': 'strict'},
    ],
)
def test_arguments_that_make_no_sense_are_refused(each: Any, run: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='must be'):
        run(start('/bin/true', **arguments))


def test_shell_takes_one_command_and_exec_takes_words(each: Any, loop: Any, run: Any) -> None:
    with pytest.raises(ValueError, match='cmd must be a string'):
        run(loop.subprocess_shell(Recorder, ['ls']))
    with pytest.raises((TypeError, ValueError)):
        run(start(3))


def test_unknown_argument_is_refused(each: Any, run: Any) -> None:
    with pytest.raises(TypeError, match='colour'):
        run(start('/bin/true', colour='red'))


# Signals.


def test_signals_arrive(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(
            'trap "echo caught; exit 5" USR1; echo ready; while :; do sleep 0.01; done', stdout=PIPE
        )
        assert await process.stdout.readline() == b'ready\n'
        process.send_signal(signal.SIGUSR1)
        assert await process.stdout.readline() == b'caught\n'
        assert await process.wait() == 5
        assert await process.stdout.read() == b''

    run(main())


def test_signal_after_the_end_reaches_nobody(
    ours: Any, run: Any, watched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        transport, protocol = await start('sh', '-c', 'sleep 1000 & echo $!; exit 0', stderr=None)
        await protocol.heard.wait()
        await protocol.exited.wait()
        popen = transport.get_extra_info('subprocess')
        calls: list[Any] = []
        for module, name in ((os, 'kill'), (signal, 'pidfd_send_signal')):
            monkeypatch.setattr(module, name, lambda *args: calls.append(args), raising=False)
        transport.kill()
        popen.kill()
        transport.close()
        assert calls == []
        monkeypatch.undo()
        os.kill(int(protocol.data[1]), signal.SIGKILL)
        await protocol.lost

    run(main())


@pytest.mark.skipif(not HAS_DESCRIPTORS, reason='processes have no file descriptors here')
def test_signals_go_to_the_process_not_to_its_number(ours: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(os, 'kill', None)
        for way in ('transport', 'popen', 'close'):
            transport, protocol = await start(*BLOCKS)
            if way == 'transport':
                transport.kill()
            elif way == 'popen':
                transport.get_extra_info('subprocess').kill()
            else:
                transport.close()
            await protocol.lost
            assert transport.get_returncode() == -signal.SIGKILL
            transport.close()

    run(main())


def test_signal_that_comes_between_the_end_and_its_notice_is_harmless(ours: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*BLOCKS)
        os.kill(process.pid, signal.SIGUSR1)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie, of which the loop does not know
        process.kill()
        process.terminate()
        assert await process.wait() == -signal.SIGUSR1

    run(main())


def test_invalid_signals_are_refused(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*BLOCKS)
        with pytest.raises(OSError, match='Invalid argument'):
            process.send_signal(1000)
        with pytest.raises(TypeError):
            process.send_signal('KILL')
        process.kill()
        await process.wait()

    run(main())


def test_threads_may_signal(ours: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*BLOCKS)
        await asyncio.to_thread(process.kill)
        assert await process.wait() == -signal.SIGKILL

    run(main())


# Whoever else reads the exit status.


def test_status_read_by_somebody_else_is_unknown(
    ours: Any, run: Any, watched: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*BLOCKS)
        os.kill(process.pid, signal.SIGUSR1)
        os.waitpid(process.pid, 0)
        assert await process.wait() == 255

    run(main())
    assert 'exit status already read' in caplog.text


def test_status_read_through_the_popen_object_is_known(
    ours: Any, run: Any, watched: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        transport, protocol = await start(*BLOCKS)
        transport.kill()
        assert transport.get_extra_info('subprocess').wait() == -signal.SIGKILL
        assert await transport._wait() == -signal.SIGKILL
        await protocol.lost
        transport.close()

    run(main())
    assert not caplog.records


def test_ignored_child_signals_leave_no_status(
    ours: Any, run: Any, watched: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell('exit 3')
        assert await process.wait() == 255

    previous = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        run(main())
    finally:
        signal.signal(signal.SIGCHLD, previous)


# Faults.


@pytest.mark.parametrize(
    ('name', 'error'), [('nowhere', FileNotFoundError), ('no_program', PermissionError), ('broken', OSError)]
)
def test_program_that_cannot_run_is_told_by_its_error(
    each: Any, run: Any, tmp_path: Path, name: str, error: type
) -> None:
    (tmp_path / 'no_program').write_text('data')
    (tmp_path / 'broken').write_bytes(b'\x7fELF but no more')
    (tmp_path / 'broken').chmod(0o755)

    async def main() -> None:
        with pytest.raises(error):
            await asyncio.create_subprocess_exec(tmp_path / name, stdin=PIPE, stdout=PIPE, stderr=PIPE)

    run(main())


def test_missing_directory_is_told(each: Any, run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec('/bin/true', stdout=PIPE, cwd=tmp_path / 'nowhere')

    run(main())


@contextlib.contextmanager
def file_limit(free: int) -> Iterator[None]:
    """Let this process open only so many more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        highest = max(int(name) for name in open_files()) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 64, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open('/dev/null', os.O_RDONLY))
        for _ in range(free):
            os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


LEAKS_PIPES = sys.version_info < (3, 12)
"""Whether Popen forgets the pipes that it made before the one that failed."""


def test_no_files_left(ours: Any, run: Any) -> None:
    """Whatever fails for want of a file descriptor, at each of the steps, leaves no child, no file, no zombie."""

    async def main() -> None:
        outcomes: list[int] = []
        for free in range(1 if not LEAKS_PIPES else 6, 14):
            with file_limit(free):
                try:
                    process = await asyncio.create_subprocess_exec('/bin/cat', stdin=PIPE, stdout=PIPE, stderr=PIPE)
                except OSError as exc:
                    outcomes.append(exc.errno or -1)
                    continue
            assert await process.communicate(b'data') == (b'data', b'')
            outcomes.append(0)
        assert set(outcomes) == {errno.EMFILE, 0}
        assert outcomes == sorted(outcomes, reverse=True)

    run(main())
    join_waiting_threads()
    assert threading.active_count() == 1 or all('wait for process' not in each.name for each in threading.enumerate())


@pytest.mark.skipif(not HAS_DESCRIPTORS, reason='processes have no file descriptors here')
def test_child_without_a_descriptor_is_watched_by_a_thread(
    ours: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pid: int) -> int:
        raise OSError(errno.EMFILE, 'Too many open files')

    async def main() -> None:
        monkeypatch.setattr(os, 'pidfd_open', fail)
        transport, protocol = await start(*BLOCKS)
        assert isinstance(transport._watch, ThreadWatch)
        monkeypatch.undo()
        transport.kill()
        await protocol.lost
        assert transport.get_returncode() == -signal.SIGKILL
        transport.close()

    run(main())


@pytest.mark.parametrize('error', [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_old_kernels_and_sandboxes_are_noticed(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def refuse(*args: Any) -> Any:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, 'pidfd_open', refuse, raising=False)
    assert not kernel_has_descriptors.__wrapped__()
    monkeypatch.delattr(os, 'pidfd_open')
    assert not kernel_has_descriptors.__wrapped__()


@pytest.mark.skipif(not HAS_DESCRIPTORS, reason='processes have no file descriptors here')
def test_lack_of_files_is_no_lack_of_a_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise OSError(errno.EMFILE, 'Too many open files')

    monkeypatch.setattr(os, 'pidfd_open', refuse)
    with pytest.raises(OSError, match='Too many'):
        kernel_has_descriptors.__wrapped__()


@pytest.mark.skipif(not HAS_DESCRIPTORS, reason='processes have no file descriptors here')
def test_descriptors_are_used_where_there_are_some(ours: Any, run: Any) -> None:
    async def main() -> None:
        transport, protocol = await start('/bin/true')
        assert isinstance(transport._watch, DescriptorWatch)
        await protocol.lost
        transport.close()

    before = threading.active_count()
    run(main())
    assert threading.active_count() <= before


def test_system_that_cannot_leave_a_status_is_served(ours: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exit_module, 'kernel_has_descriptors', lambda: False)
    monkeypatch.setattr(exit_module, '_LEAVES_STATUS', False)

    async def main() -> None:
        process = await asyncio.create_subprocess_shell('exit 3')
        assert await process.wait() == 3
        process = await asyncio.create_subprocess_exec(*BLOCKS)
        process._transport.close()
        assert await process.wait() == -signal.SIGKILL

    run(main())


def test_no_thread_left_ends_the_child(ours: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exit_module, 'kernel_has_descriptors', lambda: False)

    def refuse(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, 'start', refuse)
    with pytest.raises(RuntimeError, match='new thread'):
        run(start(*BLOCKS))


def test_pipe_that_cannot_be_connected_ends_the_child(ours: Any, loop: Any, run: Any) -> None:
    async def fail(*args: Any) -> Any:
        raise ZeroDivisionError

    for connect in ('connect_write_pipe', 'connect_read_pipe'):
        setattr(loop, connect, fail)
        with pytest.raises(ZeroDivisionError):
            run(start(*BLOCKS))
        delattr(loop, connect)


def test_cancelled_creation_ends_the_child(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        for turns in range(1, 6):
            creation = asyncio.create_task(asyncio.create_subprocess_exec(*BLOCKS, stdin=PIPE, stdout=PIPE))
            for _ in range(turns):
                await asyncio.sleep(0)
            if creation.done():
                break
            creation.cancel()
            with pytest.raises(asyncio.CancelledError):
                await creation
        if creation.done() and not creation.cancelled():
            process = creation.result()
            process.kill()
            await process.communicate()

    run(main())


def test_hundred_at_once(each: Any, run: Any, watched: str) -> None:
    async def one(number: int) -> None:
        process = await asyncio.create_subprocess_shell(
            f'read line; echo "$line {number}"; exit {number}', stdin=PIPE, stdout=PIPE
        )
        assert await process.communicate(b'line\n') == (b'line %d\n' % number, None)
        assert process.returncode == number

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(100)))

    run(main())


def test_children_killed_at_once_leave_no_zombies(ours: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        processes = await asyncio.gather(*(asyncio.create_subprocess_exec(*BLOCKS) for _ in range(30)))
        for process in processes:
            process.kill()
        assert await asyncio.gather(*(process.wait() for process in processes)) == [-signal.SIGKILL] * 30

    run(main())


def test_failing_protocol_is_told_of_and_goes_on(ours: Any, run: Any, reports: list[dict[str, Any]]) -> None:
    class Failing(Recorder):
        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name in (
                'connection_made',
                'pipe_data_received',
                'pipe_connection_lost',
                'process_exited',
                'connection_lost',
            ):

                def fail(*args: Any) -> None:
                    value(*args)
                    raise ZeroDivisionError(name)

                return fail
            return value

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Failing, 'cat')
        transport.get_pipe_transport(0).write(b'data')
        transport.get_pipe_transport(0).close()
        await protocol.lost
        assert protocol.data[1] == b'data'
        transport.close()

    run(main())
    assert sorted(str(report['exception']) for report in reports) == sorted(
        ['connection_made', 'pipe_data_received', *['pipe_connection_lost'] * 3, 'process_exited', 'connection_lost']
    )


def test_flow_control_reaches_the_protocol(each: Any, run: Any) -> None:
    class Paused(Recorder):
        def pause_writing(self) -> None:
            self.calls.append('pause_writing')

        def resume_writing(self) -> None:
            self.calls.append('resume_writing')

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_shell(Paused, 'head -c 1 >/dev/null; cat >/dev/null')
        stdin = transport.get_pipe_transport(0)
        stdin.write(b'x' * 1_000_000)
        assert protocol.calls[-1] == 'pause_writing'
        stdin.close()
        await protocol.lost
        assert 'resume_writing' in protocol.calls
        transport.close()

    run(main())


# Closing.


def test_close_kills_and_all_is_told(each: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        transport, protocol = await start(*BLOCKS)
        assert not transport.is_closing()
        transport.close()
        transport.close()
        assert transport.is_closing()
        await protocol.lost
        assert 'process_exited' in protocol.calls
        assert {call[1] for call in protocol.calls if call[0] == 'pipe_connection_lost'} == {0, 1, 2}
        assert transport.get_returncode() == -signal.SIGKILL

    run(main())


def test_close_does_not_kill_what_has_ended(ours: Any, run: Any, watched: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        transport, protocol = await start(*BLOCKS)
        transport.kill()
        os.waitid(os.P_PID, transport.get_pid(), os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr(subprocess.Popen, 'kill', None)
        transport.close()
        await protocol.lost
        assert transport.get_returncode() == -signal.SIGKILL

    run(main())


def test_child_left_when_the_loop_closes_is_killed_and_warned_of(ours: Any, make_loop: Any, watched: str) -> None:
    loop = make_loop(ours.make_loop)
    transport, protocol = loop.run_until_complete(start(*BLOCKS))
    pid = transport.get_pid()
    loop.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        del transport, protocol
        gc.collect()
    assert any('unclosed transport' in str(each.message) for each in caught if each.category is ResourceWarning)
    with contextlib.suppress(ChildProcessError):  # the Popen object may have been quicker
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_forked_child_kills_nobody(ours: Any, run: Any, watched: str) -> None:
    async def main() -> None:
        transport, protocol = await start(*BLOCKS)
        pid = os.fork()
        if pid == 0:
            try:
                transport.close()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0) == (pid, 0)
        assert transport._watch.is_running()
        transport.close()
        await protocol.lost

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        run(main())


def test_repr_tells_pid_state_and_pipes(ours: Any, run: Any) -> None:
    async def main() -> None:
        transport, protocol = await start('cat', stderr=None)
        text = repr(transport)
        assert f'pid={transport.get_pid()} running stdin=<WritePipeTransport ' in text
        assert 'stdout=<ReadPipeTransport ' in text
        assert 'stderr' not in text
        transport.get_pipe_transport(0).close()
        await protocol.lost
        assert f'pid={transport.get_pid()} returncode=0' in repr(transport)
        transport.close()
        assert 'closed' in repr(transport)

    run(main())


# Loops and threads.


def test_loops_of_any_threads_run_processes_at_once(ours: Any, watched: str) -> None:
    failures: list[BaseException] = []

    async def main() -> None:
        for _ in range(10):
            process = await asyncio.create_subprocess_exec('cat', stdin=PIPE, stdout=PIPE)
            assert await process.communicate(b'data') == (b'data', None)

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=ours.make_loop) as runner:
                runner.run(main())
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_no_signal_handler_and_no_child_watcher_are_used(ours: Any, run: Any) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec('/bin/true')
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
        await process.wait()

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        run(main())


def test_debug_mode_tells_of_the_child(each: Any, loop: Any, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000

    async def main() -> None:
        transport, protocol = await start('sh', '-c', 'exit 4')
        await protocol.lost
        transport.close()
        transport, protocol = await start(*BLOCKS)
        transport.close()
        await protocol.lost

    with caplog.at_level('DEBUG', 'asyncio'):
        run(main())
    assert "process 'sh' created: pid" in caplog.text
    assert 'exited with return code 4' in caplog.text
    assert 'Close running child process' in caplog.text
