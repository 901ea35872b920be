"""A row of a table: what to run, and what the paper reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from systems.context import Context, Result, Subject

MODELS = {"lenet": "LeNet-1", "demo": "demo's LeNet-1", "resnet": "ResNet-20"}
IMAGENET = {"mobilenet": "MobileNetV2-224", "squeezenet": "SqueezeNet 1.1"}


class CannotRunError(Exception):
    """A row's system cannot run here; its text is the reason."""


class OutOfTimeError(KeyboardInterrupt):
    """A row took longer than it may: ends it as Ctrl-C does, which no library takes for a failure of its own."""


def is_out_of_time(error: BaseException | None) -> bool:
    """Return whether a row's time is why something ended, whatever a library has made of it."""
    return error is not None and (isinstance(error, OutOfTimeError) or is_out_of_time(error.__cause__))


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        table: Of the paper, or "repair".
        system: Its name there.
        model: What ours attacks.
        run: From a context to what was measured; raises `CannotRunError`.
        paper: What the paper reports.
        remark: What differs from the paper's row, in a sentence.
        same_as: Key of the row that measures the same, if that is another one.
        in_parts: Whether it ends with what it has when its time is over, and goes on from there when it is run again.
    """

    table: str
    system: str
    model: str
    run: Callable[[Context], Result]
    paper: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""
    same_as: str = ""
    in_parts: bool = False

    @property
    def key(self) -> str:
        """Return a name for files."""
        return key_of(self.table, self.system, self.model)


def key_of(table: str, system: str, model: str) -> str:
    """Return a row's name for files."""
    kept = "".join(c if c.isalnum() else "-" for c in f"{table} {system} {model}".lower())
    return "-".join(part for part in kept.split("-") if part)


def paper_rates(sr: float, tsr: float, gap: float, model: str, more: str = "", **rest: Any) -> dict[str, Any]:
    """Return what the paper reports of a row, its rates from percentages."""
    return {"SR": sr / 100, "TSR": tsr / 100, "GAP": gap / 100, "model": model, "setting": more, **rest}


def on_subject(which: str, run: Any, number: int | None = None, **rest: Any) -> Callable[[Context], Result]:
    """Return a row's function: a system on a subject, or on its first images only."""

    def of(context: Context) -> Result:
        subject: Subject = getattr(context, which)
        result: Result = run(subject if number is None else subject.first(number), **rest)
        return result

    return of


def cannot_run(reason: str) -> Callable[[Context], Result]:
    """Return the function of a row whose system cannot run here."""

    def of(context: Context) -> Result:
        raise CannotRunError(reason)

    return of
