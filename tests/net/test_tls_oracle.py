"""What hypothesis makes an application, its peer and the wire do has the same consequences as with asyncio's TLS.

Left out is where the two differ on purpose: what asyncio drops or forgets there has its test in test_tls.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from implementations import OURS, STOCK
from tls_peer import RECORD, BufferedNotes, Notes, Peer, open_end

SIZES = st.sampled_from([1, 100, RECORD, RECORD + 1, 100_000])
APP = st.one_of(
    st.tuples(st.just('write'), SIZES),
    st.tuples(st.just('writelines'), st.lists(SIZES, min_size=1, max_size=3).map(tuple)),
    st.tuples(st.sampled_from(['pause', 'resume', 'set_protocol']), st.none()),
)
PEER = st.one_of(
    st.tuples(st.just('peer writes'), SIZES),
    st.tuples(st.just('peer writes in pieces'), SIZES),
)
END = st.sampled_from(
    ['close', 'abort', 'peer closes', 'peer ends', 'peer ends within a record', 'peer talks nonsense']
)


class Script:
    """One run of a story with one loop."""

    def __init__(self, buffered: bool, server: bool) -> None:
        self.protocol: Any = (BufferedNotes if buffered else Notes)()
        self.protocols = [self.protocol]
        self.peer = Peer(server=server)
        self.got = b''
        self.said: list[str] = []

    async def settle(self) -> None:
        """Let everything arrive that is under way."""
        calm = 0
        while calm < 3:
            before = self.state()
            with contextlib.suppress(BlockingIOError, ConnectionError):
                if self.peer.outgoing.pending:
                    self.peer.sock.sendall(self.peer.outgoing.read())
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while data := self.peer.sock.recv(1 << 20):
                    self.peer.incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLError):
                while chunk := self.peer.tls.read(1 << 20):
                    self.got += chunk
                if 'close_notify' not in self.said:
                    self.said.append('close_notify')
            await asyncio.sleep(0.0005)
            calm = calm + 1 if self.state() == before else 0

    def state(self) -> Any:
        return len(self.got), [(len(each.data), list(each.events)) for each in self.protocols]

    async def run(self, steps: list[Any], end: str) -> Any:
        opened = asyncio.ensure_future(open_end(self.peer.local, self.protocol, client=self.peer.server))
        await self.peer.shake_hands()
        transport = await opened
        await self.settle()
        for action, argument in steps:
            if action == 'write':
                transport.write(b'w' * argument)
            elif action == 'writelines':
                transport.writelines([b'l' * size for size in argument])
            elif action == 'pause':
                transport.pause_reading()
            elif action == 'resume':
                transport.resume_reading()
            elif action == 'set_protocol':
                self.protocols.append(type(self.protocol)())
                transport.set_protocol(self.protocols[-1])
            else:
                for start in range(0, argument, RECORD):
                    self.peer.tls.write(b'p' * min(RECORD, argument - start))
                if action == 'peer writes in pieces':
                    data = self.peer.outgoing.read()
                    for piece in (data[:3], data[3:-7], data[-7:]):
                        await self.peer.send_raw(piece)
                        await asyncio.sleep(0)
            await self.settle()
        if end in ('close', 'abort', 'peer talks nonsense') or isinstance(self.protocol, BufferedNotes):
            transport.resume_reading()  # what is unread at the end is another story
            await self.settle()
        if end in ('close', 'abort'):
            getattr(transport, end)()
        elif end == 'peer closes':
            with contextlib.suppress(ssl.SSLError):
                self.peer.tls.unwrap()
        elif end == 'peer talks nonsense':
            await self.peer.send_raw(b'\x17\x03\x03\x00\x20' + bytes(32))
        else:
            if end == 'peer ends within a record':
                self.peer.tls.write(b'half')
                await self.peer.send_raw(self.peer.outgoing.read()[:-1])
            self.peer.sock.shutdown(1)
        await self.settle()
        transport.resume_reading()
        await self.settle()
        if end == 'close':
            with contextlib.suppress(ssl.SSLError):
                self.peer.tls.unwrap()
            await self.settle()
        self.peer.sock.close()
        last = self.protocols[-1]
        await last.lost.wait()
        return (
            [(each.data, each.events, type(each.error)) for each in self.protocols],
            len(self.got),
            self.said if end in ('close', 'peer closes') else None,
        )


def tell(implementation: Any, buffered: bool, server: bool, steps: list[Any], end: str) -> Any:
    loop = implementation.make_loop()
    try:
        return loop.run_until_complete(Script(buffered, server).run(steps, end))
    finally:
        loop.close()


@given(buffered=st.booleans(), server=st.booleans(), steps=st.lists(st.one_of(APP, PEER), max_size=8), end=END)
@settings(max_examples=25, deadline=None)
def test_the_same_comes_of_it_as_in_asyncio(buffered: bool, server: bool, steps: list[Any], end: str) -> None:
    expected = tell(STOCK, buffered, server, steps, end)
    for implementation in OURS.values():
        assert tell(implementation, buffered, server, steps, end) == expected
