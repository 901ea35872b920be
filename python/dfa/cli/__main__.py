"""`python -m dfa.cli`: the command `dfa`."""

from __future__ import annotations

import sys

from dfa.cli.main import main

sys.exit(main())
