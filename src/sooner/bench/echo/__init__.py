"""Benchmarks of what loops do with sockets: servers under load, and clients of databases.

`workloads` says what is measured, `servers` and `clients` are the programs, each written out as one would write it,
`worker` runs one of them on one loop in a process of its own. `echo_server.c` is the limit that no loop can pass,
`echo_load.c` the load; `equipment` compiles them, and starts whatever else a workload needs. `turns` puts the server
on one processor and the load on the other, and counts.

What a worker imports (`worker`, `servers`, `clients`) must not import sooner: see the package above.
"""
