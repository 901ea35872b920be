"""What oracles of services have in common: how they are reached, how fast, for how much, and how they are watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypedDict

from dfa.checks import require_count
from dfa.errors import InvalidInputError, OracleError, PartialAnswer
from dfa.oracle.base import Oracle
from dfa.oracle.services.books import Books, Keeper
from dfa.oracle.services.credentials import FromEnvironment
from dfa.oracle.services.limits import Limits
from dfa.oracle.services.names import ClassTable, NamesKeeper
from dfa.oracle.services.transport import Transport
from dfa.types import Images

WATCH_EVERY: Final = 1000
"""Attack queries from one look at an unchanged image to the next."""

_ON_DRIFT: Final = ("stop", "mark")


class Requests(TypedDict, total=False):
    """How a service is asked: what every oracle of a service takes besides its own arguments.

    Attributes:
        concurrency: The most requests at a time; 8 where nothing is said.
        rate: What the service allows, such as "20/s", "100/min", "5000/day", or several of these; it is not passed.
        rate_file: A file that processes share, so that they keep the rate together.
        price: Of a request, whatever is in it: a number, or its decimal digits.
        max_cost: What all requests together may cost at most; none is sent that might pass it.
        currency: Of the price, for records.
        retries: How often a request is sent again that is not answered, later and later; a service that says when
            (Retry-After) is believed. 8 where nothing is said.
        timeout: Seconds that the service may be silent before a request counts as lost, and a tenth of what a whole
            reply may take; 30 where nothing is said.
        headers: What requests say besides, by name; `dfa.FromEnvironment("NAME")` reads a value where it is sent.
            Values are shown and recorded nowhere.
        token_env: The environment variable of a token, sent as `Authorization: Bearer ...`.
        ca_file: Certificates to trust, in PEM form, in place of the system's.
        watch_every: Attack queries after which a run asks about an unchanged image again, to see that the service still
            answers as it did; None: never. 1,000 where nothing is said.
        on_drift: What a run does where it does not: "stop", or "mark" what comes after. "stop" where nothing is said.
    """

    concurrency: int
    rate: str | Sequence[str] | None
    rate_file: str | Path | None
    price: float | str | None
    max_cost: float | str | None
    currency: str
    retries: int
    timeout: float
    headers: Mapping[str, str | FromEnvironment] | None
    token_env: str | None
    ca_file: str | Path | None
    watch_every: int | None
    on_drift: str


class ServiceOracle(Oracle):
    """An oracle that is asked over a network: one call of `scores` is one request, from as many threads as may ask."""

    keeps_record = True

    def __init__(
        self,
        url: str,
        *,
        images_per_request: int,
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
    ) -> None:
        """Get ready to ask at an address, so many images a request, and otherwise as `Requests` says; nothing is sent.

        Raises:
            InvalidInputError: An argument is not as described.
        """
        self.rows_per_call = require_count("images_per_request", images_per_request, 1)
        self.books = Books(price, max_cost)
        self._names = ClassTable(None, None)
        self._transport = Transport(
            url,
            concurrency=concurrency,
            timeout=timeout,
            retries=retries,
            headers=headers,
            token_env=token_env,
            ca_file=ca_file,
            limits=Limits(rate, rate_file),
            books=self.books,
        )
        self.calls_at_once = int(concurrency)
        self.watch_every = None if watch_every is None else require_count("watch_every", watch_every, 1)
        if on_drift not in _ON_DRIFT:
            raise InvalidInputError(f"on_drift must be 'stop' or 'mark', got {on_drift!r}")
        self.on_drift = on_drift
        if not isinstance(currency, str):
            raise InvalidInputError(f"currency must be a word such as 'EUR', got {currency!r}")
        self.currency = currency
        rates = [rate] if isinstance(rate, str) else list(rate or [])
        self._declared = {
            "images_per_request": self.rows_per_call,
            "concurrency": self.calls_at_once,
            "rate": rates,
            "price": None if self.books.price is None else str(self.books.price),
            "max_cost": None if self.books.max_cost is None else str(self.books.max_cost),
            "currency": currency,
            "retries": int(retries),
            "timeout": float(timeout),
            "headers": self._transport.header_names,
            "watch_every": self.watch_every,
            "on_drift": on_drift,
        }

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """What the classes are called, in the order of their ids, once all of them are known."""
        return self.known_names if self.known_names and self._names.is_complete else None

    @property
    def known_names(self) -> tuple[str, ...]:
        """The names that are known until now, in the order of their ids."""
        return self._names.names

    @property
    def names_came(self) -> bool:
        """Whether classes were numbered as their names came in replies."""
        return bool(self._names.names) and not self._names.is_given

    def keep_with(self, books: Keeper | None, names: NamesKeeper | None = None) -> None:
        """Go on from what a run has kept of an earlier process, and keep it there.

        Args:
            books: Of what was sent and what it costs; None: in memory.
            names: Of the ids of classes that are told by their names; None: in memory.
        """
        self.books.keep_with(books)
        self._names.keep_with(names)

    def _side_by_side(self, images: Images, ask: Callable[[Images], Any], joined: Callable[[list[Any]], Any]) -> Any:
        """Return the answers about images, of one request or of several that are sent at a time.

        Args:
            images: uint8, (n, H, W, C).
            ask: Returns what one request says of its images.
            joined: Makes one answer of several requests' answers.

        Raises:
            OracleError: No request was answered.
            PartialAnswer: Some were not; it holds the answers of the others.
        """
        most = self.rows_per_call or len(images)
        if len(images) <= most:
            return joined([ask(images)])
        parts = [range(begin, min(begin + most, len(images))) for begin in range(0, len(images), most)]
        failures: list[BaseException] = []

        def ask_about(part: range) -> Any:
            # What waits behind one that failed would be paid for, and may fail as well.
            if not failures:
                try:
                    return ask(images[part.start : part.stop])
                except BaseException as error:
                    failures.append(error)
            return None

        threads = ThreadPoolExecutor(min(len(parts), self.calls_at_once))
        try:
            answers = list(threads.map(ask_about, parts))
        finally:
            threads.shutdown(cancel_futures=True)
        known = [(part, answer) for part, answer in zip(parts, answers, strict=True) if answer is not None]
        if not failures:
            return joined([answer for _, answer in known])
        if not known or not isinstance(failures[0], OracleError):
            raise failures[0]
        rows = [row for part, _ in known for row in part]
        raise PartialAnswer(rows, joined([answer for _, answer in known]), failures[0]) from failures[0]

    def hang_up(self) -> None:
        """Let requests that are under way end: one that is sent has its reply, none is sent again."""
        self._transport.hang_up()

    def close(self) -> None:
        """Close the connections; a request that is sent later opens new ones."""
        self._transport.close()

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types, without secrets."""
        return super().describe() | {"url": self._transport.address.shown} | self._declared
