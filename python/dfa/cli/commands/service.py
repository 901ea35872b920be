"""What a run of a service took, as commands tell of it."""

from __future__ import annotations

from dfa.checks import counted
from dfa.cli.commands.screen import Screen
from dfa.oracle.services.books import ServiceUse
from dfa.results.result import Result
from dfa.results.service_words import drift_lines, service_rows, span_of


def tell_service(screen: Screen, result: Result) -> None:
    """Say what a run asked of a service, and what that cost; nothing of other models."""
    service = result.profile.service
    if service is None:
        return
    screen.say("The service:")
    screen.show([(f"  {name}", value) for name, value in service_rows(service)])
    for line in drift_lines(service):
        screen.say(line, "bold red")


def sent_in_words(use: ServiceUse, currency: str) -> str:
    """Return in a few words what a service was sent, and what that cost."""
    cost = span_of(use.cost_low, use.cost_high, currency)
    return f"{counted(use.requests, 'request')} sent" + (f", for {cost}" if cost else "")


def sent_until(result: object) -> str:
    """Return in brackets what a run that failed sent a service until then; nothing of other models."""
    service = result.profile.service if isinstance(result, Result) else None
    return "" if service is None else f" ({sent_in_words(service.use, service.currency)} until then)"
