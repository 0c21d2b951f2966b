"""What a Loop does not do yet: sockets, pipes, subprocesses."""

from __future__ import annotations

from typing import Any, NoReturn


def _refusing(name: str) -> Any:
    def method(self: object, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'{type(self).__name__}.{name}(): this version of sooner has no sockets, pipes and subprocesses; '
            'run this program on asyncio, or use add_reader() and add_writer()'
        )

    method.__name__ = name
    method.__qualname__ = f'Networking.{name}'
    return method


class Networking:
    """asyncio's methods for transports, sockets and subprocesses, each refusing with a sentence."""

    __slots__ = ()

    connect_accepted_socket = _refusing('connect_accepted_socket')
    connect_read_pipe = _refusing('connect_read_pipe')
    connect_write_pipe = _refusing('connect_write_pipe')
    create_connection = _refusing('create_connection')
    create_datagram_endpoint = _refusing('create_datagram_endpoint')
    create_server = _refusing('create_server')
    create_unix_connection = _refusing('create_unix_connection')
    create_unix_server = _refusing('create_unix_server')
    getaddrinfo = _refusing('getaddrinfo')
    getnameinfo = _refusing('getnameinfo')
    sendfile = _refusing('sendfile')
    sock_accept = _refusing('sock_accept')
    sock_connect = _refusing('sock_connect')
    sock_recv = _refusing('sock_recv')
    sock_recv_into = _refusing('sock_recv_into')
    sock_recvfrom = _refusing('sock_recvfrom')
    sock_recvfrom_into = _refusing('sock_recvfrom_into')
    sock_sendall = _refusing('sock_sendall')
    sock_sendfile = _refusing('sock_sendfile')
    sock_sendto = _refusing('sock_sendto')
    start_tls = _refusing('start_tls')
    subprocess_exec = _refusing('subprocess_exec')
    subprocess_shell = _refusing('subprocess_shell')
