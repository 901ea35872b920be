"""PyTorch modules as oracles, asked where they lie and as they are."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa.errors import DfaError, InvalidInputError, told
from dfa.oracle.adapters.batches import BatchedOracle, Batches
from dfa.oracle.adapters.scaling import check_channels, checked_statistics
from dfa.oracle.adapters.static_batch import StaticBatch, checked_static_batch
from dfa.oracle.adapters.torch_digests import digest_of
from dfa.oracle.adapters.torch_files import load_program, module_of
from dfa.oracle.adapters.torch_inputs import ModuleInput, Transform
from dfa.oracle.adapters.torch_modules import (
    device_of,
    dtype_of,
    import_torch,
    refuse_lazy,
    refuse_training,
    rows_taken,
    scores_in,
)
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    ScoreKind,
    checked_tolerance,
    declare_all,
    descends_from,
    name_of,
)
from dfa.oracle.raw import array_of, on_host

Output: TypeAlias = Callable[[Any], Any] | str | int
"""Which part of what a module returns are the scores: a key, an attribute, a place, or a function of it."""

_LAYOUTS: Final = ("NCHW", "NHWC")


class TorchOracle(BatchedOracle):
    """A `torch.nn.Module` that gives one score per class, asked in inference mode on the device that it lies on.

    Images go to that device as uint8, which moves a quarter of the bytes, and become what the module takes there:
    float32 / 255, as torchvision's ToTensor makes it, then (x - mean) / std where these are given. The module is never
    moved and its mode never switched; one with a part in training mode is refused.

    A float32 model's answer to an image depends, in the last bits, on the number of rows in its batch. So every batch
    is filled up to one size: on a CPU 4 to 64 rows, by the size of the images and whatever the run's batch size; on an
    accelerator the run's batch size. An image's answer is then the same to the bit whatever else is asked with it, in
    any order, so far as the module itself treats rows alike. Some products of float32 matrices on a CPU round a row by
    its place; a module that is seen to do so, on noise, is asked row by row, which is exact and slow. Another device,
    another version of torch and, on a CPU, another number of torch's threads may give other bits. `static_batch=False`
    lets batches go as they come.

    Attributes:
        kind: "torch".
        name: The module's class, unless another is given.
    """

    kind = "torch"

    def __init__(
        self,
        module: Any,
        *,
        returns: ScoreKind | str = ScoreKind.LOGITS,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        layout: str = "NCHW",
        transform: Transform | None = None,
        output: Output | None = None,
        device: Any = None,
        autocast: Any = None,
        compile: bool | str | Mapping[str, Any] = False,
        static_batch: StaticBatch = True,
        tolerance: float = DEFAULT_TOLERANCE,
        name: str | None = None,
    ) -> None:
        """Wrap a module.

        Args:
            module: A `torch.nn.Module` in eval mode, all its parts included; a `torch.export.ExportedProgram`; or the
                path of a file that holds such a program or a TorchScript one, never a pickle.
            returns: Whether its output is "logits" or "probabilities".
            mean: Subtracted from x / 255: one number, or one per channel. None: nothing is.
            std: Divides what is left then; likewise. Both or neither are given.
            layout: What the module takes: "NCHW" or "NHWC".
            transform: What makes the module's input of a uint8 batch on its device, instead of x / 255, mean and std:
                a function or a module, such as torchvision's `weights.transforms()`.
            output: Where the scores are in what the module returns: a key, an attribute, a place, or a function. None:
                it is a tensor, or has them as `logits`, as Hugging Face's outputs have.
            device: Where the images go; needed only where it is not that of the module's parameters, because it has
                none.
            autocast: "bfloat16" or "float16" (or torch's own) to run the module under `torch.autocast`. Numbers of 8
                significant bits make classes tie, and a tie is no success.
            compile: Whether to run it through `torch.compile`: True, a mode, or a dict of its arguments.
            static_batch: Whether every batch has the same number of rows (see above); a number is that number.
            tolerance: How far the probabilities of one image may sum from 1.
            name: What records call the oracle.

        Raises:
            InvalidInputError: `module` is no torch module or a part of it is in training mode, or another argument is
                not as described.
        """
        self._torch = import_torch()
        self.name = type(module).__name__ if name is None else name
        if isinstance(module, str | Path):
            self.name = Path(module).name if name is None else name
            module = load_program(Path(module))
        elif descends_from(module, "torch", "ExportedProgram"):
            module = module_of(module)
        if not isinstance(module, self._torch.nn.Module):
            raise InvalidInputError(f"a torch oracle needs a torch.nn.Module, got {type(module).__name__}")
        refuse_training(module)
        refuse_lazy(self._torch, module)
        self.returns = declare_all(returns, "a torch module")
        self.tolerance = checked_tolerance(tolerance)
        if layout not in _LAYOUTS:
            raise InvalidInputError(f"layout, of what the module takes, must be 'NCHW' or 'NHWC', got {layout!r}")
        if transform is not None and (not callable(transform) or mean is not None or std is not None):
            raise InvalidInputError(
                "transform must be a function of a uint8 batch, and comes instead of mean and std, got "
                f"{transform!r}, mean={mean!r}, std={std!r}"
            )
        self._module = module
        self._mean, self._std = checked_statistics(mean, std)
        self._layout = layout
        self._transform = transform
        self._output = output
        self._device = device_of(self._torch, module, device)
        # On a CPU torch's threads stay awake between calls of one thread only, the first that asked: beside another one
        # small batches take up to twice the time, and what a run does meanwhile takes the same cores.
        self.in_callers_thread = self._device.type == "cpu"
        found = dtype_of(module)
        self._dtype = found or self._torch.float32
        self._input = ModuleInput(
            self._torch, layout, transform, self._mean, self._std, device=self._device, dtype=found
        )
        self._autocast = _checked_autocast(self._torch, autocast)
        # Exported programs often take one number of rows only.
        chosen = checked_static_batch(static_batch)
        if chosen is False and compile is not False:
            raise InvalidInputError("compile needs static_batch, since each new number of rows is compiled anew")
        self._rows_taken = rows_taken(module)
        least, most = self._rows_taken or (1, math.inf)
        self._batches = Batches(
            least if chosen is True and least == most else chosen,
            on_cpu=self._device.type == "cpu",
            least=least,
            make_room=self._made_room,
        )
        self._forward = self._asked if compile is False else _compiled(self._torch, self._asked, compile)
        self._compile = compile

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Choose the size of batches, and look whether the module takes them and answers twice alike.

        The first look is at noise, so that nothing of the run is asked.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: The module does not take such images, or what it gives are no scores.

        Warns:
            RandomAnswersWarning: It answers otherwise when it is asked again.
        """
        refuse_training(self._module)
        if self._batches.begin(shape, batch_size):
            if self.takes is np.uint8:
                check_channels((self._mean, self._std), shape[-1])
                self._try(shape)
            self._batches.end()

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of what the module keeps and a transform that is one: parameters and buffers, with names.

        None if they have none, or one that cannot be read. What else makes a model, such as its layers' kinds and their
        settings, is not in it.
        """
        return digest_of(self._module, self._transform)

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        torch = self._torch
        is_cuda = self._device.type == "cuda"
        return super().describe() | {
            "layout": self._layout,
            "mean": self._mean,
            "std": self._std,
            "transform": self._input.told,
            "output": name_of(self._output) if callable(self._output) else self._output,
            "autocast": None if self._autocast is None else str(self._autocast).removeprefix("torch."),
            "compile": _told_compile(self._compile),
            "static_batch": self._batches.static_batch,
            "dtype": str(self._dtype).removeprefix("torch."),
            "device": torch.cuda.get_device_name(self._device) if is_cuda else self._device.type,
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "framework": "torch",
            "framework_version": str(torch.__version__),
        }

    def _ask(self, batch: NDArray[Any]) -> NDArray[Any]:
        # A copy of what is not the batches' own: torch warns of memory that it may not write to.
        is_own = self._batches.is_room(batch)
        return self._ask_tensor(self._torch.from_numpy(batch) if is_own else self._torch.tensor(batch))

    def _ask_tensor(self, batch: Any) -> NDArray[Any]:
        """Return the answers to a batch on the host, as an array of its own."""
        torch = self._torch
        half = contextlib.nullcontext() if self._autocast is None else torch.autocast(self._device.type, self._autocast)
        with torch.inference_mode(), half:
            # Reading the answer waits for the copy as well, so that the memory may be used again.
            answer = self._forward(batch.to(self._device, non_blocking=True))
        return array_of(on_host(answer))

    def _asked(self, batch: Any) -> Any:
        """Return the scores of a batch on the device: what is compiled."""
        return scores_in(self._torch, self._module(self._input(batch)), self._output, self.name)

    def _made_room(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return memory for batches, from which an accelerator copies by itself."""
        kind = getattr(self._torch, np.dtype(dtype).name)
        room: NDArray[Any] = self._torch.zeros(shape, dtype=kind, pin_memory=self._device.type == "cuda").numpy()
        return room

    def _try(self, shape: tuple[int, int, int]) -> None:
        """Ask about noise, and choose the rows of every batch by what comes."""

        def ask(batch: NDArray[Any]) -> NDArray[Any]:
            try:
                answer = self._ask(batch)
            except DfaError:
                raise
            except Exception as error:  # a module may raise anything
                raise InvalidInputError(self._not_taken(shape, len(batch), error)) from error
            if answer.ndim != 2 or len(answer) != len(batch):
                raise InvalidInputError(
                    f"a module must give scores of shape (n, K), and {self.name!r} gives shape {answer.shape} for "
                    f"{len(batch)} images; output=a function can reshape them (of one output p per image: "
                    "torch.stack([1 - p, p], 1), p of shape (n,); of one logit z: torch.stack([0 * z, z], 1))"
                )
            return answer

        self._batches.try_out(ask, self.name)

    def _not_taken(self, shape: tuple[int, int, int], rows: int, error: Exception) -> str:
        height, width, channels = shape
        given = (channels, height, width) if self._layout == "NCHW" else shape
        made = "what transform made of" if self._transform is not None else f"{self._dtype} in"
        return (
            f"the module {self.name!r} must take images of shape {shape}; it was given {made} batches of shape "
            f"(n, {', '.join(map(str, given))}), {self._layout}, and failed: {told(error)}; "
            f"{_cure(told(error), rows, self._rows_taken, 'NHWC' if self._layout == 'NCHW' else 'NCHW')}"
        )


_OF_SHAPES: Final = re.compile(
    r"\b(shapes?|sizes?|height|width|channels?|dim(ension)?s?|mat1|elements|broadcast)\b", re.I
)
_OF_TYPES: Final = re.compile(r"\bd?types?\b", re.I)


def _cure(words: str, rows: int, taken: tuple[int, float] | None, other: str) -> str:
    """Return what to do about a module that failed at the first batch.

    Args:
        words: Of its error.
        rows: Of the batch.
        taken: The least and the most rows that it takes, where it tells.
        other: The layout that it was not given.
    """
    if taken is not None and not taken[0] <= rows <= taken[1]:
        least, most = taken
        numbers = f"{least}" if least == most else f"{least} or more" if most == math.inf else f"{least} to {most}"
        return (
            f"the program was exported for batches of {numbers} rows; pass static_batch={max(least, min(rows, most))}"
        )
    # TorchScript tells its own code before it.
    words = words.rpartition("RuntimeError: ")[2]
    if "does not require grad" in words:
        return (
            "dfa asks in torch.inference_mode; a module that needs gradients inside must leave it in its forward, with "
            "torch.inference_mode(False), and clone its input there"
        )
    if _OF_SHAPES.search(words) and not _OF_TYPES.search(words):
        return (
            f"resize the images, pass layout={other!r} if that is what it takes, or a transform= that makes its input"
        )
    return (
        "its forward must take one such tensor; pass a torch.nn.Module around it that calls it as it needs, or a "
        "transform= that makes its input"
    )


def _checked_autocast(torch: Any, autocast: Any) -> Any:
    """Return torch's dtype of a word, or None.

    Raises:
        InvalidInputError: It names no half precision.
    """
    names = {"bfloat16": torch.bfloat16, "float16": torch.float16}
    if autocast is None or any(autocast is each for each in names.values()):
        return autocast
    if isinstance(autocast, str) and autocast in names:
        return names[autocast]
    raise InvalidInputError(f"autocast must be None, 'bfloat16' or 'float16', got {autocast!r}")


def _compiled(torch: Any, function: Callable[..., Any], compile: bool | str | Mapping[str, Any]) -> Any:
    """Return a function through torch.compile.

    Raises:
        InvalidInputError: `compile` is none of what `TorchOracle` takes.
    """
    if compile is not True and not isinstance(compile, str | Mapping):
        raise InvalidInputError(
            f"compile must be True, False, a mode of torch.compile or a dict of its arguments, got {compile!r}"
        )
    given = {"mode": compile} if isinstance(compile, str) else {} if compile is True else dict(compile)
    try:
        return torch.compile(function, **({"dynamic": False} | given))
    except Exception as error:  # torch raises many kinds
        raise InvalidInputError(
            "compile must be True, False, a mode of torch.compile or a dict of its arguments, and torch refuses "
            f"{compile!r}: {told(error)}"
        ) from error


def _told_compile(compile: bool | str | Mapping[str, Any]) -> Any:
    if not isinstance(compile, Mapping):
        return compile
    return {name: name_of(value) if callable(value) else value for name, value in compile.items()}
