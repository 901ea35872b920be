"""Any Python callable as an oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dfa.errors import InvalidInputError
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    Oracle,
    Preprocess,
    ScoreKind,
    checked_preprocess,
    checked_tolerance,
    declare_shown,
    name_of,
)
from dfa.oracle.raw import on_host
from dfa.types import Images


class CallableOracle(Oracle):
    """A function from a uint8 batch to what it shows: any framework, a remote service, a formula.

    The function gets exactly the rows that are asked, never padding, as a C-contiguous array that it may read but not
    write: uint8, (n, H, W, C). (`torch.from_numpy` warns of such an array; `torch.tensor` copies it and does not.)
    With `preprocess` it gets preprocess(float32 copy of the batch) instead. It may return whatever
    `numpy.asarray` takes, torch tensors wherever they live, and what else `dfa.oracle.raw` reads.

    Example:
        >>> import numpy as np
        >>> def brightness(images):
        ...     bright = images.mean(axis=(1, 2, 3)) / 255
        ...     return np.stack([1 - bright, bright], axis=1)
        >>> CallableOracle(brightness).scores(np.full((1, 2, 2, 1), 255, dtype=np.uint8))
        array([[0., 1.]])
    """

    kind = "callable"

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        returns: ScoreKind | str = ScoreKind.PROBABILITIES,
        preprocess: Preprocess | None = None,
        tolerance: float = DEFAULT_TOLERANCE,
        num_classes: int | None = None,
        k: int | None = None,
        name: str | None = None,
    ) -> None:
        """Wrap a function.

        Args:
            function: Takes the batch, returns what `returns` says.
            returns: "probabilities" or "logits": (n, K) scores. "top_k": a pair of class ids (n, k), the likeliest
                first, and their probabilities (n, k). "top_1": a pair of the class (n,) and its probability (n,).
                "label": the class (n,).
            preprocess: Applied to a float32 copy of the batch, 0..255, before the function gets it.
            tolerance: How far the probabilities of one image may sum from 1 (what is shown of them: above 1).
            num_classes: K; needed with "top_k", "top_1" and "label".
            k: How many classes an answer shows; needed with "top_k".
            name: What records call the oracle; the function's own name by default.

        Raises:
            InvalidInputError: If an argument is not what it should be.
        """
        if not callable(function):
            raise InvalidInputError(f"a callable oracle needs a function of a batch, got {type(function).__name__}")
        self.returns = ScoreKind.of(returns)
        self.tolerance = checked_tolerance(tolerance)
        self.num_classes, self.num_shown = declare_shown(self.returns, num_classes, k)
        self.name = name_of(function) if name is None else name
        self._function = function
        self._preprocess = checked_preprocess(preprocess)

    def scores(self, images: Images) -> Any:
        """Return what the function answers, torch tensors brought to the host.

        Args:
            images: uint8, (n, H, W, C), 0..255.
        """
        if self._preprocess is None:
            batch = np.ascontiguousarray(images).view()
            # The batch is the engine's memory; a function that normalizes in place would change the
            # candidates.
            batch.flags.writeable = False
        else:
            batch = self._preprocess(images.astype(np.float32, order="C"))
        return self._ask(batch)

    def _ask(self, batch: Any) -> Any:
        return on_host(self._function(batch))

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        preprocess = None if self._preprocess is None else name_of(self._preprocess)
        return super().describe() | {"preprocess": preprocess}
