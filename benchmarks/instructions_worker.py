"""Runs operations on one loop, under callgrind, with a call of getppid() before and after each run.

`instructions.py` starts it. Prints a JSON list: of each run, whether it came to its end.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import sys


def main() -> None:
    package_parent, factory, runs = sys.argv[1:]
    sys.path.insert(0, package_parent)  # not through the package sooner, which other loops should not find imported
    from bench.operations import OPERATIONS

    del sys.path[0]
    module, _, attribute = factory.partition(':')
    loop = getattr(importlib.import_module(module), attribute)()
    gc.disable()
    done = []
    for name, count in json.loads(runs):
        operation = OPERATIONS[name]
        try:
            run(loop, operation, operation.multiple)
        except Exception as error:
            print(f'{factory}: {name}: {error!r}', file=sys.stderr)
            done.append(False)
            os.getppid()
            os.getppid()
            continue
        gc.collect()
        os.getppid()
        run(loop, operation, count)
        os.getppid()
        done.append(True)
    print(json.dumps(done))


def run(loop, operation, count) -> None:
    awaitable = operation.run(loop, count)
    if inspect.iscoroutine(awaitable):
        loop.run_until_complete(awaitable)


if __name__ == '__main__':
    main()
