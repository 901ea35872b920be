"""Models on servers of the Open Inference Protocol as oracles: Triton, KServe, MLServer, OpenVINO Model Server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Unpack

import numpy as np

from dfa.checks import require_flag
from dfa.errors import DriftError, InvalidInputError, OracleError
from dfa.oracle.adapters.scaling import scaling_of
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    Preprocess,
    ScoreKind,
    checked_tolerance,
    declare_shown,
    name_of,
)
from dfa.oracle.services.names import ClassTable
from dfa.oracle.services.oip_answers import answer_of, check_version, scores_of
from dfa.oracle.services.oip_binding import BoundModel, Wishes, bind
from dfa.oracle.services.oip_models import Described, path_of, read_model
from dfa.oracle.services.oip_tensors import Outputs, outputs_of, request_of
from dfa.oracle.services.service import Requests, ServiceOracle
from dfa.oracle.services.transport import Reply
from dfa.types import Images


class OipOracle(ServiceOracle):
    """A model on a server that speaks the Open Inference Protocol, version 2, over HTTP.

    The server tells the input's name and type, where its channels are (1 or 3 of them), how many rows it takes at once
    if that is fixed, and the output; it is asked so once, before the first query, and that is no query. A model that
    takes rows of numbers is given images as such, as scikit-learn has them: (H, W, C) read line by line. What the
    server does not describe is given in its place as the protocol would: `input={"name": "x", "datatype": "FP32",
    "shape": [-1, 64]}`. What numbers a model of floats was trained on it does not tell, so that is asked for, as by
    `OnnxOracle`: `value_range=`, or `mean=` and `std=`, or `preprocess=`. A model of integers gets the grey levels.

    Tensors go as bytes behind the JSON where the server says that it reads them (its binary tensor extension), or else
    as JSON, which is about three times as long and takes some forty times as long to write and to read.

    Each request is filled up to one number of rows, `images_per_request` or what the model fixes, so that an image's
    answer is the same to the bit whatever else is asked with it, so far as the server treats rows alike; rows that only
    fill a request count as no images.

    Attributes:
        kind: "oip".
        name: The model's, unless another is given.

    Example:
        >>> oracle = OipOracle("http://localhost:8000", "resnet50", value_range=(0, 1))  # doctest: +SKIP
        >>> dfa.run(oracle, images, epsilon=4)  # doctest: +SKIP
    """

    kind = "oip"

    def __init__(
        self,
        url: str,
        model: str,
        *,
        version: str | int | None = None,
        input: Described | None = None,
        output: Described | None = None,
        binary: bool | None = None,
        returns: ScoreKind | str = ScoreKind.PROBABILITIES,
        num_classes: int | None = None,
        k: int | None = None,
        classes: Sequence[str] | None = None,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        value_range: Sequence[float] | None = None,
        layout: str | None = None,
        preprocess: Preprocess | None = None,
        static_batch: bool = True,
        tolerance: float = DEFAULT_TOLERANCE,
        images_per_request: int = 16,
        name: str | None = None,
        **requests: Unpack[Requests],
    ) -> None:
        """Say what to ask; the server is asked nothing yet.

        Args:
            url: The server's address: what stands before /v2.
            model: The model's name there.
            version: Of the model; None: whatever the server has chosen. An answer of another version than the one
                before is then a drift.
            input: The input's name where there are several, or all of it where the server does not describe it: a dict
                of name, datatype and shape.
            output: Of the answers, likewise; its name will do where the server describes no outputs.
            binary: Whether tensors go as bytes; None: where the server says that it can.
            returns: What the output holds: "probabilities" or "logits", one score per class; "label", integers, or
                strings, which `classes` and the order in which they come make numbers of. Or "top_k" or "top_1": the
                likeliest classes and their probabilities, from the server's classification extension.
            num_classes: K; needed with "top_k", "top_1" and "label".
            k: How many classes an answer of "top_k" shows.
            classes: The names of all classes, in the order of their numbers, where the answers are names.
            mean: Subtracted from x / 255: one number, or one per channel.
            std: Divides what is left then; likewise. Both or neither are given.
            value_range: What the grey levels 0 and 255 become, instead of mean and std.
            layout: What the model takes, "NCHW" or "NHWC"; None: as the server tells.
            preprocess: Instead of all these: from float32 images (n, H, W, C), 0..255, to exactly what the model takes.
            static_batch: Whether every request has the same number of rows (see above).
            tolerance: How far the probabilities of one image may sum from 1.
            images_per_request: The most images of one request.
            name: What records call the oracle.
            **requests: How the server is asked: see `dfa.oracle.services.service.Requests`.

        Raises:
            InvalidInputError: An argument is not as described.
        """
        super().__init__(
            url.rstrip("/").removesuffix("/v2") if isinstance(url, str) else url,
            images_per_request=images_per_request,
            **requests,
        )
        if not isinstance(model, str) or not model:
            raise InvalidInputError(f"model must be the name of a model on the server, got {model!r}")
        self._model = model
        self._version = None if version is None else str(version)
        self.name = model if name is None else name
        self.returns = ScoreKind.of(returns)
        self.tolerance = checked_tolerance(tolerance)
        if classes is not None and self.returns is not ScoreKind.LABEL:
            raise InvalidInputError("classes are the names that answers of returns='label' may hold; leave them out")
        self._names = ClassTable(classes, num_classes)
        self.num_classes, self.num_shown = declare_shown(self.returns, self._names.num_classes, k)
        self._wishes = Wishes(input, output, binary, layout, scaling_of(mean, std, value_range), preprocess)
        self._numbers = {"mean": mean, "std": std, "value_range": value_range}
        self._static_batch = require_flag("static_batch", static_batch)
        self._bound: BoundModel | None = None
        self._answered_as: dict[str, str] = {}

    @property
    def rows_per_batch(self) -> int | None:
        """Rows of every request, once the server was asked; None: as many as are asked."""
        if self._bound is None or not (self._bound.rows or self._static_batch):
            return None
        return self._bound.rows or self.rows_per_call

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Ask the server what the model is, once, and check that it takes such images.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: It does not, or it is not said what numbers it takes, or there is no such model.
            OracleError: The server does not answer, or its model is not ready.
        """
        self._transport.check()
        bound = self._bind()
        if self.takes is np.uint8:
            bound.images.check(shape)

    def scores(self, images: Images) -> Any:
        """Return what the model answers; more images than a request holds go out in several, some at a time.

        Args:
            images: uint8, (n, H, W, C), 0..255.

        Raises:
            OracleError: The server does not answer, or not as it should.
            PartialAnswer: Some of several requests failed.
        """
        bound = self._bind()
        if not len(images):
            return _joined([])
        return self._side_by_side(images, lambda part: self._asked(bound, part), _joined)

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types; the server is asked where it was not.

        Raises:
            InvalidInputError: The server has no such model.
            OracleError: The server does not answer.
        """
        numbers = {name: None if given is None else np.asarray(given).tolist() for name, given in self._numbers.items()}
        return super().describe() | {
            **numbers,
            "preprocess": None if self._wishes.preprocess is None else name_of(self._wishes.preprocess),
            "static_batch": self._static_batch,
            "model": self._model,
            "version": self._version,
            **self._bind().describe(),
        }

    def _bind(self) -> BoundModel:
        """Return how the model is asked, the server's word on it included."""
        if self._bound is None:
            served = read_model(self._transport, self._model, self._version)
            bound = bind(self._model, served, self._wishes)
            if self.returns in (ScoreKind.PROBABILITIES, ScoreKind.LOGITS):
                self.num_classes = bound.num_classes_beside(self.num_classes)
            if bound.rows is not None:
                self.rows_per_call = min(bound.rows, self.rows_per_call or bound.rows)
            self._bound = bound
        return self._bound

    def _asked(self, bound: BoundModel, images: Images) -> Any:
        """Return the answer to one request."""
        rows = max(len(images), self.rows_per_batch or 0)
        filled = np.zeros((rows, *images.shape[1:]), dtype=images.dtype)
        filled[: len(images)] = images
        body = request_of(
            bound.images.taken,
            bound.images.made(filled, self.takes),
            bound.wanted,
            is_binary=bound.is_binary,
            num_classes=self.num_shown,
        )
        outputs = self._transport.post(
            body.content,
            body.content_type,
            len(images),
            path=f"{path_of(self._model, self._version)}/infer",
            headers=body.headers,
            read=self._read,
        )
        try:
            if self.on_drift == "stop":
                check_version(outputs, self._answered_as)
            answer = answer_of(outputs, bound.wanted, rows)
            return scores_of(answer, len(images), self.returns, self.num_shown, self._names.id_of)
        except OracleError as error:
            self._refuse(error)

    def _read(self, reply: Reply) -> Outputs:
        try:
            return outputs_of(reply)
        except OracleError as error:
            self._refuse(error)

    def _refuse(self, what: OracleError) -> NoReturn:
        kind = DriftError if isinstance(what, DriftError) else OracleError
        raise kind(self._transport.masked(f"the oracle {self.name!r}, {self._transport.address.shown}: {what}"))


def _joined(answers: list[Any]) -> Any:
    """Return the answers to several requests as one."""
    if len(answers) == 1:
        return answers[0]
    if answers and isinstance(answers[0], tuple):
        return tuple(np.concatenate(parts) for parts in zip(*answers, strict=True))
    return np.concatenate(answers) if answers else np.zeros((0, 2))
