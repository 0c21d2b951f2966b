"""The loop, its futures and tasks, its timers: no socket, no file, no thread pool."""
