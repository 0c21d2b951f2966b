"""What a Loop does not do yet: sockets, pipes, subprocesses."""

from __future__ import annotations

from typing import Any, NoReturn

_ABSENT = (
    'connect_accepted_socket',
    'connect_read_pipe',
    'connect_write_pipe',
    'create_connection',
    'create_datagram_endpoint',
    'create_server',
    'create_unix_connection',
    'create_unix_server',
    'getaddrinfo',
    'getnameinfo',
    'sendfile',
    'sock_accept',
    'sock_connect',
    'sock_recv',
    'sock_recv_into',
    'sock_recvfrom',
    'sock_recvfrom_into',
    'sock_sendall',
    'sock_sendfile',
    'sock_sendto',
    'start_tls',
    'subprocess_exec',
    'subprocess_shell',
)


class Networking:
    """asyncio's methods for transports, sockets and subprocesses, each refusing with a sentence."""

    __slots__ = ()


def _refusing(name: str) -> Any:
    def method(self: object, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'{type(self).__name__}.{name}(): this version of sooner has no sockets, pipes and subprocesses; '
            'run this program on asyncio, or use add_reader() and add_writer()'
        )

    method.__name__ = name
    method.__qualname__ = f'Networking.{name}'
    return method


for _name in _ABSENT:
    setattr(Networking, _name, _refusing(_name))
