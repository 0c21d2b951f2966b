"""Programs that are made up, run on asyncio and on sooner: both must do the same things in the same order."""
