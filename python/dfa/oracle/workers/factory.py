"""How a worker comes by its model: models do not travel, so a function that makes one does."""

from __future__ import annotations

import functools
import inspect
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfa.errors import InvalidInputError
from dfa.oracle.base import Oracle, name_of
from dfa.oracle.choice import as_oracle

_NEEDED = (
    "workers make their model themselves, since models do not travel between processes: pass "
    "dfa.factory(make_model, ...), where make_model is a function of a module and returns what dfa.as_oracle takes"
)


@dataclass(frozen=True)
class Factory:
    """A function that makes a model, and its arguments; see `factory`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)

    def make(self, device: str | None = None) -> Oracle:
        """Return the oracle of a model that is made now.

        Args:
            device: What the function is given as `device`; None: it is not given one.

        Raises:
            InvalidInputError: The function takes no `device`, or what it returns is nothing that can be asked.
        """
        named = dict(self.named)
        if device is not None:
            if not _takes(self.function, "device"):
                raise InvalidInputError(
                    f"each worker is given its own device, {device!r}, so {name_of(self.function)} must take device=; "
                    "add that, or pass a number of workers instead of devices"
                )
            named["device"] = device
        return as_oracle(self.function(*self.arguments, **named))

    @staticmethod
    def unpacked(packed: bytes) -> Factory:
        """Return what `packed` sent, having looked for modules where the sender does, too."""
        folders, content = pickle.loads(packed)
        sys.path += [folder for folder in folders if folder not in sys.path]
        made: Factory = pickle.loads(content)
        return made

    def packed(self) -> bytes:
        """Return what travels to a worker: itself, and where this process finds modules.

        Raises:
            InvalidInputError: It cannot travel.
        """
        try:
            return pickle.dumps((sys.path, pickle.dumps(self)))
        except Exception as error:  # whatever an object's own pickling raises
            raise InvalidInputError(
                f"{name_of(self.function)} and its arguments must be such that another process can be given them, and "
                f"pickle says: {error}; name a function of a module (no lambda, none inside a function), and let it "
                "make or load the rest from plain values and paths"
            ) from error


def factory(function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Factory:
    """Return what makes a model wherever it is needed: `function(*arguments, **named)`.

    Args:
        function: Of a module, not of a notebook: what runs in another process imports it there. It returns what
            `dfa.as_oracle` takes, an `Oracle` too. Where workers have devices, it is given its own as `device`.
        arguments: Plain values and paths. They travel by pickle, the model does not.
        named: Likewise.

    Raises:
        InvalidInputError: `function` is none.

    Example:
        >>> import dfa
        >>> def make_model(path, device="cpu"):  # in mymodels.py
        ...     import torch
        ...     return torch.load(path, weights_only=False).eval().to(device)
        >>> dfa.factory(make_model, "net.pt").arguments
        ('net.pt',)
    """
    if not callable(function):
        raise InvalidInputError(
            f"factory needs a function that makes a model, got {type(function).__name__}; pass the function and its "
            "arguments, dfa.factory(make_model, path)"
        )
    return Factory(function, arguments, named)


def as_factory(model: Any) -> Factory:
    """Return what makes a model at workers.

    Args:
        model: A `Factory`; the path of a model's file; a function of a module, which is an oracle itself.

    Raises:
        InvalidInputError: It is a model, or a function that cannot travel.
    """
    if isinstance(model, Factory):
        return model
    if isinstance(model, str | Path):
        return Factory(as_oracle, (str(Path(model).absolute()),))
    if inspect.isfunction(model) or isinstance(model, functools.partial):
        made = Factory(functools.partial(as_oracle, model))
        made.packed()
        return made
    raise InvalidInputError(f"{_NEEDED}; got {type(model).__name__}")


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return True
    return any(each.name == name or each.kind is each.VAR_KEYWORD for each in parameters)
