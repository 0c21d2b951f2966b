"""Runs one server or client on one loop, in a process that does nothing else, and tells of it in lines of JSON.

`turns` starts it. The first line describes the loop and says where a server listens. A server then serves until it is
killed; a client works, prints its samples and ends. An exception that nobody handles ends either: half a server is
not to be measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import importlib
import json
import os
import resource
import signal
import sys
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

from ..worker import describe
from .clients import CLIENTS, Counter
from .servers import NOWHERE, SERVERS, Loop, Place, report_failure


@dataclass(frozen=True)
class Work:
    """What a worker is told, in JSON."""

    #: 'module:function', of the loop.
    factory: str
    #: A key of SERVERS or of CLIENTS.
    program: str
    place: Place = NOWHERE
    #: See `settle`.
    fresh: bool = False
    #: Clients only: the port of their server, requests under way, and how long to make them, in seconds.
    port: int = 0
    concurrency: int = 1
    warm_up: float = 0.0
    seconds: float = 0.0
    samples: int = 1
    #: Seconds after which the system ends the process, if nobody has.
    limit: int = 60

    def encode(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def decode(cls, text: str) -> Work:
        document: dict[str, Any] = json.loads(text)
        return cls(**document | {'place': Place(**document['place'])})


def main() -> None:
    work = Work.decode(sys.argv[1])
    signal.alarm(work.limit)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    module_name, _, factory_name = work.factory.partition(':')
    module = importlib.import_module(module_name)
    loop: Loop = getattr(module, factory_name)()
    loop.set_exception_handler(give_up)
    said = describe(module, loop)
    with contextlib.closing(loop):  # or what it says of that in debug mode would follow what it failed with
        if work.program in SERVERS:
            listening = loop.run_until_complete(SERVERS[work.program](loop, work.place))
            settle(work)
            print(json.dumps(said | {'port': listening.port}), flush=True)
            loop.run_forever()
        else:
            samples = loop.run_until_complete(take_samples(loop, work))
            print(json.dumps(said | {'samples': samples}), flush=True)
            os._exit(0)  # whatever is under way is not waited for


def settle(work: Work) -> None:
    """Do what a process has done that ran for a while.

    What was imported is left out of later collections. And a large block of memory was freed, unless the workload is
    about a fresh process. The first one that is freed makes glibc stop to ask the system for each block above
    128 KiB (mallopt(3), M_MMAP_THRESHOLD). Until then whoever reads into a new block of 256 KiB each time, as asyncio,
    rloop and the TLS of uvloop do, needs two or three times as long; by what was imported, asyncio may be over that
    already when it starts.
    """
    gc.collect()
    gc.freeze()
    if not work.fresh:
        bytes(1 << 20)


def give_up(loop: Loop, context: dict[str, Any]) -> None:
    exception = context.get('exception')
    name = f'{type(exception).__name__}: {exception}' if exception is not None else context['message']
    print(name, file=sys.stderr, flush=True)
    os._exit(1)


async def take_samples(loop: Loop, work: Work) -> list[dict[str, float]]:
    """Count the requests of some spans of time, beside the client that makes them."""
    answered = Counter()
    client = loop.create_task(CLIENTS[work.program](loop, work.port, work.concurrency, answered))
    client.add_done_callback(report_failure)
    while answered.count < work.concurrency:  # until all are connected
        await asyncio.sleep(0.01)
    settle(work)
    await asyncio.sleep(work.warm_up)
    samples = []
    for _ in range(work.samples):
        requests, processor, start = answered.count, process_time(), perf_counter()
        await asyncio.sleep(work.seconds)
        while answered.count == requests:  # the machine may have had no time for us
            await asyncio.sleep(0.01)
        samples.append(
            {
                'requests': answered.count - requests,
                'seconds': perf_counter() - start,
                'processor': process_time() - processor,
            }
        )
    return samples
