"""Runs other libraries' own tests on an event loop, and says which pass on asyncio's and not on another.

`suites` says what there is to run, `environments` makes the place for it, `isolation` and `services` the world around
it, `execution` runs it, `record` keeps what came out, `report` tells it. Nothing here imports a library under test: its
tests run in processes of an environment of its own, into which `inside/` brings the loop and the reporting.
"""
