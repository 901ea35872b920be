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

from dfa.errors import InvalidInputError, told_with_place
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
        named, name = dict(self.named), name_of(self.function)
        if device is not None:
            if not _takes(self.function, "device"):
                raise InvalidInputError(
                    f"each worker is given its own device, {device!r}, so {name} must take device=; "
                    "add that, or pass a number of workers instead of devices"
                )
            named["device"] = device
        elif self._lacks_device():
            raise InvalidInputError(
                f"{name} must be given a device=, and this worker has none; name the devices, as in "
                "workers=['cuda:0', 'cuda:1'], or give it to dfa.factory"
            )
        made = self.function(*self.arguments, **named)
        if made is None:
            raise InvalidInputError(f"{name} must return the model, and returned None; let it end with return model")
        return as_oracle(made)

    def _lacks_device(self) -> bool:
        """Tell whether `device` is all that the function still needs."""
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):  # of a builtin
            return False
        return not _goes(signature, *self.arguments, **self.named) and _goes(
            signature, *self.arguments, **self.named, device=""
        )

    @staticmethod
    def unpacked(packed: bytes) -> Factory:
        """Return what `packed` sent, having looked for modules where the sender does, too.

        Raises:
            InvalidInputError: What it was made of cannot be imported here.
        """
        folders, content = pickle.loads(packed)
        sys.path += [folder for folder in folders if folder not in sys.path]
        try:
            made: Factory = pickle.loads(content)
        except (ImportError, AttributeError) as error:
            raise InvalidInputError(
                f"what makes the model must be importable where a worker is, and is not: {told_with_place(error)}; "
                "define it at the top level of a module that is installed there, or on that machine's PYTHONPATH"
            ) from error
        return made

    def packed(self) -> bytes:
        """Return what travels to a worker: itself, and where this process finds modules.

        Raises:
            InvalidInputError: It cannot travel.
        """
        for each in (self.function, *self.arguments, *self.named.values()):
            _refuse_typed_in(each)
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
        if not _takes_batch(model):
            raise InvalidInputError(
                f"a function must be the model, and take a batch alone, and {name_of(model)} does not; if it makes the "
                f"model, pass dfa.factory({name_of(model)}, ...)"
            )
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


def _goes(signature: inspect.Signature, *arguments: Any, **named: Any) -> bool:
    try:
        signature.bind(*arguments, **named)
    except TypeError:
        return False
    return True


def _takes_batch(function: Callable[..., Any]) -> bool:
    try:
        return _goes(inspect.signature(function), None)
    except (TypeError, ValueError):  # of a builtin
        return True


def _refuse_typed_in(given: Any) -> None:
    """Refuse what no other process can import, since no file has it.

    Raises:
        InvalidInputError: It is so.
    """
    while isinstance(given, functools.partial):
        for each in (*given.args, *given.keywords.values()):
            _refuse_typed_in(each)
        given = given.func
    main = sys.modules.get("__main__")
    if getattr(given, "__module__", None) == "__main__" and not hasattr(main, "__file__"):
        raise InvalidInputError(
            f"{name_of(given)} is of a notebook, or was typed in, and workers cannot import it from there; write it "
            "into a module, say mymodels.py, and import it from that"
        )
