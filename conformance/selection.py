"""Which of the interpreter's tests are run, and which cannot apply."""

from __future__ import annotations

import fnmatch
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from .substitution import Mode

ASYNCIO_TESTS = 'test_asyncio'
"""All of this package's modules are looked at."""

OTHER_TESTS: dict[str, tuple[str, ...]] = {
    'test_asyncgen': ('AsyncGenAsyncioTest',),
    'test_builtin': ('BuiltinTest',),
    'test_contextlib_async': ('*',),
    'test_coroutines': ('CoroAsyncIOCompatTest',),
    'test_inspect.test_inspect': ('TestGetAsyncGenState',),
    'test_logging': ('LogRecordTest', 'BasicConfigTest'),
    'test_os': ('TestSendfile',),
    'test_os.test_os': ('TestSendfile',),
    'test_sys_settrace': ('JumpTestCase',),
    'test_type_params': ('TypeParamsTypeVarTest',),
    'test_unittest.test_async_case': ('TestAsyncCase',),
    'test_unittest.testmock.testasync': ('*',),
    'unittest.test.test_async_case': ('TestAsyncCase',),
    'unittest.test.testmock.testasync': ('*',),
}
"""Modules and classes of the interpreter's other tests that run a loop; absent ones are passed over.

They lie below `test.`, but for those of unittest, which lay below `unittest.` up to Python 3.11.
"""

MIXED = (
    'test_asyncio.test_locks',
    'test_asyncio.test_queues',
    'test_asyncio.test_staggered',
    'test_asyncio.test_taskgroups',
    'test_asyncio.test_threads',
    'test_asyncio.test_timeouts',
    'test_asyncio.test_waitfor',
)
"""Modules also run with asyncio's tasks on the loop under test, and with the tasks under test on asyncio's loop."""


@dataclass(frozen=True)
class Rule:
    """Test identifiers (a shell pattern over `module.Class.test`) that cannot apply, and the one sentence why."""

    pattern: str
    reason: str


STDLIB_INTERNALS = "It tests the parts of the standard library's own loop, not what a loop does."
WINDOWS = "It tests the standard library's loops for Windows."
CHILD_WATCHERS = "It tests the standard library's child watchers, which other loops do not use."
PRIVATE_STATE = "It reads or mocks the private state of the standard library's own loop."
MOCKED_METHOD = "It mocks a method or a function of the standard library's own loop, which another loop does not call."
SWAPPED_CLASSES = (
    "It puts asyncio's Python classes and functions in the place of its C ones, which only code of asyncio's looks up."
)
MOCKED_SOCKET = 'It gives the loop a mock for a socket, which no driver can watch.'
ONCE_IS_ENOUGH = "It runs the tests of another class again with one more of the standard library's selectors."

NOT_APPLICABLE = (
    Rule('test_asyncio.test_proactor_events.*', WINDOWS),
    Rule('test_asyncio.test_windows_events.*', WINDOWS),
    Rule('test_asyncio.test_windows_utils.*', WINDOWS),
    Rule('test_asyncio.test_selector_events.*', STDLIB_INTERNALS),
    Rule('test_asyncio.test_unix_events.SelectorEventLoopSignalTests.*', STDLIB_INTERNALS),
    Rule('test_asyncio.test_unix_events.SelectorEventLoopUnixSockSendfileTests.*', STDLIB_INTERNALS),
    Rule('test_asyncio.test_unix_events.Unix*PipeTransportTests.*', STDLIB_INTERNALS),
    Rule('test_asyncio.test_unix_events.*ChildWatcher*', CHILD_WATCHERS),
    Rule('test_asyncio.test_unix_events.PolicyTests.*', CHILD_WATCHERS),
    Rule('test_asyncio.test_base_events.BaseEventLoopTests.*', 'OwnLoopTests runs the same tests on a whole loop.'),
    *(
        Rule(f'test_asyncio.test_base_events.OwnLoopTests.{name}', PRIVATE_STATE)
        for name in (
            'test_not_implemented',
            'test__add_callback_*',
            'test__run_once*',
            'test_call_soon',
            'test_call_later',
            'test_custom_run_forever_integration',
            'test_run_forever_pre_stopped',
            'test_single_selecter_event_callback_after_stopping',
        )
    ),
    Rule('test_asyncio.test_base_events.*.test_accept_connection_*', PRIVATE_STATE),
    *(
        Rule(f'test_asyncio.test_base_events.BaseEventLoopWithSelectorTests.{name}', MOCKED_SOCKET)
        for name in (
            'test_create_connection_ip_addr',
            'test_create_connection_ipv6_scope',
            'test_create_connection_no_inet_pton',
            'test_create_connection_service_name',
            'test_create_datagram_endpoint_ip_addr',
            'test_create_server_soreuseport_only_defined',
        )
    ),
    Rule('test_asyncio.test_base_events.OwnLoopTests.test_create_connection_happy_eyeballs*', MOCKED_SOCKET),
    Rule('test_asyncio.test_base_events.BaseLoopSockSendfileTests.*', STDLIB_INTERNALS),
    Rule('test_asyncio.test_events.*.test_timeout_rounding', PRIVATE_STATE),
    *(
        Rule(pattern, SWAPPED_CLASSES)
        for pattern in (
            'test_asyncio.test_events.TestPyGetEventLoop.*',
            'test_asyncio.test_free_threading.Test*PyFreeThreading.test_all_tasks_from_other_thread_*',
            'test_asyncio.test_graph.TestCallStackPy.*',
        )
    ),
    Rule('test_asyncio.test_ssl.*.test_remote_shutdown_receives_trailing_data_on_slow_socket', PRIVATE_STATE),
    Rule('test_asyncio.test_sslproto.*.test_connection_lost_when_busy', PRIVATE_STATE),
    Rule('test_asyncio.test_subprocess.*.test_watcher_implementation', CHILD_WATCHERS),
    Rule('test_asyncio.test_subprocess.*.test_create_subprocess_fails_with_inactive_watcher', CHILD_WATCHERS),
    Rule('test_asyncio.test_subprocess.*.test_pid_not_reaped_before_exit_published', CHILD_WATCHERS),
    Rule('test_asyncio.test_tasks.CoroutineGatherTests.test_issue46672', MOCKED_METHOD),
    Rule('test_asyncio.test_*.EPollEventLoopTests.*', ONCE_IS_ENOUGH),
    Rule('test_asyncio.test_*.PollEventLoopTests.*', ONCE_IS_ENOUGH),
    Rule('test_asyncio.test_events.SelectEventLoopTests.*', 'EpollDriverTests and SelectorDriverTests run the same.'),
)
"""The first rule that matches counts."""


def reason_not_applicable(test_id: str) -> str | None:
    """Why that test cannot apply, or None."""
    for rule in NOT_APPLICABLE:
        if fnmatch.fnmatchcase(test_id, rule.pattern):
            return rule.reason
    return None


@dataclass(frozen=True)
class Unit:
    """One test class in one mode: what one worker process runs.

    Attributes:
        module: its name, without the `test.` that most begin with.
        case: the name of the class.
        mode: which loop and tasks it meets.
        tests: the names of its methods.
    """

    module: str
    case: str
    mode: Mode
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        suffix = '' if self.mode is Mode.OWN_LOOP else f'({self.mode})'
        return f'{self.module}.{self.case}{suffix}'

    def test_id(self, test: str) -> str:
        return f'{self.name}.{test}'


def import_name(module: str) -> str:
    """The full name of a module that a `Unit` names."""
    return f'test.{module}' if module.startswith('test_') else module


def modes_of(module: str) -> tuple[Mode, ...]:
    """The modes in which the classes that CPython wrote itself are run."""
    if module in MIXED:
        return (Mode.OWN_LOOP, Mode.STOCK_TASKS, Mode.OWN_TASKS)
    return (Mode.OWN_LOOP,)


def modules() -> dict[str, tuple[str, ...]]:
    """The test modules this interpreter ships, each with patterns of class names.

    Raises:
        FileNotFoundError: the interpreter came without its tests.
    """
    root = _tests_of_interpreter()
    found: dict[str, tuple[str, ...]] = {
        f'{ASYNCIO_TESTS}.{path.stem}': ('*',) for path in sorted((root / ASYNCIO_TESTS).glob('test_*.py'))
    }
    for name, cases in OTHER_TESTS.items():
        path = (root.parent if name.startswith('unittest.') else root).joinpath(*name.split('.'))
        if path.with_suffix('.py').exists():
            found[name] = cases
    return found


def _tests_of_interpreter() -> Path:
    test = importlib.import_module('test')

    for folder in test.__path__:
        if (Path(folder) / ASYNCIO_TESTS).is_dir():
            return Path(folder)
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    raise FileNotFoundError(
        f'This Python {version} came without test.test_asyncio. On Debian install libpython{version}-testsuite.'
    )
