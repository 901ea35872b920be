"""What the Python of the first page is run in: the README's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages.README import names as of_the_readme


def names(data: Path) -> dict[str, Any]:
    found = of_the_readme(data)
    return found | {"model": found["load_my_model"]()}
