"""A plugin of pytest: writes a line of JSON when a test begins and when it ends, so that a crash loses nothing.

Variables:
    LIBRARIES_OUTCOMES: the file.
    LIBRARIES_DONE: a file with the tests, one a line, that are not to be run again.
    LIBRARIES_ONLY: a file with the tests that are to be run; if it is empty, all are.
    LIBRARIES_TEST_TIMEOUT: seconds. A test that takes longer ends the process, whatever it is doing.
"""

import faulthandler
import json
import os

RANK = {'passed': 0, 'skipped': 1, 'failed': 2, 'error': 3}

current = {}
file = os.open(os.environ['LIBRARIES_OUTCOMES'], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
stderr = os.dup(2)  # before pytest captures it
timeout = float(os.environ['LIBRARIES_TEST_TIMEOUT'])
owner = os.getpid()
"""The process that reports; a child that a test forks, and that comes back into pytest, does not."""


def put(**entry):
    if os.getpid() == owner:
        os.write(file, (json.dumps(entry) + '\n').encode())


def lines_of(variable):
    with open(os.environ[variable]) as opened:
        return set(opened.read().splitlines())


def pytest_collection_modifyitems(config, items):
    done, only = lines_of('LIBRARIES_DONE'), lines_of('LIBRARIES_ONLY')
    left = [item for item in items if item.nodeid not in done and (not only or item.nodeid in only)]
    if len(left) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in left])
        items[:] = left


def pytest_runtest_logstart(nodeid, location):
    if os.getpid() == owner:
        current.clear()
        put(start=nodeid)
        faulthandler.dump_traceback_later(timeout, exit=True, file=stderr)


def pytest_runtest_logreport(report):
    outcome = 'error' if report.failed and report.when != 'call' else report.outcome
    if RANK[outcome] >= RANK[current.get('outcome', 'passed')]:
        current['outcome'] = outcome
        if report.failed:
            crash = getattr(report.longrepr, 'reprcrash', None)
            message = (crash.message if crash else str(report.longrepr)).strip().splitlines() or ['']
            current['why'] = (message[0] if crash else message[-1])[:300]
    current['seconds'] = round(current.get('seconds', 0) + report.duration, 3)


def pytest_runtest_logfinish(nodeid, location):
    if os.getpid() == owner:
        faulthandler.cancel_dump_traceback_later()
        put(test=nodeid, **current)


def pytest_collectreport(report):
    if report.failed:
        last = (str(report.longrepr).strip().splitlines() or [''])[-1]
        put(test=report.nodeid or '(collection)', outcome='error', why=f'collection: {last}'[:300])
