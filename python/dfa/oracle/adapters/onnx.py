"""ONNX models as oracles, asked through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted
from dfa.errors import InvalidInputError
from dfa.oracle.adapters.batches import BatchedOracle, Batches
from dfa.oracle.adapters.image_inputs import ImageInput, as_rows, both_classes
from dfa.oracle.adapters.onnx_forms import input_of, layout_of, num_outputs_of, output_of
from dfa.oracle.adapters.onnx_sessions import (
    Provider,
    answer_of,
    digest_of,
    import_onnxruntime,
    open_session,
    runs_on_cpu,
    source_of,
)
from dfa.oracle.adapters.scaling import scaling_of
from dfa.oracle.adapters.static_batch import StaticBatch, checked_static_batch
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    Preprocess,
    ScoreKind,
    checked_preprocess,
    checked_tolerance,
    declare_all,
    descends_from,
    name_of,
)
from dfa.types import Images


class OnnxOracle(BatchedOracle):
    """An ONNX model with one input, asked through ONNX Runtime.

    The file tells the input's name and type, where its channels are (1 or 3 of them), and how many rows it takes at
    once if that is fixed. It does not tell what numbers a model of floats was trained on, so that is asked for:
    `value_range=(0, 255)` where its normalizer is inside, `value_range=(0, 1)` or `(-1, 1)`, or `mean=` and `std=`, or
    `preprocess=`. A model of uint8 gets the image itself.

    Every batch is filled up to one size, as `TorchOracle` says; on a CPU that makes 4 to 64 rows. An image's answer is
    then the same to the bit whatever else is asked with it, so far as the model treats rows alike. Threads are ONNX
    Runtime's own choice, or that of `session_options`.

    One output per image becomes two columns: of a probability p, 1 - p and p; of a logit z, 0 and z.

    Attributes:
        kind: "onnx".
        name: The file's name, unless another is given.

    Example:
        >>> oracle = OnnxOracle("squeezenet.onnx", value_range=(0, 255))  # doctest: +SKIP
        >>> dfa.run(oracle, images, epsilon=4)  # doctest: +SKIP
    """

    kind = "onnx"

    def __init__(
        self,
        model: Any,
        *,
        returns: ScoreKind | str = ScoreKind.PROBABILITIES,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        value_range: Sequence[float] | None = None,
        layout: str | None = None,
        preprocess: Preprocess | None = None,
        output: str | int | None = None,
        providers: Sequence[Provider] | None = None,
        session_options: Any = None,
        static_batch: StaticBatch = True,
        tolerance: float = DEFAULT_TOLERANCE,
        name: str | None = None,
    ) -> None:
        """Open a model.

        Args:
            model: The path of an .onnx file, or an `onnxruntime.InferenceSession`.
            returns: Whether its output is "probabilities" or "logits".
            mean: Subtracted from x / 255: one number, or one per channel. As torch users mean it.
            std: Divides what is left then; likewise. Both or neither are given.
            value_range: What the grey levels 0 and 255 become, instead of mean and std.
            layout: What the model takes, "NCHW" or "NHWC"; None: as the file tells.
            preprocess: Instead of all these: from float32 images (n, H, W, C), 0..255, to exactly what the model takes,
                its layout included.
            output: The name or the place of the output that the scores are in; None: the only one.
            providers: Execution providers, the preferred one first, each a name or a pair of a name and its options.
                None: the CPU. One that is not there is an error.
            session_options: `onnxruntime.SessionOptions`.
            static_batch: Whether every batch has the same number of rows (see above); a number is that number.
            tolerance: How far the probabilities of one image may sum from 1.
            name: What records call the oracle.

        Raises:
            InvalidInputError: The file is no classifier of images, a provider is missing, or an argument is not as
                described.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        is_file = isinstance(model, str | Path)
        if is_file:
            self._session = open_session(Path(model), providers, session_options)
        elif descends_from(model, "onnxruntime", "InferenceSession"):
            if providers is not None or session_options is not None:
                raise InvalidInputError("a session has its providers and options already; pass these with a path only")
            self._session = model
        else:
            raise InvalidInputError(
                f"an ONNX oracle needs the path of an .onnx file or an onnxruntime.InferenceSession, got {model!r:.60}"
            )
        source = Path(model) if is_file else source_of(model)
        self._digest = None if source is None else digest_of(source)
        self.name = (source.name if isinstance(source, Path) else "onnx") if name is None else name
        self.returns = declare_all(returns, "an ONNX model")
        self.tolerance = checked_tolerance(tolerance)
        self._declared = {"mean": mean, "std": std, "value_range": value_range}
        taken = input_of(self._session, self.name)
        self._output = output_of(self._session, output, self.name)
        self._input = ImageInput(
            self.name,
            taken,
            layout_of(taken, layout),
            scaling_of(mean, std, value_range),
            checked_preprocess(preprocess),
        )
        self._input.refuse_what_says_nothing(layout)
        outputs = num_outputs_of(self._output)
        self._is_binary = outputs == 1
        self.num_classes = 2 if self._is_binary else outputs
        self._on_cpu = runs_on_cpu(self._session)
        self._batches = Batches(self._checked_rows(checked_static_batch(static_batch)), on_cpu=self._on_cpu)

    def prepare(self, shape: tuple[int, ...], batch_size: int) -> None:
        """Check that the model takes such images, and choose the size of batches.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: It does not, or it is not said what numbers it takes.
        """
        if self.takes is np.uint8:
            self._input.check(shape)
        if self._batches.begin(shape, batch_size):
            if self.takes is np.uint8:
                self._batches.try_out(self._ask, self.name)
            self._batches.end()

    def scores(self, images: Images) -> NDArray[Any]:
        """Return what the model answers, in its own precision (of one output per image: float64): (n, K).

        Args:
            images: uint8, (n, H, W, C), 0..255. (Where a search space has inputs that are no images, those, as they
                are, or what `preprocess` makes of them.)

        Raises:
            InvalidInputError: What `preprocess` makes does not fit the model.
        """
        answers = super().scores(images)
        return both_classes(answers, self.returns) if self._is_binary and answers.ndim == 2 else answers

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the file and of its external data; None of a session that does not tell its file."""
        return self._digest

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        declared = {
            name: None if given is None else np.asarray(given).tolist() for name, given in self._declared.items()
        }
        return super().describe() | {
            **declared,
            "preprocess": None if self._input.preprocess is None else name_of(self._input.preprocess),
            "layout": self._input.layout,
            "static_batch": self._batches.static_batch,
            "input": self._input.taken.describe(),
            "output": self._output.describe(),
            "providers": list(self._session.get_providers()),
            "framework": "onnxruntime",
            "framework_version": str(import_onnxruntime().__version__),
        }

    def _ask(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the answers to a batch, an array of its own, sides of length 1 left out."""
        made = self._input.made(batch, self.takes)
        answer = answer_of(self._session, self._input.taken.name, made, self._output.name, on_cpu=self._on_cpu)
        return np.asarray(as_rows(answer))

    def _checked_rows(self, static_batch: StaticBatch) -> StaticBatch:
        """Return how many rows every batch has: those that the file fixes, or what is asked for.

        Raises:
            InvalidInputError: They differ.
        """
        fixed = self._input.taken.shape[0] if self._input.taken.shape else None
        if fixed is not None and not isinstance(static_batch, bool) and static_batch != fixed:
            raise InvalidInputError(
                f"the model {self.name!r} takes {counted(fixed, 'row')} at a time, got static_batch={static_batch!r}; "
                "leave it out"
            )
        return static_batch if fixed is None else fixed


def is_onnx(model: Any) -> bool:
    """Tell whether `model` is the path of an .onnx file or a session of ONNX Runtime, without importing that."""
    is_path = isinstance(model, str | Path) and Path(model).suffix.lower() == ".onnx"
    return is_path or descends_from(model, "onnxruntime", "InferenceSession")
