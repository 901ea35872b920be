"""What a user sets of the search; the defaults are the paper's (Table 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import tuning


@dataclass(frozen=True)
class Settings:
    """What a user sets. The defaults are those of the paper's untargeted attack on MNIST (Table 5)."""

    samples: int = 3
    """s: candidates per iteration, and negatives in the population."""
    positives: int = 2
    """k: the best members, from which candidates are made."""
    coordinates: int = 2
    """|Y| where it is scattered: coordinates that a candidate draws anew (all free ones where there are fewer)."""
    region: Literal["none", "ordered", "per_coordinate"] = "ordered"
    """How line 13 refines the search space."""
    shape: Literal["scattered", "window", "ray", "own"] = "scattered"
    """Y is a set of single coordinates, all those of one square window of the image, or what the space moves itself; or
    a candidate lies on a ray."""
    window_share: float = 0.1
    """Share of the image's area that a window covers at first."""
    window_halvings: tuple[int, ...] = ()
    """Numbers of candidates told after the starts at which that share halves."""
    placements: int = 1
    """How many places are drawn for a window, of which the one is taken that windows have covered least so far."""
    values: Literal["uniform", "extremes", "textures"] = "uniform"
    """What a value is drawn from: all integers between its bounds, or the two bounds. A plain window draws the side of
    its extremes once per channel; a textured one draws the side of its high pixels, for all channels alike, and its
    texture says which these are."""
    start: Literal["uniform", "stripes", "textures"] = "uniform"
    """What line 1 draws: a value per coordinate, a side per column and channel, or the textures of starts in
    turn, which have no side per channel."""
    starts: int | None = None
    """How many candidates are starts, in iteration 0 and those after it; None for s + k, which is the least."""
    restart_after: int = 0
    """How many candidates after the starts are told before a descent may end at rest; 0 for never."""
    rest_ratio: float = tuning.REST_RATIO
    """A descent has come to rest where the second half of its candidates left more than this of its degree."""
    improvements: float = 0.0
    """Wished for per iteration, which decides how many windows it has, and has those merged that came together; 0 for
    `samples` of them, always."""
    prior: bool = False
    """Windows may also take signs that the caller gives of their parent."""
    domain: Literal["ball", "valid"] = "ball"
    """Perturbations of [-epsilon, epsilon], or only those of them that need no clamping."""
    ties: Literal["older", "newer"] = "older"
    """Which of two members of equal degree ranks first."""
