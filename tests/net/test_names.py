"""Names of hosts: who needs a thread for them, and who does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[[Any], Any]
NUMBERS = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


@pytest.fixture
def no_threads(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this loop start no thread."""

    def refuse(*args: Any) -> None:
        raise AssertionError('a thread was asked for')

    monkeypatch.setattr(loop, 'run_in_executor', refuse)


@pytest.mark.parametrize(
    ('host', 'port'),
    [
        ('127.0.0.1', 80),
        ('127.0.0.1', '80'),
        (b'127.0.0.1', b'80'),
        ('::1', 80),
        ('::1', None),
        ('fe80::1%lo', 80),
        (None, 80),
        (None, '0'),
    ],
)
@pytest.mark.parametrize('debug', [False, True])
def test_numbers_need_no_thread(
    ours: Any, loop: Any, run: Run, no_threads: None, host: Any, port: Any, debug: bool
) -> None:
    loop.set_debug(debug)
    expected = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    assert run(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)) == expected


@pytest.mark.parametrize(
    ('host', 'port'), [('localhost', 80), ('127.0.0.1', 'http'), ('127.1', 80), ('', 80), ('1.2.3.4.5', 80)]
)
def test_names_are_looked_up_in_a_thread(
    ours: Any, loop: Any, run: Run, no_threads: None, host: str, port: Any
) -> None:
    with pytest.raises(AssertionError, match='a thread was asked for'):
        run(loop.getaddrinfo(host, port))


def test_the_answer_is_that_of_the_module_socket(each: Any, loop: Any, run: Run) -> None:
    for host, port, kind in [('localhost', 80, 0), ('127.0.0.1', 'http', socket.SOCK_STREAM)]:
        assert run(loop.getaddrinfo(host, port, type=kind)) == socket.getaddrinfo(host, port, type=kind)
    assert run(loop.getnameinfo(('127.0.0.1', 80))) == socket.getnameinfo(('127.0.0.1', 80), 0)
    assert run(loop.getnameinfo(('127.0.0.1', 80), NUMBERS)) == ('127.0.0.1', '80')


def test_addresses_of_the_wrong_family_are_an_error(each: Any, loop: Any, run: Run) -> None:
    with pytest.raises(socket.gaierror):
        run(loop.getaddrinfo('127.0.0.1', 80, family=socket.AF_INET6))
    with pytest.raises(socket.gaierror):
        run(loop.getaddrinfo('127.0.0.1', 80, type=socket.SOCK_STREAM, proto=socket.IPPROTO_UDP))


def test_a_function_in_the_place_of_getaddrinfo_is_called_in_a_thread(
    each: Any, loop: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers: list[int] = []

    def getaddrinfo(host: Any, port: Any, *args: Any) -> list[Any]:
        callers.append(threading.get_ident())
        return [(host, port)]

    monkeypatch.setattr(socket, 'getaddrinfo', getaddrinfo)
    assert run(loop.getaddrinfo('127.0.0.1', 80)) == [('127.0.0.1', 80)]
    assert run(loop.getaddrinfo('example.org', 80)) == [('example.org', 80)]
    assert threading.get_ident() not in callers


def test_numbers_are_named_without_a_thread(ours: Any, loop: Any, run: Run, no_threads: None) -> None:
    assert run(loop.getnameinfo(('127.0.0.1', 80), NUMBERS)) == ('127.0.0.1', '80')
    with pytest.raises(AssertionError, match='a thread was asked for'):
        run(loop.getnameinfo(('127.0.0.1', 80), socket.NI_NUMERICHOST))
