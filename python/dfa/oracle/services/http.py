"""Any service that takes images over HTTP and answers with what it sees in them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple, Unpack

from dfa.errors import InvalidInputError, OracleError, told_with_place
from dfa.oracle.base import DEFAULT_TOLERANCE, ScoreKind, checked_tolerance, declare_shown, name_of
from dfa.oracle.png import CHANNELS
from dfa.oracle.services.encoding import check_encode, encoded
from dfa.oracle.services.names import ClassTable, shortened
from dfa.oracle.services.rows import Rows
from dfa.oracle.services.service import Requests, ServiceOracle
from dfa.oracle.services.transport import Reply, content_of
from dfa.types import Images


class _Answer(NamedTuple):
    content: Any
    body: bytes


def _answer(reply: Reply) -> _Answer:
    return _Answer(content_of(reply), reply.body)


class HttpOracle(ServiceOracle):
    """A service that is sent images over HTTP: two functions say how they are written and how its replies are read.

    One call of `scores` is one request, with as many attempts as it needs. A run makes `concurrency` of them at a time.

    Example:
        >>> oracle = HttpOracle(
        ...     "https://vision.example/v1/classify",
        ...     parse=lambda reply: {each["name"]: each["confidence"] for each in reply["labels"]},
        ...     num_classes=1000,
        ...     k=5,
        ...     token_env="VISION_TOKEN",
        ...     rate="20/s",
        ... )
        >>> oracle.name
        'vision.example/v1/classify'
    """

    kind = "http"

    def __init__(
        self,
        url: str,
        *,
        parse: Callable[[Any], Any],
        encode: str | Callable[[Any], Any] = "png-base64",
        returns: ScoreKind | str = ScoreKind.TOP_K,
        classes: Sequence[str] | None = None,
        num_classes: int | None = None,
        k: int | None = None,
        tolerance: float = DEFAULT_TOLERANCE,
        images_per_request: int = 1,
        name: str | None = None,
        **requests: Unpack[Requests],
    ) -> None:
        """Get ready to ask a service; nothing is sent yet.

        Args:
            url: Where images are posted to, http://... or https://...; a name, a password or a key in it is shown and
                recorded nowhere.
            parse: Takes a reply, which is what its JSON says, or bytes where it does not call itself JSON. Returns what
                it says of the one image: K scores; of "top_k" a dict of scores by label, or a list of pairs (label,
                score), k at most and in any order; of "top_1" one such pair; of "label" one label. A label is the
                name of a class, or its id. With `images_per_request` above 1: a list of these, one per image.
            encode: What is posted. "png": a PNG. "png-base64": JSON, {"image": "iVBOR..."}, of several images
                {"images": [...]}. Or a function of an image, uint8 (H, W, C), read-only, and of a list of images with
                `images_per_request` above 1, that returns bytes, or a pair of bytes and their content type, or what
                JSON can hold.
            returns: What a reply tells: "top_k", "probabilities", "logits", "top_1" or "label".
            classes: The names of all classes, in the order of their ids. Without them, names get ids as they come,
                which may be others in another run.
            num_classes: K; needed with "top_k", "top_1" and "label" where there are no `classes`.
            k: The most labels of one reply; needed with "top_k". A reply may have fewer.
            tolerance: How far the probabilities of one image may sum from 1 (what is shown of them: above 1).
            images_per_request: The most images of one request.
            name: What records and messages call the oracle; the address without its secrets by default.
            **requests: How the service is asked: see `dfa.oracle.services.service.Requests`.

        Raises:
            InvalidInputError: An argument is not what it should be.
        """
        super().__init__(url, images_per_request=images_per_request, **requests)
        self.returns = ScoreKind.of(returns)
        self.tolerance = checked_tolerance(tolerance)
        self._names = ClassTable(classes, num_classes)
        self.num_classes, self.num_shown = declare_shown(self.returns, self._names.num_classes, k)
        if not callable(parse):
            raise InvalidInputError(f"parse must be a function of a reply, got {type(parse).__name__}")
        check_encode(encode, images_per_request)
        self._parse = parse
        self._encode = encode
        self._rows = Rows(self.returns, self._names, self.num_shown)
        address = self._transport.address
        self.name = address.host + address.path if name is None else name

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """See that images can be encoded, and that all is there that a request needs.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: Not looked at; a call of more images than a request holds makes several requests.

        Raises:
            InvalidInputError: A PNG cannot hold such images; or a secret is not in the environment; or the certificates
                cannot be read.
        """
        if isinstance(self._encode, str) and shape[2] not in CHANNELS:
            raise InvalidInputError(
                f"a PNG holds images of 1, 3 or 4 channels, got images of shape {shape}; pass a function as encode"
            )
        self._transport.check()

    def scores(self, images: Images) -> Any:
        """Return what the service says of a batch.

        Args:
            images: uint8, (n, H, W, C), 0..255; more than a request holds go out in several, `concurrency` at a time.

        Returns:
            What `returns` names. Of "top_k", places of classes that a reply left out hold the class -1 and the
            probability 0.

        Raises:
            OracleError: The service cannot be asked, or says what cannot be read.
            PartialAnswer: One of several requests failed; it holds the answers to the others.
        """
        return self._side_by_side(images, self._asked, lambda answers: self._rows.of_all([*chain(*answers)]))

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types, without secrets."""
        encode = self._encode if isinstance(self._encode, str) else name_of(self._encode)
        return super().describe() | {"encode": encode, "parse": name_of(self._parse)}

    def _asked(self, images: Images) -> list[Any]:
        """Return what one request's reply says of each of its images."""
        body, content_type = encoded(images, self._encode, is_one=self.rows_per_call == 1)
        answer = self._transport.post(body, content_type, len(images), read=_answer)
        try:
            parsed = self._parse(answer.content)
        except Exception as error:  # a user's function may raise anything
            # Its words, and those of what led to it, may show what they were given.
            shown = "".join(traceback.format_exception(error))
            is_json = not isinstance(answer.content, bytes)
            what = "parse" if is_json else "it does not call itself JSON, so parse was given bytes, and"
            raise self._unread(f"{what} failed on it: {told_with_place(error)}", answer) from (
                error if self._transport.masked(shown) == shown else None
            )
        if self.rows_per_call == 1:
            parsed = [parsed]
        elif not isinstance(parsed, list | tuple) or len(parsed) != len(images):
            raise self._unread(
                f"parse must return a list of {len(images)}, one per image of the request, and gave "
                f"{shortened(parsed)}",
                answer,
            )
        try:
            return [self._rows.of_one(each) for each in parsed]
        except OracleError as error:
            raise self._unread(str(error), answer) from None

    def _unread(self, why: str, answer: _Answer) -> OracleError:
        """Return the error of a reply that cannot be used."""
        return OracleError(
            f"the reply of {self._transport.address.shown} cannot be used, {self._transport.masked(why)}; it begins "
            f"{self._transport.shown(answer.body)!r}"
        )
