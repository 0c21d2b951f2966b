"""TLS that is begun on a connection in use."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any


def test_connection_that_was_closed_here_gives_no_transport(each: Any, run: Callable[[Any], Any]) -> None:
    """As asyncio has it: aiohttp looks for None, and says that TLS could not be started."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        local, remote = socket.socketpair()
        with remote:
            transport, protocol = await loop.create_connection(asyncio.Protocol, sock=local)
            transport.close()
            upgraded = await loop.start_tls(transport, protocol, ssl.create_default_context(), server_hostname='peer')
            assert upgraded is None

    run(main())
