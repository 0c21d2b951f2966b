"""What a loop counts about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since the loop was made, and what it holds now. Times are in seconds."""

    turns: int
    """Turns of the loop: each polls or waits if that is due, and runs what is ready."""
    callbacks_run: int
    """Handles, task steps and done callbacks that were run (cancelled handles count too)."""
    polls: int
    """How often the driver was asked for events."""
    tasks_created: int
    """Tasks of sooner's own class that were made for this loop."""
    tasks_alive: int
    """Those of them that are not done."""
    tasks_done: int
    """Those of them that are."""
    timers: int
    """Timers that are scheduled and not cancelled."""
    ready: int
    """What stands in the ready queue."""
    longest_turn: float
    """The longest time that all callbacks of one turn took: no callback took longer."""
    longest_callback: float | None
    """The longest time that one callback took. Measured in debug mode only, otherwise None."""
    time_waiting: float
    """Time spent waiting in the driver."""
    time_running: float
    """Time spent running callbacks."""
