"""What is measured: each workload at the sizes and numbers of connections where it has something to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .clients import CLIENTS
from .servers import SERVERS

KIB = 1024

#: Bytes of a message, and connections, of the workloads that are measured at all of them.
SIZES = (KIB, 10 * KIB, 100 * KIB)
CONNECTIONS = (1, 50, 500)


@dataclass(frozen=True)
class Workload:
    """A program, and what is done to it."""

    name: str
    title: str
    #: A key of SERVERS or of CLIENTS; '' where the name is one.
    program: str = ''
    #: 'echo', 'reconnect' and 'hold' are what echo_load does; 'wrk' is a load of HTTP; 'none' is for clients.
    load: str = 'echo'
    #: What the load and the limit call it.
    transport: str = 'tcp'
    #: None: whatever is asked for, which is SIZES and CONNECTIONS where nothing is. () where there is no size.
    sizes: tuple[int, ...] | None = None
    connections: tuple[int, ...] | None = None
    #: The server of a client: 'postgres' or 'redis'.
    service: str = ''
    #: What must be installed for it, by pip.
    packages: tuple[str, ...] = ()
    #: Whether the process has not yet freed a large block of memory, see `worker.settle`.
    fresh: bool = False
    #: Whether the same can be done to the limit.
    limited: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, 'program', self.program or self.name)
        assert self.program in SERVERS or self.program in CLIENTS

    def cases(self, sizes: Sequence[int], connections: Sequence[int]) -> list[Case]:
        return [
            Case(self, size, count)
            for size in (sizes if self.sizes is None else self.sizes or (0,))
            for count in (connections if self.connections is None else self.connections)
        ]


@dataclass(frozen=True)
class Case:
    """A workload at one size (in bytes, 0 where it has none) and number of connections, or of requests under way."""

    workload: Workload
    size: int
    connections: int

    @property
    def name(self) -> str:
        words = [self.workload.name, *([short_size(self.size)] if self.size else []), str(self.connections)]
        return '-'.join(words)

    @property
    def rows(self) -> dict[str, tuple[str, str]]:
        """How many requests were answered in a second, and how much processor time the program took for each.

        Connections that are held are weighed instead.
        """
        of = 'under way' if self.workload.load == 'none' else 'connection' if self.connections == 1 else 'connections'
        size = [f'{self.size / KIB:g} KiB'] if self.size else []
        title = ', '.join([self.workload.title, *size, f'{self.connections} {of}'])
        if self.workload.load == 'hold':
            return {self.name: (title, 'bytes')}
        return {self.name: (title, 'requests/s'), f'{self.name}-cpu': (title, 'cpu ns')}


def short_size(size: int) -> str:
    return f'{size // KIB}k' if size % KIB == 0 else str(size)


#: Where a workload's own sizes and connections are given, the rest would say nothing new of a loop.
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload('protocol', 'Protocol'),
        Workload('buffered', 'BufferedProtocol'),
        Workload('streams', 'streams'),
        Workload('sockets', 'sock_recv, sock_sendall'),
        Workload('tls', 'TLS, Protocol', transport='tls'),
        Workload('tls_streams', 'TLS, streams', transport='tls'),
        Workload('lines', 'streams, readline', sizes=(KIB,), connections=(50,)),
        Workload('two_writes', 'Protocol, two writes an answer', sizes=(KIB,), connections=(50,)),
        Workload('eight_writes', 'Protocol, eight writes an answer', sizes=(KIB,), connections=(50,)),
        Workload(
            'protocol_fresh',
            'Protocol, fresh process',
            'protocol',
            sizes=(100 * KIB,),
            connections=(50,),
            fresh=True,
        ),
        Workload(
            'streams_fresh',
            'streams, fresh process',
            'streams',
            sizes=(100 * KIB,),
            connections=(50,),
            fresh=True,
        ),
        Workload(
            'tls_fresh',
            'TLS, Protocol, fresh process',
            'tls',
            transport='tls',
            sizes=(KIB, 100 * KIB),
            connections=(50,),
            fresh=True,
        ),
        Workload(
            'tls_streams_fresh',
            'TLS, streams, fresh process',
            'tls_streams',
            transport='tls',
            sizes=(KIB, 100 * KIB),
            connections=(50,),
            fresh=True,
        ),
        Workload('udp', 'UDP', transport='udp', sizes=(KIB,), connections=(1, 50)),
        Workload('unix', 'unix socket, Protocol', transport='unix', sizes=(KIB,), connections=(1, 50)),
        Workload('unix_streams', 'unix socket, streams', transport='unix', sizes=(KIB,), connections=(50,)),
        Workload('connect', 'connect, ask once, close', 'protocol', load='reconnect', sizes=(KIB,), connections=(50,)),
        Workload(
            'uvicorn',
            'HTTP, uvicorn with httptools',
            load='wrk',
            sizes=(),
            connections=(50,),
            packages=('uvicorn', 'httptools'),
            limited=False,
        ),
        Workload(
            'aiohttp',
            'HTTP, aiohttp',
            load='wrk',
            sizes=(),
            connections=(50,),
            packages=('aiohttp',),
            limited=False,
        ),
        Workload(
            'asyncpg',
            'PostgreSQL, asyncpg',
            load='none',
            sizes=(),
            connections=(10,),
            service='postgres',
            packages=('asyncpg',),
            limited=False,
        ),
        Workload(
            'redis',
            'Redis, redis-py',
            load='none',
            sizes=(),
            connections=(50,),
            service='redis',
            packages=('redis',),
            limited=False,
        ),
        Workload('spawn', 'run /bin/true', load='none', sizes=(), connections=(1, 8), limited=False),
        Workload('output', 'lines of a child process', load='none', sizes=(), connections=(1,), limited=False),
        Workload('idle', 'idle, Protocol', 'protocol', load='hold', sizes=(KIB,), connections=(1000,)),
        Workload('idle_streams', 'idle, streams', 'streams', load='hold', sizes=(KIB,), connections=(1000,)),
        Workload(
            'idle_tls',
            'idle, TLS',
            'tls',
            load='hold',
            transport='tls',
            sizes=(KIB,),
            connections=(1000,),
        ),
    )
}
