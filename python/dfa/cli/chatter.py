"""A framework's start without its chatter."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_CHATTER = re.compile(
    rb"[IW]\d{4} .*"  # information and warnings in the log format of absl
    rb"|WARNING: All log messages before absl::InitializeLog.*"
    rb"|To enable the following instructions: .*"
    rb"|.* failed call to cuInit: .*"  # how a machine without an accelerator says so
)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what goes to the error stream, and afterwards pass on all of it that is not chatter.

    By file descriptor, because it is C++ that writes there.
    """
    if sys.stderr is None:  # closed, as by `2>&-`: there is nothing to hold back
        yield
        return
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            for line in held:
                if not _CHATTER.fullmatch(line.rstrip(b"\r\n")):
                    os.write(2, line)
