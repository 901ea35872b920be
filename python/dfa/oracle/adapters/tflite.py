"""TensorFlow Lite models as oracles, 8-bit ones above all: their own quantised weights, not differentiable at all."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted, is_integer
from dfa.cores import usable_cores
from dfa.errors import InvalidInputError, MissingDependencyError
from dfa.extras import how_to_install
from dfa.files import opened
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    Oracle,
    Preprocess,
    ScoreKind,
    checked_preprocess,
    checked_tolerance,
    declare_all,
    name_of,
)
from dfa.types import Image, Images, Scores

_SHIFT: Final = {np.dtype(np.uint8): 0, np.dtype(np.int8): 128}
"""What is taken from a grey level to give a model's 8-bit input."""


@dataclass(frozen=True)
class _Tensor:
    """An input or output of a model.

    Attributes:
        index: What the interpreter calls it.
        shape: Its shape, the batch of one included.
        dtype: Its type.
        scale: What one step stands for; 0 where it is not quantised.
        zero: The step that stands for 0.
    """

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero: int

    @classmethod
    def of(cls, details: dict[str, Any], name: str) -> _Tensor:
        scales, zeros = details["quantization_parameters"]["scales"], details["quantization_parameters"]["zero_points"]
        if len(scales) > 1:
            raise InvalidInputError(
                f"a TFLite oracle needs an input and an output with one scale each, and the model {name!r} has "
                f"{len(scales)} for {details['name']!r}"
            )
        return cls(
            index=int(details["index"]),
            shape=tuple(int(side) for side in details["shape"]),
            dtype=np.dtype(details["dtype"]),
            scale=float(scales[0]) if len(scales) else 0.0,
            zero=int(zeros[0]) if len(zeros) else 0,
        )

    def describe(self) -> dict[str, Any]:
        return {"dtype": str(self.dtype), "scale": self.scale, "zero_point": self.zero}


class TfliteOracle(Oracle):
    """A TensorFlow Lite model with one image as input and one row of scores as output.

    8-bit inputs are handed over as they are: a uint8 model is given the image itself, an int8 model the image less
    128, which is what every quantiser makes of it. Float models are given preprocess(float32 batch, 0..255).

    8-bit outputs become real numbers by the model's own scale, and nothing is mended. So probabilities are whole
    steps (of 1/256, as a rule): those below half a step read 0, two classes may tie at the top (the smaller id counts,
    as in `numpy.argmax`), and a row need not sum to 1, which is why the tolerance is wide: half a step for each of the
    K classes. The default objective, the log degree, ranks any class that shows above one that reads 0; between images
    in which no second class shows it still sees the top one fall; and of images that tie, `Racos.ties="newer"`, the
    default, keeps the newer, so a search wanders over plateaus.

    Models of batch 1 are asked image by image, in `threads` interpreters side by side. Each uses one thread, so an
    image's answer depends on that image alone, and results on neither `threads` nor the batch size.

    Attributes:
        kind: "tflite".
        name: The file's name.

    Example:
        >>> oracle = TfliteOracle("mobilenet_v2.tflite", class_offset=1)  # doctest: +SKIP
        >>> dfa.run(oracle, images, epsilon=10)  # doctest: +SKIP
    """

    kind = "tflite"

    def __init__(
        self,
        model: str | Path,
        *,
        returns: ScoreKind | str = ScoreKind.PROBABILITIES,
        preprocess: Preprocess | None = None,
        tolerance: float | None = None,
        class_offset: int = 0,
        threads: int | None = None,
        name: str | None = None,
    ) -> None:
        """Read a model.

        Args:
            model: The .tflite file.
            returns: Whether its output is "probabilities" or "logits".
            preprocess: Of a model with float32 input, which needs one: from float32 (n, H, W, C), 0..255, to what it
                takes; `lambda images: images` where its normalizer is inside.
            tolerance: How far the probabilities of one image may sum from 1. None: 1e-3 for a float output, and for an
                8-bit one half a step for each class.
            class_offset: The class of output i is i - class_offset, and the outputs before that come last. Models with
                1001 outputs, whose first means "background", need 1 for classes 0..999 in the usual order; background
                is then class 1000.
            threads: Images that are asked side by side. None: as many as this process may use cores.
            name: What records call the oracle; the file's name by default.

        Raises:
            InvalidInputError: The file is no such model, or an argument is not what it should be.
            MissingDependencyError: There is no interpreter of TFLite models.
        """
        self._make, self._version = _import_interpreter()
        path = Path(model)
        with opened(path) as file:
            self._content = file.read()
        self.name = path.name if name is None else name
        if threads is not None and (not is_integer(threads) or threads < 1):
            raise InvalidInputError(f"threads must be None or an integer of at least 1, got {threads!r}")
        first = self._interpreter()
        self._input = _Tensor.of(_only(first.get_input_details(), "input", self.name), self.name)
        self._output = _Tensor.of(_only(first.get_output_details(), "output", self.name), self.name)
        self.returns = declare_all(returns, "a .tflite model")
        self._preprocess = checked_preprocess(preprocess)
        self._check_form()
        self.num_classes: int = self._output.shape[1]
        steps = self._output.scale * self.num_classes / 2 if self._output.dtype.kind in "iu" else 0.0
        self.tolerance = checked_tolerance(max(DEFAULT_TOLERANCE, steps) if tolerance is None else tolerance)
        if not is_integer(class_offset) or not 0 <= class_offset < self.num_classes:
            raise InvalidInputError(
                f"class_offset must be an integer in 0..{self.num_classes - 1}, since the model {self.name!r} has "
                f"{counted(self.num_classes, 'output')}, got {class_offset!r}"
            )
        self._class_offset = class_offset
        self._interpreters = [first]
        self._threads = usable_cores() if threads is None else threads
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="dfa-tflite")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, H, W, C) of what the model takes."""
        return self._input.shape

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Check that the model takes such images.

        Raises:
            InvalidInputError: It does not.
        """
        if self._preprocess is None and shape != self._input.shape[1:]:
            raise InvalidInputError(
                f"the model {self.name!r} takes images of shape {self._input.shape[1:]}, and these have {shape}; "
                "resize them first, or in front of the model by a dfa.Pipeline"
            )

    def scores(self, images: Images) -> Scores:
        """Return what the model answers: float64, (n, K).

        Args:
            images: uint8, (n, H, W, C), 0..255.
        """
        if self._preprocess is not None:
            batch: NDArray[Any] = np.asarray(self._preprocess(images.astype(np.float32, order="C")), dtype=np.float32)
        elif shift := _SHIFT[self._input.dtype]:
            batch = (images.astype(np.int16) - shift).astype(np.int8)
        else:
            batch = images
        while len(self._interpreters) < min(self._threads, len(batch)):
            self._interpreters.append(self._interpreter())
        parts = np.array_split(batch, min(self._threads, len(batch)))
        if len(parts) == 1:
            answers = [self._ask(self._interpreters[0], batch)]
        else:
            answers = list(self._executor.map(self._ask, self._interpreters, parts))
        raw = np.concatenate(answers)
        real = raw.astype(np.float64)
        if self._output.dtype.kind in "iu":
            real = (real - self._output.zero) * self._output.scale
        return np.roll(real, -self._class_offset, axis=1)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file."""
        return hashlib.sha256(self._content).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        return super().describe() | {
            "preprocess": None if self._preprocess is None else name_of(self._preprocess),
            "class_offset": self._class_offset,
            "input": self._input.describe(),
            "output": self._output.describe(),
            "framework": self._version[0],
            "framework_version": self._version[1],
        }

    def _interpreter(self) -> Any:
        """Return an interpreter of the model, which one thread at a time may use."""
        try:
            interpreter = self._make(model_content=self._content, num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InvalidInputError(
                f"{self.name!r} must be a TFLite model, and cannot be read as one: {error}"
            ) from error
        return interpreter

    def _ask(self, interpreter: Any, images: NDArray[Any]) -> NDArray[Any]:
        """Return the raw outputs of images, one after another."""
        answers = np.empty((len(images), self.num_classes), dtype=self._output.dtype)
        for row, image in enumerate(images):
            interpreter.set_tensor(self._input.index, self._as_input(image))
            interpreter.invoke()
            answers[row] = interpreter.get_tensor(self._output.index)[0]
        return answers

    def _as_input(self, image: Image) -> NDArray[Any]:
        if image.shape != self._input.shape[1:]:
            raise InvalidInputError(
                f"the model {self.name!r} takes inputs of shape {self._input.shape[1:]}, and was given {image.shape}"
            )
        return np.ascontiguousarray(image)[np.newaxis]

    def _check_form(self) -> None:
        """Refuse what is no classifier of images."""
        shape, dtype = self._input.shape, self._input.dtype
        if len(shape) != 4 or shape[0] != 1:
            raise InvalidInputError(
                f"a TFLite oracle needs a model of one image at a time, input (1, H, W, C), and {self.name!r} takes "
                f"{shape}"
            )
        if dtype not in _SHIFT and dtype != np.float32:
            raise InvalidInputError(
                f"a TFLite oracle needs a uint8, int8 or float32 input, and that of {self.name!r} is {dtype}"
            )
        if dtype == np.float32 and self._preprocess is None:
            raise InvalidInputError(
                f"the model {self.name!r} takes float32, so it needs preprocess=, a function from float32 images, "
                "0..255, to what it takes: lambda images: images / 127.5 - 1, or lambda images: images where its "
                "normalizer is inside"
            )
        if dtype != np.float32 and self._preprocess is not None:
            raise InvalidInputError(
                f"the model {self.name!r} takes {dtype}, the images' own grey levels, so there is nothing to preprocess"
            )
        output = self._output
        if len(output.shape) != 2 or output.shape[0] != 1:
            raise InvalidInputError(
                f"a TFLite oracle needs one row of scores per image, output (1, K), and {self.name!r} gives "
                f"{output.shape}"
            )
        if output.dtype.kind not in "iuf" or (output.dtype.kind in "iu" and not output.scale > 0):
            raise InvalidInputError(
                f"a TFLite oracle needs an output of real numbers, quantised or not, and that of {self.name!r} is "
                f"{output.dtype}{'' if output.dtype.kind not in 'iu' else ' without a scale'}"
            )


def _import_interpreter() -> tuple[Callable[..., Any], tuple[str, str]]:
    """Return what makes an interpreter, and the name and version of what it is from."""
    try:
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter
        return interpreter, ("litert", importlib.metadata.version("ai-edge-litert"))
    except ImportError:
        pass
    try:
        tensorflow: Any = importlib.import_module("tensorflow")
        return tensorflow.lite.Interpreter, ("tensorflow", str(tensorflow.__version__))
    except (ImportError, AttributeError) as error:
        raise MissingDependencyError(
            f"a TFLite oracle needs LiteRT's interpreter: {how_to_install('tflite')}"
        ) from error


def _only(details: list[dict[str, Any]], what: str, name: str) -> dict[str, Any]:
    if len(details) != 1:
        raise InvalidInputError(f"a TFLite oracle needs a model with one {what}, and {name!r} has {len(details)}")
    return details[0]
