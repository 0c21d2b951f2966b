"""`python tests/libraries`."""

from runner.cli import main

raise SystemExit(main())
