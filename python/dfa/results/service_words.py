"""What a run of a service took, in words."""

from __future__ import annotations

from typing import Final

from dfa.checks import counted
from dfa.results.profile import Service

_SHOWN: Final = 3
"""Drifts that are told of; of others their number."""


def drift_lines(service: Service) -> list[str]:
    """Return what is to be known of a service that answered otherwise in the middle of a run; nothing of others."""
    lines = [
        f"From {drift.sent:,} attack queries on the service answered otherwise than before ({drift.told}); of "
        f"{counted(len(drift.unsettled), 'image')} the records are in part or whole of such answers"
        for drift in service.drifts[:_SHOWN]
    ]
    if len(service.drifts) > _SHOWN:
        lines.append(f"and so {len(service.drifts) - _SHOWN:,} times more")
    return lines


def span_of(low: float | None, high: float | None, currency: str) -> str:
    """Return an amount of money, or one between two; nothing where no price is known."""
    if low is None or high is None:
        return ""
    amount = money(low) if money(low) == money(high) else f"{money(low)} to {money(high)}"
    return f"{amount} {currency}".rstrip()


def money(amount: float, *, is_about: bool = False) -> str:
    """Return an amount of money, to the cent at least; one that is about so much no finer than it is known."""
    digits = f"{amount:,.{6 if not is_about else 2 if amount >= 1 else 4}f}".rstrip("0")
    whole, _, rest = digits.partition(".")
    return f"{whole}.{rest.ljust(2, '0')}"


def service_rows(service: Service) -> list[tuple[str, str]]:
    """Return what was asked of a service, sent and billed: names and values."""
    use = service.use
    rows = [
        ("asked about", counted(service.asked, "image")),
        ("answered from the record", f"{service.from_record:,}"),
        ("under way already", f"{service.coalesced:,}"),
        ("requests sent", f"{use.requests:,}, with {counted(use.images, 'image')}"),
        ("sent again", f"{use.retries:,}" + (f", {use.rejected:,} turned away" if use.rejected else "")),
    ]
    is_sure = use.billed_low == use.billed_high
    rows.append(("billed", f"{use.billed_low:,}" + ("" if is_sure else f" to {use.billed_high:,}") + " requests"))
    cost = span_of(use.cost_low, use.cost_high, service.currency)
    if cost:
        rows.append(("cost", cost))
    if use.waited >= 0.05:
        rows.append(("waited", f"{use.waited:,.1f} s, all requests together"))
    return rows
