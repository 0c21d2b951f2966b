"""The language of the programs: what a generated program can say, and how hypothesis makes one up.

A program is a list of statements, each a tuple of its name and its arguments. Those that can stand in a callback too
are actions. Futures and tasks are spoken of by number: the number of objects that exist when the statement runs takes
the remainder, so that every number means something. `world.World` gives the statements their meaning.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from itertools import chain
from typing import Any

from hypothesis import strategies as st

Statement = tuple[Any, ...]


@dataclass(frozen=True)
class Program:
    """What to run, and the loop's settings."""

    body: list[Statement]
    debug: bool = False
    eager: bool = False


numbers = st.integers(0, 7)
delays = st.sampled_from([0, 1, 2, 3])
messages = st.sampled_from([None, 'enough'])
errors = st.sampled_from(['ValueError', 'CancelledError', 'SystemExit', 'StopIteration', 'TimeoutError'])
settable_errors = errors if sys.version_info >= (3, 13) else errors.filter(lambda error: error != 'StopIteration')
"""Releases of 3.12 do not agree on what becomes of StopIteration."""

catches = st.sampled_from(['nothing', 'errors', 'cancellation'])
flags = st.booleans()


def actions(depth: int) -> st.SearchStrategy[Statement]:
    """What callbacks and coroutines can do without waiting."""
    simple = [
        st.tuples(st.just('make_future'), flags),
        st.tuples(st.just('set_result'), numbers),
        st.tuples(st.just('set_exception'), numbers, settable_errors),
        st.tuples(st.just('cancel'), numbers, messages),
        st.tuples(st.just('uncancel'), numbers),
        st.tuples(st.just('remove_callback'), numbers, numbers),
        st.tuples(st.just('read'), numbers),
        st.tuples(st.just('cancel_handle'), numbers),
        st.tuples(st.just('set_variable'), st.integers(1, 9)),
        st.tuples(st.just('set_event')),
        st.tuples(st.just('put_nowait')),
        st.tuples(st.just('stop')),
        st.tuples(st.just('count_tasks')),
    ]
    if depth == 0:
        return st.one_of(simple)
    inner = callback_body(depth - 1)
    nested = [
        st.tuples(st.just('add_callback'), numbers, inner, flags),
        st.tuples(st.just('call_soon'), inner, flags),
        st.tuples(st.just('call_later'), delays, inner, flags),
        st.tuples(st.just('call_at'), delays, inner),
        st.tuples(st.just('spawn'), coroutine_body(depth - 1), flags, flags),
    ]
    return st.one_of(simple + 2 * nested)


@functools.cache
def callback_body(depth: int) -> st.SearchStrategy[list[Statement]]:
    action = actions(depth)
    raising = st.tuples(st.just('raise'), errors)
    return st.lists(st.one_of(action, action, action, raising), max_size=3)


@functools.cache
def coroutine_body(depth: int) -> st.SearchStrategy[list[Statement]]:
    waiting = [
        st.tuples(st.just('sleep'), catches, delays),
        st.tuples(st.just('wait_for_object'), catches, numbers),
        st.tuples(st.just('shield'), catches, numbers),
        st.tuples(st.just('gather'), catches, st.lists(numbers, max_size=3), flags),
        st.tuples(
            st.just('wait'),
            catches,
            st.lists(numbers, min_size=1, max_size=3),
            st.one_of(st.none(), delays),
            st.sampled_from(['FIRST_COMPLETED', 'FIRST_EXCEPTION', 'ALL_COMPLETED']),
        ),
        st.tuples(st.just('wait_for'), catches, numbers, st.one_of(st.none(), delays)),
        st.tuples(st.just('bad_yield'), catches, st.sampled_from(['number', 'future', 'generator', 'foreign'])),
        st.tuples(st.just('wait_event'), catches),
        st.tuples(st.just('put'), catches),
        st.tuples(st.just('get'), catches),
        st.tuples(st.just('raise_error'), catches, errors),
    ]
    if depth > 0:
        inner = coroutine_body(depth - 1)
        waiting += [
            st.tuples(st.just('gather_bodies'), catches, st.lists(inner, max_size=3), flags),
            st.tuples(st.just('task_group'), catches, st.lists(inner, max_size=3)),
            st.tuples(st.just('timeout'), catches, delays, inner),
            st.tuples(st.just('wait_for_body'), catches, inner, delays),
            st.tuples(st.just('block'), catches, inner),
            st.tuples(st.just('with_finally'), catches, inner, inner),
            st.tuples(st.just('with_lock'), catches, inner),
        ]
    action = actions(depth)
    return st.lists(st.one_of(action, action, st.one_of(waiting)), max_size=5)


@functools.cache
def programs(eager: bool) -> st.SearchStrategy[Program]:
    return st.builds(
        Program,
        body=st.lists(coroutine_body(3), min_size=1, max_size=4).map(lambda parts: list(chain(*parts))),
        debug=st.sampled_from([False, False, True]),
        eager=flags if eager else st.just(False),
    )
