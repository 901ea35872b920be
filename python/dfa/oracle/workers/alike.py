"""Whether workers are one model: told from what they say of themselves, and from what they answer to noise."""

from __future__ import annotations

from typing import Any

from dfa.errors import InvalidInputError
from dfa.oracle.answers import Answer
from dfa.oracle.workers.host import About, Ready


def refuse_other(name: str, about: About, first_name: str, first: About, *, mixed: bool) -> None:
    """Refuse a worker whose model, or what its answers may depend on, is not that of the first.

    Args:
        name: What the worker is called.
        about: What it says of itself.
        first_name: As of the first worker.
        first: Likewise.
        mixed: Whether models and versions may differ.

    Raises:
        InvalidInputError: It differs, and may not.
    """
    for what, one, other in (
        ("answers", _form(first), _form(about)),
        ("model", first.fingerprint, about.fingerprint),
        ("versions", first.versions, about.versions),
    ):
        is_told = what == "answers" or not mixed
        if one != other and is_told:
            raise InvalidInputError(
                f"all workers must have the same model and software, and {name} on {about.node} differs "
                f"from {first_name} on {first.node} in its {what}: {_difference(one, other)}; make "
                "them alike" + ("" if what == "answers" else ", or pass mixed=True, which the result records")
            )


def refuse_otherwise(name: str, ready: Ready, first_name: str, first: Ready, *, mixed: bool) -> None:
    """Refuse a worker whose numbers are not those of the first.

    Args:
        name: What the worker is called.
        ready: What it says when it is prepared.
        first_name: As of the first worker.
        first: Likewise.
        mixed: Whether they may differ.

    Raises:
        InvalidInputError: They differ, and may not.
    """
    if mixed or first.probes is None or ready.probes is None:
        return
    wanted, again = first.probes
    # A randomised model is no more alike in one place.
    is_random = not _are_same(wanted, again) or not _are_same(*ready.probes)
    if not is_random and not _are_same(wanted, ready.probes[0]):
        raise InvalidInputError(
            f"all workers must answer alike, to the last bit, and {name} answers otherwise than "
            f"{first_name} about the same noise; give all of them the same devices, libraries and "
            "settings, or pass mixed=True, which the result records: what is found may then depend on who was asked"
        )


def _form(about: About) -> dict[str, Any]:
    names = ("kind", "returns", "tolerance", "num_classes", "num_shown", "class_names", "takes")
    return {name: getattr(about, name) for name in names}


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        differ = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
        return ", ".join(f"{name} {other.get(name)} instead of {one.get(name)}" for name in differ)
    return f"{other} instead of {one}"


def _are_same(one: Answer, other: Answer) -> bool:
    """Tell whether two answers are the same to the last bit."""
    return len(one) == len(other) and all(
        (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True)
    )
