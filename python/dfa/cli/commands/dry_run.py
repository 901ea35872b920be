"""`dfa attack --dry-run`: what a run of a service would take, judged by a few images that are attacked for real."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dfa
from dfa.checks import counted
from dfa.cli.commands.outcome import DONE, print_json
from dfa.cli.commands.running import open_model, telling_warnings
from dfa.cli.commands.screen import Screen, duration
from dfa.cli.commands.service import sent_in_words, sent_until
from dfa.cli.forecast import Forecast, forecast_of
from dfa.cli.inputs import open_inputs
from dfa.cli.request import Request
from dfa.cli.sources.labels import read_class_names
from dfa.cli.sources.models import open_prior
from dfa.cli.sources.spaces import parse_space
from dfa.errors import InvalidInputError, OracleError
from dfa.oracle.services.limits import Rate, parse_rate
from dfa.results.profile import Service
from dfa.results.service_words import money

DEFAULT_PILOT: Final = 5


@dataclass(frozen=True)
class Cost:
    """What a run of a service would take.

    Attributes:
        images: Of the run.
        queries: Attack queries expected, with the ends of the forecast's interval: (low, expected, high), as all here.
        requests: Requests.
        seconds: Time, at the given rates and so many requests at a time as are given.
        cost: Money; None where no price is known.
        max_cost: What all may cost; None where that is not said.
        images_for_max_cost: Images that this pays for, about, of those of the run; None where there is no limit.
    """

    images: int
    queries: tuple[float, float, float]
    requests: tuple[float, float, float]
    seconds: tuple[float, float, float]
    cost: tuple[float, float, float] | None
    max_cost: float | None
    images_for_max_cost: int | None


def tell_forecast(
    request: Request,
    folder: Path,
    *,
    overwrite: bool,
    interval: int,
    as_json: bool,
    pilot: int,
    trust_pickle: bool,
) -> int:
    """Attack a few images of a request, and say what all would take.

    Args:
        request: The attack.
        folder: Where the few are kept, as a run of their own.
        overwrite: Replace what is there.
        interval: As of `dfa.Storage`.
        as_json: Print one document, and nothing on the way.
        pilot: How many images to attack.
        trust_pickle: Whether a surrogate that is a pickle may be read.

    Returns:
        The exit status.

    Raises:
        DfaError: As of `dfa.run`; or the model is no service.
    """
    screen = Screen(error=True)
    space = parse_space(request.space, request.epsilon)
    class_names = read_class_names(request.class_names)
    oracle, channels = open_model(request, class_names, trust_pickle=trust_pickle)
    if oracle.books is None:
        raise InvalidInputError(
            f"--dry-run tells what a run of a service would take, and {request.model} is none; dfa bench tells it of "
            "other models"
        )
    whole = open_inputs(
        request,
        space,
        optimizer=request.racos(space),
        prior=open_prior(request.prior, device=request.device, trust_pickle=trust_pickle),
        class_names=class_names,
        known_names=oracle.class_names,
        wanted=channels,
        tell=(lambda text: None) if as_json else screen.say,
    )
    some = whole.spread(pilot)
    number, total = len(some.source.names), len(whole.source.names)
    screen.say(f"dry run: attacking {number:,} of {counted(total, 'image')}, spread over all; kept in {folder}")
    stopwatch = _time(oracle)
    with telling_warnings(screen.say):
        try:
            result = some.run(oracle, store=dfa.Storage(folder, overwrite=overwrite, interval=interval), progress=False)
        except OracleError as error:
            told = f"{error}{sent_until(error.result)}"
            error.args = (f"{told}; a dry run is not resumed: begin it anew, with a smaller --pilot if need be",)
            raise
    service = result.profile.service
    assert service is not None
    cost = _cost_of(result, service, total, oracle, stopwatch.seconds)
    if as_json:
        document = {"folder": str(folder), "images": total, "pilot": result.summary(), "service": service}
        print_json({**document, "forecast": cost, "exit": DONE})
        return DONE
    for line in _told(result, service, cost, oracle.describe()):
        Screen().say(line)
    return DONE


class _Stopwatch:
    """How long an oracle was being asked, all threads together."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds


def _time(oracle: dfa.Oracle) -> _Stopwatch:
    """Time every call of an oracle from now on."""
    stopwatch, scores = _Stopwatch(), oracle.scores

    def timed(images: Any) -> Any:
        started = time.perf_counter()
        try:
            return scores(images)
        finally:
            stopwatch.add(time.perf_counter() - started)

    oracle.scores = timed  # type: ignore[method-assign]
    return stopwatch


def _cost_of(result: dfa.Result, service: Service, total: int, oracle: dfa.Oracle, seconds: float) -> Cost:
    """Return what a run of all images would take.

    Args:
        result: Of the pilot.
        service: What that took.
        total: Images of the run.
        oracle: Of the service.
        seconds: That all requests of the pilot took together, waiting for rates included.
    """
    use, books = service.use, oracle.books
    forecast: Forecast = forecast_of(result, total, 0.0)
    queries = (forecast.queries_low, forecast.queries, forecast.queries_high)
    sent = int(result.queries_sent.sum())
    # Where nothing was attacked, what was asked about each image is all that is known.
    each = use.requests / sent if sent else 0.0
    least = 0.0 if sent else use.requests / len(result.records) * total
    requests = _of_three([each * number + least for number in queries])
    latency = max(0.0, seconds - use.waited) / max(1, use.requests)
    rates = [parse_rate(rate) for rate in oracle.describe().get("rate", ())]
    times = [
        max([number * latency / oracle.calls_at_once, *(_at_rate(number, rate) for rate in rates)])
        for number in requests
    ]
    price = None if books.price is None else float(books.price)
    cost = None if price is None else _of_three([price * number for number in requests])
    most = None if books.max_cost is None else float(books.max_cost)
    share = 1.0 if most is None or cost is None or cost[1] <= most else most / cost[1]
    return Cost(
        images=total,
        queries=queries,
        requests=requests,
        seconds=_of_three(times),
        cost=cost,
        max_cost=most,
        images_for_max_cost=None if most is None else math.floor(total * share),
    )


def _at_rate(number: float, rate: Rate) -> float:
    """Return the seconds that so many requests take at a rate."""
    times = max(0.0, number - 1) / rate.number
    # Those of an hour or a day may go out at once, and then the next when these are over.
    is_spread = rate.seconds <= 60 or math.isinf(times)
    return (times if is_spread else math.floor(times)) * rate.seconds


def _of_three(numbers: list[float]) -> tuple[float, float, float]:
    low, expected, high = numbers
    return low, expected, high


def _told(result: dfa.Result, service: Service, cost: Cost, described: Mapping[str, Any]) -> list[str]:
    """Return, line by line, what a pilot says of the run to come."""
    summary = result.summary()
    fell = f", TSR {100 * summary.TSR:.0f} %" if summary.attacked else ""
    rates = " and ".join(described.get("rate", ()))
    at = f" at {rates}," if rates else ""
    lines = [
        f"Pilot: {counted(summary.attacked, 'image')} attacked{fell}, {summary.queries_sent:,} queries, "
        f"{sent_in_words(service.use, service.currency)}.",
        f"{counted(cost.images, 'image')} would take about {_span(cost.queries, _whole)} queries and "
        f"{_span(cost.requests, _whole)} requests.",
        f"Time: about {_span(cost.seconds, duration)},{at} {counted(described['concurrency'], 'request')} at a time.",
    ]
    if cost.cost is None:
        lines.append("Cost: not known without --price.")
    else:
        lines.append(f"Cost: about {_span(cost.cost, _about)} {service.currency}".rstrip() + ".")
    if cost.max_cost is not None and cost.cost is not None:
        limit = f"--max-cost {money(cost.max_cost)}"
        if cost.cost[2] <= cost.max_cost:
            lines.append(f"{limit} is enough for that.")
        elif cost.cost[1] <= cost.max_cost:
            lines.append(f"{limit} is enough for what is expected, and not for the most of it.")
        else:
            lines.append(
                f"{limit} ends the run before that: it pays for about {cost.images_for_max_cost:,} of the images."
            )
    return [*lines, "Nothing more was sent."]


def _about(amount: float) -> str:
    return money(amount, is_about=True)


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _span(three: tuple[float, float, float], written: Any) -> str:
    """Return what is expected, and in brackets from where to where it may be."""
    low, expected, high = three
    if math.isinf(high):
        return f"{written(expected)} (one image tells no more)"
    return f"{written(expected)} ({written(low)} to {written(high)})"
