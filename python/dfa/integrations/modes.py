"""Training and eval mode of torch modules, which some libraries switch and do not put back part by part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dfa.oracle.base import descends_from


@contextmanager
def modes_kept(model: Any) -> Iterator[None]:
    """Leave every part of a torch module in the mode that it was in, however the block ends; let other models be."""
    parts = list(model.modules()) if descends_from(model, "torch", "Module") else []
    modes = [part.training for part in parts]
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode
