"""What oracles of services have in common: how they are reached, how fast, for how much, and how they are watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dfa.checks import require_count
from dfa.errors import InvalidInputError
from dfa.oracle.base import Oracle
from dfa.oracle.services.books import Books, Keeper
from dfa.oracle.services.credentials import FromEnvironment
from dfa.oracle.services.limits import Limits
from dfa.oracle.services.names import ClassTable, NamesKeeper
from dfa.oracle.services.transport import Transport

WATCH_EVERY: Final = 1000
"""Attack queries from one look at an unchanged image to the next."""

_ON_DRIFT: Final = ("stop", "mark")


class ServiceOracle(Oracle):
    """An oracle that is asked over a network: one call of `scores` is one request, from as many threads as may ask."""

    keeps_record = True

    def __init__(
        self,
        url: str,
        *,
        images_per_request: int,
        concurrency: int,
        rate: str | Sequence[str] | None,
        rate_file: str | Path | None,
        price: float | str | None,
        max_cost: float | str | None,
        currency: str,
        retries: int,
        timeout: float,
        headers: Mapping[str, str | FromEnvironment] | None,
        token_env: str | None,
        ca_file: str | Path | None,
        watch_every: int | None,
        on_drift: str,
    ) -> None:
        """Get ready to ask; nothing is sent yet.

        Raises:
            InvalidInputError: An argument is not as the oracle's class describes it.
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

    def hang_up(self) -> None:
        """Let requests that are under way end: one that is sent has its reply, none is sent again."""
        self._transport.hang_up()

    def close(self) -> None:
        """Close the connections; a request that is sent later opens new ones."""
        self._transport.close()

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types, without secrets."""
        return super().describe() | {"url": self._transport.address.shown} | self._declared
