"""`python -m dfa.demo`: the demonstration under the name that it is called by; `dfa.cli.demo` is what it does."""

from __future__ import annotations

import sys

from dfa.cli.demo.main import main

if __name__ == "__main__":
    sys.exit(main())
