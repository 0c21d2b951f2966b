"""Benchmarks of event loops against each other.

`operations` says what is measured, `worker` measures one of them on one loop in a process of its own, `rounds` lets
the loops take turns, `results` holds what came out, `plot` draws it.

Importing this package imports no loop. A worker that measures another loop loads it from its directory, without the
package around it: importing sooner teaches asyncio about sooner's tasks, and the peers should not pay for that.
"""
