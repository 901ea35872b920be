"""`python -m dfa`: the command `dfa`."""

from __future__ import annotations

import sys

from dfa.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
