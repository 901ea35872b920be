"""What a torch module is given of a batch of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from dfa.oracle.base import name_of, text_of

Transform: TypeAlias = Callable[[Any], Any]
"""From a uint8 tensor on the module's device, (n, C, H, W), or (n, H, W, C) by `layout`, to what the module takes."""


class ModuleInput:
    """Makes a module's input of a batch on its device, there.

    Attributes:
        told: The transform in words, what it shows of itself or else its name; None if there is none.
    """

    def __init__(
        self, torch: Any, layout: str, transform: Transform | None, mean: Any, std: Any, *, device: Any, dtype: Any
    ) -> None:
        """Keep what is made: arguments as of `TorchOracle`, checked.

        Args:
            torch: The module torch.
            layout: "NCHW" or "NHWC".
            transform: Instead of x / 255, mean and std.
            mean: One number or one per channel, or None.
            std: Likewise.
            device: Where batches come.
            dtype: The module's precision; None of one that has no floating numbers, which is given float32, or what
                its transform makes as it is.
        """
        self._torch = torch
        self._is_first = layout == "NCHW"
        self._transform = transform
        self._precision = dtype
        self._dtype = dtype or torch.float32
        # Along the channels, and on the device once and for all: each copy there would be waited for.
        self._statistics = [
            torch.tensor(given, dtype=torch.float32, device=device).reshape((-1, 1, 1) if self._is_first else (-1,))
            for given in (mean, std)
            if given is not None
        ]
        self.told = None if transform is None else _told(transform)

    def __call__(self, batch: Any) -> Any:
        """Return the input that a batch makes: of uint8 (n, H, W, C), or of anything else in the module's precision."""
        torch = self._torch
        if batch.dtype != torch.uint8:
            return batch.to(self._dtype)
        if self._is_first:
            batch = batch.permute(0, 3, 1, 2)
        if self._transform is not None:
            made = self._transform(batch.contiguous())
            is_cast = self._precision is not None and isinstance(made, torch.Tensor) and made.is_floating_point()
            return made.to(self._precision) if is_cast else made
        values = batch.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        if self._statistics:
            mean, std = self._statistics
            values = values.sub_(mean).div_(std)
        return values.to(self._dtype)


def _told(transform: Transform) -> str:
    kind: Any = type(transform)
    shows = not hasattr(transform, "__qualname__") and kind.__repr__ is not object.__repr__
    return text_of(transform) if shows else name_of(transform)
