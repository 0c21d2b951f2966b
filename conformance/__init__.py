"""CPython's own asyncio tests, run with this project's loop, futures and tasks in place of the standard ones.

`python -m conformance` runs every test twice: on stock asyncio, which says whether the test can pass on this machine
at all and what it uses, and on the loop under test. What stock asyncio passes, the loop must pass.

    selection.py      which modules and classes are run, what cannot apply, and why
    families.py       the test classes that CPython writes once for its C and once for its Python classes, for ours
    substitution.py   puts a loop and its classes in asyncio's place, and counts how often they were used
    worker.py         the process that runs one test class
    launch.py         starts workers, limits their time, goes on after a crash or a hang
    verdict.py        what the two outcomes of a test mean
    baseline.py       what is expected: deliberate differences and what an earlier run recorded
    report.py         tables for the terminal and for the documentation
    run.py            the command line

Nothing here imports the package under test before a worker does, and nothing in the package imports this.
"""
