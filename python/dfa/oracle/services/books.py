"""What was sent to a service, and what that may cost."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Protocol

from dfa.checks import is_number
from dfa.errors import InvalidInputError, OracleError

_COUNTS: Final = ("requests", "images", "retries", "rejected", "answered", "billed_low", "billed_high")
_SUMS: Final = ("cost_low", "cost_high")


class Outcome(Enum):
    """What became of a request that was sent."""

    ANSWERED = "answered"
    """It was answered, and is surely billed."""
    REJECTED = "rejected"
    """The service said that it takes none now (429 or 503), and bills none."""
    REFUSED = "refused"
    """The service refused it for what it is, and bills none."""
    UNSURE = "unsure"
    """Nobody here knows whether it is billed: no reply came, or a broken one, or the service failed over it."""


@dataclasses.dataclass(frozen=True)
class ServiceUse:
    """What a service was sent, and what that costs.

    Attributes:
        requests: Requests that were sent, those that were sent again included: what the service counts itself, or more
            where it hung up before it read one.
        images: Images in these requests.
        retries: How often a request was tried again, whether or not its connection came about.
        rejected: Requests to which the service said that it takes none now.
        answered: Requests that were answered.
        billed_low: Requests that are surely billed.
        billed_high: Requests that may be billed: those, and all of which nobody here knows.
        cost_low: What `billed_low` cost, in the money of the price; None where no price is known.
        cost_high: What `billed_high` cost, likewise.
        waited: Seconds that requests waited for rates and after failures, all of them together.
    """

    requests: int = 0
    images: int = 0
    retries: int = 0
    rejected: int = 0
    answered: int = 0
    billed_low: int = 0
    billed_high: int = 0
    cost_low: float | None = None
    cost_high: float | None = None
    waited: float = 0.0

    def since(self, before: ServiceUse) -> ServiceUse:
        """Return what was sent after something was."""
        numbers: dict[str, Any] = {}
        for each in dataclasses.fields(self):
            now, then = getattr(self, each.name), getattr(before, each.name)
            # Money has few decimal places, which floats are near to.
            numbers[each.name] = round(now - (then or 0), 9) if isinstance(now, float) else now and now - (then or 0)
        return ServiceUse(**numbers)


class Keeper(Protocol):
    """Where totals are kept from one process to the next."""

    def load(self) -> Mapping[str, float | str]:
        """Return what was saved last, or nothing."""

    def save(self, totals: dict[str, float | str]) -> None:
        """Keep totals in place of those from before."""


class Books:
    """Counts what is sent to a service and what it costs, and sends nothing that may cost more than is allowed.

    Every attempt is written down before it is sent, so that a process that is killed has counted too much rather than
    too little. All methods may be called from many threads.
    """

    def __init__(
        self, price: float | str | None = None, max_cost: float | str | None = None, keeper: Keeper | None = None
    ) -> None:
        """Begin with nothing, or with what a keeper has.

        Args:
            price: Of one request, whatever it holds; a number of 0 or more, or its decimal digits.
            max_cost: What all requests together may cost at most; needs a price.
            keeper: Where the totals are kept, as of `keep_with`.

        Raises:
            InvalidInputError: They are no such numbers, or a ceiling comes without a price.
        """
        self.price = _money("price", price)
        self.max_cost = _money("max_cost", max_cost)
        if self.max_cost is not None and self.price is None:
            raise InvalidInputError(f"max_cost={max_cost!r} needs the price of a request; pass price= too")
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._begin({})
        if keeper is not None:
            self.keep_with(keeper)

    @property
    def use(self) -> ServiceUse:
        """What was sent until now, with what a keeper had from before."""
        with self._lock:
            has_price = self.price is not None or bool(self._sums["cost_high"])
            low, high = (float(self._sums[name]) if has_price else None for name in _SUMS)
            return ServiceUse(**self._counts, cost_low=low, cost_high=high, waited=self._waited)

    def keep_with(self, keeper: Keeper | None) -> None:
        """Go on from the totals that a keeper has, and keep them there: those of a run are its own.

        With None totals are kept in memory alone, from those that there are on.
        """
        with self._lock:
            self._keeper = keeper
            if keeper is not None:
                self._begin(keeper.load())
                keeper.save(self._totals())

    def reserve(self, images: int) -> None:
        """Write down a request that is about to be sent.

        Args:
            images: How many it holds.

        Raises:
            OracleError: It may cost more than is allowed, with all that was sent; it is not written down, nor to be
                sent.
        """
        with self._lock:
            if self.price is not None:
                cost = self._sums["cost_high"] + self.price
                if self.max_cost is not None and cost > self.max_cost:
                    raise OracleError(
                        f"a request costs {self.price}, and all together may cost no more than max_cost="
                        f"{self.max_cost}; those sent may have cost {self._sums['cost_high']} (surely "
                        f"{self._sums['cost_low']}), so this one was not sent. What was answered is kept by a run that "
                        "has a folder: resume it with a higher max_cost"
                    )
                self._sums["cost_high"] = cost
            self._counts["requests"] += 1
            self._counts["images"] += images
            self._counts["billed_high"] += 1
            self._save()

    def settle(self, outcome: Outcome) -> None:
        """Write down what became of a request that was reserved."""
        if outcome is Outcome.UNSURE:
            return
        price = Decimal(0) if self.price is None else self.price
        with self._lock:
            if outcome is Outcome.ANSWERED:
                self._counts["answered"] += 1
                self._counts["billed_low"] += 1
                self._sums["cost_low"] += price
            else:
                self._counts["rejected"] += outcome is Outcome.REJECTED
                self._counts["billed_high"] -= 1
                self._sums["cost_high"] -= price
            self._save()

    def add_retry(self) -> None:
        """Write down that a request is tried once more."""
        with self._lock:
            self._counts["retries"] += 1

    def add_wait(self, seconds: float) -> None:
        """Write down that a request waited."""
        with self._lock:
            self._waited += seconds

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process begins with: what is allowed, and nothing of what was sent from here."""
        return {"price": self.price, "max_cost": self.max_cost}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing sent."""
        Books.__init__(self, **state)

    def _begin(self, totals: Mapping[str, float | str]) -> None:
        self._counts = {name: int(totals.get(name, 0)) for name in _COUNTS}
        # Money is exact: three requests at 0.1 cost 0.3, which floats deny.
        self._sums = {name: Decimal(totals.get(name, 0)) for name in _SUMS}
        self._waited = float(totals.get("waited", 0))

    def _totals(self) -> dict[str, float | str]:
        return self._counts | {name: str(total) for name, total in self._sums.items()} | {"waited": self._waited}

    def _save(self) -> None:
        if self._keeper is not None:
            self._keeper.save(self._totals())


def _money(name: str, value: object) -> Decimal | None:
    """Return an amount of money as its decimal digits say it."""
    if value is None:
        return None
    try:
        # A float is taken as what it is written as: 0.1 and not the binary number next to it.
        amount = Decimal(str(value)) if isinstance(value, str | Decimal) or is_number(value) else Decimal("NaN")
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise InvalidInputError(
            f"{name} must be an amount of money, a finite number of 0 or more such as 0.0015, got {value!r}"
        )
    return amount
