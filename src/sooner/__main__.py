"""`python -m sooner` is the `sooner` command."""

from sooner.cli import main

if __name__ == '__main__':
    raise SystemExit(main())
