"""`python -m conformance`."""

from .run import main

raise SystemExit(main())
