"""dask.distributed: scheduler, workers and clients, in this loop and as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import PATIENCE, until

distributed = pytest.importorskip('distributed')
dask = pytest.importorskip('dask')
from distributed import Client, Nanny, Scheduler, Worker  # noqa: E402

# It leaves deprecation warnings, and memory and sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings('default')


def increment(number: int) -> int:
    return number + 1


async def ask_the_loop() -> str:
    await asyncio.sleep(0)
    return type(asyncio.get_running_loop()).__module__.partition('.')[0]


@contextlib.asynccontextmanager
async def cluster(workers: int = 2, kind: Any = Worker, protocol: str = 'tcp', **options: Any) -> AsyncIterator[Any]:
    """A scheduler and workers; gives the client, which has them as attributes."""
    async with (
        Scheduler(protocol=protocol, host='127.0.0.1', port=0, dashboard=False, dashboard_address=':0') as scheduler,
        contextlib.AsyncExitStack() as stack,
    ):
        started = [kind(scheduler.address, nthreads=1, dashboard=False, **options) for _ in range(workers)]
        await asyncio.gather(*(stack.enter_async_context(worker) for worker in started))
        async with Client(scheduler.address, asynchronous=True) as client:
            client.the_scheduler, client.the_workers = scheduler, started
            yield client


@pytest.fixture(params=['tornado', 'asyncio'])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A client of two workers, all in this loop, over each kind of connection that it has."""
    with dask.config.set({'distributed.comm.tcp.backend': request.param}):
        async with cluster() as client:
            yield client


async def test_results_of_many_tasks(client: Any) -> None:
    futures = client.map(increment, range(200))
    assert await client.gather(futures) == list(range(1, 201))
    assert await client.submit(sum, futures) == 20100
    workers = set((await client.who_has(futures)).values())
    assert len(workers) == 2, 'both worked'


async def test_graph_of_tasks(client: Any) -> None:
    layer = [dask.delayed(increment)(number) for number in range(16)]
    while len(layer) > 1:
        layer = [dask.delayed(operator.add)(left, right) for left, right in zip(layer[::2], layer[1::2], strict=True)]
    assert await client.compute(layer[0]) == sum(range(1, 17))


async def test_large_data_goes_between_workers(client: Any) -> None:
    one, other = (worker.address for worker in client.the_workers)
    data = client.submit(os.urandom, 8 << 20, workers=[one], pure=False)
    size = await client.submit(len, data, workers=[other], allow_other_workers=False)
    assert size == 8 << 20
    assert await client.submit(bytes, data, workers=[other]) == await data


async def test_exception_of_a_task_reaches_the_client(client: Any) -> None:
    future = client.submit(operator.truediv, 1, 0)
    with pytest.raises(ZeroDivisionError):
        await future
    dependent = client.submit(increment, future)
    with pytest.raises(ZeroDivisionError):
        await dependent


async def test_coroutine_runs_in_the_loop_of_its_worker(client: Any) -> None:
    assert await client.submit(ask_the_loop) == await ask_the_loop()


async def test_task_is_cancelled(client: Any) -> None:
    async def endless() -> None:
        await asyncio.sleep(3600)

    future = client.submit(endless)
    await until(lambda: any(worker.state.executing_count for worker in client.the_workers))
    await client.cancel([future])
    with pytest.raises(distributed.client.FutureCancelledError):
        await future


async def test_work_goes_on_without_a_worker_that_left(client: Any) -> None:
    futures = client.map(increment, range(100))
    await distributed.wait(futures)
    await client.the_workers[0].close()
    assert await client.gather(futures) == list(range(1, 101)), 'what it held is computed again'


async def test_worker_that_comes_later_gets_work(client: Any) -> None:
    async with Worker(client.the_scheduler.address, nthreads=1, name='late', dashboard=False):
        assert await client.submit(increment, 1, workers=['late']) == 2


async def test_locks_queues_events_and_variables(client: Any) -> None:
    queue, variable = await distributed.Queue('queue'), distributed.Variable('variable')
    event = await distributed.Event('event')
    waiting = asyncio.ensure_future(event.wait())
    await queue.put('a value')
    await variable.set(7)
    assert await queue.get() == 'a value'
    assert await variable.get() == 7
    assert not waiting.done()
    await event.set()
    assert await asyncio.wait_for(waiting, PATIENCE)
    async with distributed.Lock('lock'):
        assert not await distributed.Lock('lock').acquire(timeout=0.05)


async def test_actor_keeps_its_state(client: Any) -> None:
    class Counter:
        count = 0

        def increment(self) -> int:
            self.count += 1
            return self.count

    counter = await client.submit(Counter, actor=True)
    assert [await counter.increment() for _ in range(20)] == list(range(1, 21))


async def test_events_are_published_to_clients(client: Any) -> None:
    heard: list[int] = []
    client.subscribe_topic('news', lambda event: heard.append(event[1]))

    def tell(number: int) -> None:
        distributed.get_worker().log_event('news', number)

    for number in range(10):
        await client.submit(tell, number)
    await until(lambda: sorted(heard) == list(range(10)))


async def test_as_completed_gives_what_is_done_first(client: Any) -> None:
    async def after(number: int) -> int:
        await asyncio.sleep(number * 0.05)
        return number

    futures = client.map(after, [2, 0])
    assert [await future async for future in distributed.as_completed(futures)] == [0, 2]


async def test_workers_as_processes_are_started_again_when_they_die() -> None:
    async with cluster(workers=1, kind=Nanny) as client:
        assert await client.submit(ask_the_loop) == await ask_the_loop()
        (first,) = (await client.run(os.getpid)).values()
        assert first != os.getpid()
        os.kill(first, 9)
        assert await client.submit(increment, 1) == 2
        (second,) = (await client.run(os.getpid)).values()
        assert second != first


def test_cluster_of_processes_from_a_program_without_a_loop() -> None:
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=':0') as cluster,
        Client(cluster) as client,
    ):
        assert client.gather(client.map(increment, range(50))) == list(range(1, 51))
        assert client.submit(ask_the_loop).result(PATIENCE) in ('asyncio', *client.run_on_scheduler(_loops))


def _loops() -> list[str]:
    return [type(asyncio.get_event_loop()).__module__.partition('.')[0]]
