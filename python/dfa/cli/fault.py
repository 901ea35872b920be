"""What is said of an error that nobody foresaw: that it is dfa's fault, and how to report it."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
import traceback
from collections.abc import Sequence

import dfa


def tell_fault(error: BaseException, arguments: Sequence[str]) -> str:
    """Return what to tell the user, having written down what a report needs, or with it where DFA_DEBUG is set.

    Args:
        error: What was raised.
        arguments: The words of the command.
    """
    text = "\n".join(
        [
            f"dfa {dfa.__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"dfa {shlex.join(arguments)}",
            "".join(traceback.format_exception(error)),
        ]
    )
    told = f"this is a fault of dfa: {type(error).__name__}: {error}\n"
    if not os.environ.get("DFA_DEBUG"):
        try:
            with tempfile.NamedTemporaryFile(
                "w", prefix="dfa-fault-", suffix=".txt", encoding="utf-8", errors="backslashreplace", delete=False
            ) as file:
                file.write(text)
            return (
                f"{told}please report it to dfa's developers with {file.name} (version, command, traceback; "
                "DFA_DEBUG=1 prints them instead)"
            )
        except OSError:
            pass
    return f"{told}please report it to dfa's developers with what follows (version, command, traceback)\n{text}"
