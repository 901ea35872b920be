"""Any service that takes images over HTTP and answers with what it sees in them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from dfa.errors import InvalidInputError, OracleError, PartialAnswer, told_with_place
from dfa.oracle.base import DEFAULT_TOLERANCE, ScoreKind, checked_tolerance, declare_shown, name_of
from dfa.oracle.services.credentials import FromEnvironment
from dfa.oracle.services.encoding import check_encode, encoded
from dfa.oracle.services.names import ClassTable, shortened
from dfa.oracle.services.png import CHANNELS
from dfa.oracle.services.rows import Rows
from dfa.oracle.services.service import WATCH_EVERY, ServiceOracle
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
        concurrency: int = 8,
        rate: str | Sequence[str] | None = None,
        rate_file: str | Path | None = None,
        price: float | str | None = None,
        max_cost: float | str | None = None,
        currency: str = "",
        retries: int = 8,
        timeout: float = 30.0,
        headers: Mapping[str, str | FromEnvironment] | None = None,
        token_env: str | None = None,
        ca_file: str | Path | None = None,
        watch_every: int | None = WATCH_EVERY,
        on_drift: str = "stop",
        name: str | None = None,
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
            concurrency: The most requests at a time.
            rate: What the service allows, such as "20/s", "100/min", "5000/day", or several of these; it is not
                passed.
            rate_file: A file that processes share, so that they keep the rate together.
            price: Of a request.
            max_cost: What all requests together may cost at most; none is sent that might pass it.
            currency: Of the price, for records.
            retries: How often a request is sent again that is not answered, later and later; a service that says when
                (Retry-After) is believed.
            timeout: Seconds that the service may be silent before a request counts as lost.
            headers: What requests say besides, by name; `dfa.FromEnvironment("NAME")` reads a value where it is sent.
                Values are shown and recorded nowhere.
            token_env: The environment variable of a token, sent as `Authorization: Bearer ...`.
            ca_file: Certificates to trust, in PEM form, in place of the system's.
            watch_every: Attack queries after which a run asks about an unchanged image again, to see that the service
                still answers as it did; None: never.
            on_drift: What a run does where it does not: "stop", or "mark" what comes after.
            name: What records and messages call the oracle; the address without its secrets by default.

        Raises:
            InvalidInputError: An argument is not what it should be.
        """
        super().__init__(
            url,
            images_per_request=images_per_request,
            concurrency=concurrency,
            rate=rate,
            rate_file=rate_file,
            price=price,
            max_cost=max_cost,
            currency=currency,
            retries=retries,
            timeout=timeout,
            headers=headers,
            token_env=token_env,
            ca_file=ca_file,
            watch_every=watch_every,
            on_drift=on_drift,
        )
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
        assert self.rows_per_call is not None
        if len(images) <= self.rows_per_call:
            return self._rows.of_all(self._asked(images))
        begins = range(0, len(images), self.rows_per_call)
        threads = ThreadPoolExecutor(min(len(begins), self.calls_at_once))
        try:
            asked = [threads.submit(self._asked, images[begin : begin + self.rows_per_call]) for begin in begins]
            wait(asked)
        finally:
            threads.shutdown(cancel_futures=True)
        failures = [error for error in (each.exception() for each in asked) if error is not None]
        if not failures:
            return self._rows.of_all([row for each in asked for row in each.result()])
        known = {begin: each.result() for begin, each in zip(begins, asked, strict=True) if each.exception() is None}
        if not known or not isinstance(failures[0], OracleError):
            raise failures[0]
        rows = [begin + row for begin, answers in known.items() for row in range(len(answers))]
        answers = [row for answers in known.values() for row in answers]
        raise PartialAnswer(rows, self._rows.of_all(answers), failures[0]) from failures[0]

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
            raise self._unread(f"parse failed on it: {told_with_place(error)}", answer, error) from (
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

    def _unread(self, why: str, answer: _Answer, error: BaseException | None = None) -> OracleError:
        """Return the error of a reply that cannot be used."""
        return OracleError(
            f"the reply of {self._transport.address.shown} cannot be used, {self._transport.masked(why)}; it begins "
            f"{self._transport.shown(answer.body)!r}"
        )
