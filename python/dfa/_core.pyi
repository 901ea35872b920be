from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

__version__: str

class Region:
    NONE: Region
    ORDERED: Region
    PER_COORDINATE: Region
