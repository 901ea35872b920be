"""A process that has imported everything, and forks a run whenever it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_CODE = """
import os, sys
sys.path.insert(0, {tests!r})
{of_run}
for line in iter(sys.stdin.readline, ""):
    arguments = eval(line)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(*arguments)
            status = 0
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    print(child, flush=True)
    # Not before the parent has sent its signal, lest the number belong to another process by then.
    sys.stdin.readline()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Zygote:
    """The process."""

    def __init__(self, of_run: str) -> None:
        """Begin it.

        Args:
            of_run: Code that imports what a run needs, and defines `run`; the folder of the tests can be imported from.
        """
        code = _CODE.format(tests=str(Path(__file__).parent), of_run=of_run)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *arguments: object, seconds: float | None = None, with_signal: int = signal.SIGKILL) -> int:
        """Let a run go on; kill it after some seconds if it has not ended; return its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(repr(arguments) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, with_signal)
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
