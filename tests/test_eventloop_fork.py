"""Fork: a child can't use its parent's loop and is told so; it can make its own; the parent notices nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork() here')

PROGRAM = """
import asyncio, gc, os, signal, sys, warnings
import sooner

warnings.simplefilter('ignore')

def in_child(function):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            sys.stdout.flush()
            status = 0
        except BaseException as error:
            print('child failed:', type(error).__name__, error, flush=True)
        os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0, 'the child failed'

"""


@pytest.fixture
def fork(python: Any, ours: Any) -> Any:
    """Run a program that has in_child(), and return what it printed."""

    def fork(source: str) -> str:
        done = python(PROGRAM + source, env={'SOONER_DRIVER': ours.name})
        assert (done.stderr, done.returncode) == ('', 0), done.stdout
        return str(done.stdout)

    return fork


def test_loop_in_a_child_says_whose_it_is(ours: Any, fork: Any) -> None:
    output = fork("""
loop = sooner.new_event_loop()
future = loop.create_future()
future.add_done_callback(print)

def child():
    for use in (
        lambda: loop.call_soon(print), lambda: loop.call_soon_threadsafe(print), lambda: loop.call_later(0, print),
        lambda: loop.run_forever(), lambda: loop.run_until_complete(future), lambda: loop.add_reader(0, print),
        lambda: loop.run_in_executor(None, print), lambda: future.set_result(1),
    ):
        try:
            use()
        except RuntimeError as error:
            assert 'fork()' in str(error) and 'new one in the child' in str(error), error
            print('refused')

in_child(child)
loop.run_until_complete(asyncio.sleep(0))
loop.close()
print('parent goes on')
""")
    assert output.splitlines() == ['refused'] * 8 + ['parent goes on']


def test_child_of_a_loop_at_rest_runs_its_own(ours: Any, fork: Any) -> None:
    output = fork("""
loop = sooner.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(asyncio.sleep(0))

async def main():
    await asyncio.sleep(0.001)
    return len(asyncio.all_tasks())

in_child(lambda: print(sooner.run(main()), asyncio.run(main()), flush=True))
print(loop.run_until_complete(main()))
loop.close()
""")
    assert output.splitlines() == ['1 1', '1']


@pytest.mark.parametrize('place', ['callback', 'task'])
def test_child_made_while_the_loop_runs_runs_its_own(ours: Any, fork: Any, place: str) -> None:
    output = fork(
        """
async def own():
    await asyncio.sleep(0.001)
    loop = asyncio.get_running_loop()
    loop.call_soon(print, 'callback of the child')
    await asyncio.sleep(0)
    return 'child', len(asyncio.all_tasks())

def child():
    asyncio._set_running_loop(None)  # asyncio does so since Python 3.12
    print(sooner.run(own()), flush=True)

async def main():
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, print, 'timer of the parent')
    other = loop.create_task(asyncio.sleep(0.02, 'task of the parent'))
    if PLACE == 'callback':
        loop.call_soon(in_child, child)
    else:
        in_child(child)
    print(await other)

sooner.run(main())
""".replace('PLACE', repr(place))
    )
    assert output.splitlines() == [
        'callback of the child',
        "('child', 1)",
        'timer of the parent',
        'task of the parent',
    ]


def test_child_that_returns_into_the_loop_runs_nothing_of_it(ours: Any, fork: Any) -> None:
    output = fork("""
loop = sooner.new_event_loop()

def split():
    loop.call_soon(print, 'next turn')
    pids.append(os.fork())
    if pids[0] != 0:
        assert os.waitpid(pids[0], 0)[1] == 0
        loop.call_soon(loop.stop)

pids = []
loop.call_soon(split)
loop.call_soon(print, 'same turn')
try:
    loop.run_forever()
except RuntimeError as error:
    print(f"child: {'fork()' in str(error)}")
loop.close()
if pids[0] == 0:
    sys.stdout.flush()
    os._exit(0)
print('parent')
""")
    assert output.splitlines() == ['child: True', 'same turn', 'next turn', 'parent']


def test_child_does_not_disturb_the_files_of_its_parent(ours: Any, fork: Any) -> None:
    output = fork("""
reader, writer = os.pipe()
loop = sooner.new_event_loop()
log = []

def read():
    log.append(os.read(reader, 10))
    loop.stop()

def child():
    loop.close()
    gc.collect()

loop.add_reader(reader, read)
in_child(child)
os.write(writer, b'x')
loop.run_forever()
loop.call_soon_threadsafe(print, log)
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
""")
    assert output.splitlines() == ["[b'x']"]


def test_child_may_close_and_drop_the_loop(ours: Any, fork: Any) -> None:
    output = fork("""
loop = sooner.new_event_loop()
def signalled():
    print('signal of the parent')
    loop.stop()

loop.add_signal_handler(signal.SIGUSR1, signalled)
loop.create_task(asyncio.sleep(1000))._log_destroy_pending = False
loop.call_later(1000, print)

def child():
    global loop
    print(loop.is_running(), loop.is_closed())
    loop.close()
    loop.close()
    print(loop.is_closed())
    del loop
    gc.collect()

in_child(child)
signal.raise_signal(signal.SIGUSR1)
loop.run_forever()
loop.close()
""")
    assert output.splitlines() == ['False False', 'True', 'signal of the parent']


def test_signals_of_a_child_do_not_reach_its_parent(ours: Any, fork: Any) -> None:
    output = fork("""
loop = sooner.new_event_loop()
loop.add_signal_handler(signal.SIGUSR1, print, 'signal')
in_child(lambda: signal.raise_signal(signal.SIGUSR1))
loop.call_later(0.001, loop.stop)
loop.run_forever()
loop.close()
print('nothing came')
""")
    assert output.splitlines() == ['nothing came']


def test_processes_of_multiprocessing_run_their_own_loops(ours: Any, fork: Any) -> None:
    output = fork("""
import multiprocessing

async def work(number):
    await asyncio.sleep(0.001)
    return number * 2

def target(number, queue):
    queue.put(sooner.run(work(number)))

async def main():
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    processes = [context.Process(target=target, args=(number, queue)) for number in range(3)]
    for process in processes:
        process.start()
    results = [await asyncio.to_thread(queue.get) for _ in processes]
    for process in processes:
        process.join()
    print(sorted(results))

if sys.version_info < (3, 12):
    target_of_old = target
    def target(number, queue):
        asyncio._set_running_loop(None)
        target_of_old(number, queue)
sooner.run(main())
""")
    assert output.splitlines() == ['[0, 2, 4]']


@pytest.mark.parametrize('end', ['close', 'abort', 'drop', 'exit'])
@pytest.mark.parametrize('kind', ['plain', 'tls', 'pipe'])
def test_child_takes_nothing_from_a_transfer_of_its_parent(ours: Any, fork: Any, kind: str, end: str) -> None:
    certificates = Path(__file__).parent / 'net' / 'certificates'
    output = fork(f"""
import contextlib, socket, ssl

kind, end, certificates = {kind!r}, {end!r}, {str(certificates)!r}

class Received(asyncio.Protocol):
    def __init__(self):
        self.data = b''
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)

async def connect(loop):
    if kind == 'pipe':
        read, write = os.pipe()
        _, received = await loop.connect_read_pipe(Received, os.fdopen(read, 'rb', 0))
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(write, 'wb', 0))
        return transport, received
    left, right = socket.socketpair()
    server = client = None
    if kind == 'tls':
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificates + '/server.pem')
        client = ssl.create_default_context(cafile=certificates + '/authority.pem')
    (transport, _), (_, received) = await asyncio.gather(
        loop.create_connection(asyncio.Protocol, sock=left, ssl=client, server_hostname=client and 'localhost'),
        loop.connect_accepted_socket(Received, right, ssl=server),
    )
    return transport, received

async def main():
    loop = asyncio.get_running_loop()
    transport, received = await connect(loop)
    transport.write(b'x' * 500_000)
    await asyncio.sleep(0)
    transport.write(b'y' * 10)

    def child():
        nonlocal transport
        if end in ('close', 'abort'):
            with contextlib.suppress(RuntimeError):  # that the loop is the parent's
                getattr(transport, end)()
        if end != 'exit':
            transport = None
            gc.collect()

    in_child(child)
    transport.write(b'end')
    transport.close()
    await received.lost
    assert received.data == b'x' * 500_000 + b'y' * 10 + b'end', (len(received.data), received.data[-50:])

sooner.run(main())
print('all there')
""")
    assert output.splitlines() == ['all there']


@pytest.mark.parametrize('where', ['this thread', 'another thread'])
def test_what_was_written_is_sent_once(ours: Any, fork: Any, where: str) -> None:
    """Whatever the child does with the transport that it inherited, as in asyncio, where write() has sent already."""
    output = fork(
        """
import socket

def refused(write, data):
    try:
        write(data)
    except RuntimeError as error:
        assert 'fork()' in str(error)
    else:
        print('not refused')

async def main():
    for use in (
        lambda writer: writer.close(), lambda writer: writer.transport.abort(), lambda writer: None,
        lambda writer: writer.transport.get_write_buffer_size(),
        lambda writer: refused(writer.write, b'child'), lambda writer: refused(writer.write, bytes(100_000)),
    ):
        local, peer = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=local)
        writer.write(b'written ')
        if WHERE == 'this thread':
            in_child(lambda: use(writer))
        else:  # this one does not give way: what it wrote waits
            thread = threading.Thread(target=in_child, args=(lambda: use(writer),))
            thread.start()
            thread.join()
        writer.write(b'once')
        await writer.drain()
        data = b''
        while data != b'written once':
            data += peer.recv(100)
            assert b'written once'.startswith(data), data
        peer.close()
        writer.close()
    print('all')

import threading
sooner.run(main())
""".replace('WHERE', repr(where))
    )
    assert output.splitlines() == ['all']


def test_exit_status_of_a_child_is_its_own(ours: Any, fork: Any) -> None:
    output = fork("""
async def main():
    if os.fork() == 0:
        sys.exit(3)
    return os.waitstatus_to_exitcode(os.wait()[1])

loop = sooner.new_event_loop()
print(loop.run_until_complete(main()))
loop.close()
""")
    assert output.splitlines() == ['3']
