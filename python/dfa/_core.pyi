from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

__version__: str

class _Choice:
    __members__: ClassVar[dict[str, _Choice]]
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

class Region:
    NONE: ClassVar[Region]
    ORDERED: ClassVar[Region]
    PER_COORDINATE: ClassVar[Region]
