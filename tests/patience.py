"""How long tests wait for what has to come: so long that only what hangs is cut off, however busy the machine is."""

from __future__ import annotations

import sys

_DEBUG_BUILD = hasattr(sys, 'gettotalrefcount')

PATIENCE = 250 if _DEBUG_BUILD else 100  # a debug build is many times slower
"""Seconds for one thing: a program to end, a thread to answer."""

HANG = 2 * PATIENCE
"""Seconds after which a test that hangs ends the run, with the stacks of all threads."""
