"""The figures that the optimizer was tuned to, in one place: what is tuned there is changed here."""

from __future__ import annotations

STARTS = 12
"""Textured starts of the default."""
WINDOW_HALVINGS = (10, 50, 200, 500, 1_000, 2_000, 4_000, 6_000, 8_000)
WINDOW_SHARE = 0.1
PLACEMENTS = 4
GRID = 16
"""Cells along each side of an image, at most, in which it is counted where windows have lain."""

RESTART_AFTER = 512
REST_RATIO = 0.95
GIVEN_UP_ABOVE = 0.9
"""Share of its best degree that is left, since half as many candidates, where a search is given up at rest."""
QUICKENING = 0.15
"""Share of the degree that is left, by which it may fall more than the last time, where a search is forecast."""

_FIRST = [("columns", 1), ("rows", 2), ("checks", 1), ("rows", 8), ("checks", 2), ("checks", 8)]
_LAST = [("rows", 4), ("rows", 1), ("columns", 4)]
TEXTURED_STARTS = [(texture, turned) for some in (_FIRST, _LAST) for turned in (False, True) for texture in some]
"""Weave and period of the starts, and whether they are turned over, in their order."""
NUM_FIRST_STARTS = 2 * len(_FIRST)
"""Those that are asked where nothing tells which are worth it."""
WINDOW_TEXTURES = [(weave, period) for period in (1, 2, 4) for weave in ("checks", "columns", "rows")]
"""Fillings of a window, beside the plain one."""

PLAIN_PRIOR = 4.0
"""By how much plain windows outweigh all others together before anything is known."""
MOST_HALVINGS = 3
"""A prior's signs are taken by one in 2 to the power of at most so many coordinates."""
SMOOTHING = 2.0
"""Candidates of average gain that every filling is credited with."""
FADING = 0.98
"""What an iteration's candidate leaves of what was learned before it."""
LARGEST_GAIN = 1.5
"""Of the clean degree: what a lesson says at most of one candidate's gain."""

LESSON_CANDIDATES = 200
"""Candidates from which a lesson is learned."""
FEWEST_NEW = 4
"""New images that there may be, whatever has been learned."""
TEACHERS = 8
"""Images that have been learned from, for one that is new."""
NEW_CANDIDATES = 64
"""Candidates after which an image is not new any more."""

MOST_PERTURBATIONS = 256
"""What an archive keeps."""
MOST_TRIED = 8
"""Perturbations in a plan."""
MOST_STARTED_FROM = 2
"""Of those, how many that are tried for where they leave the search to start from, and not for a success."""
SHARED_GAINS = 3.0
"""Candidates' worth of other images' gains in a plan."""
SHARED_SOURCES = 50.0
"""Likewise of a prior's windows against all others: the surrogate is the same for all images."""
LARGEST_RATIO = 1.5
"""A degree above this share of the clean one says no more than that the start is useless."""
WORTH_STARTING = 0.85
"""A perturbation is tried where its expected ratio is below this share of the textures'."""
RATIO_WEIGHT = 0.3
"""What an expected ratio takes from an expected rate of success in ranking."""
VARIANCE, TRUST_IN_VARIANCE = 0.04, 2.0
"""Of a start about its forecast, in roots of ratios, and the trials that are taken to have shown it."""
BOND, TRUST_IN_BOND = 0.3, 4.0
"""What the two turns of a texture have in common, and the images that are taken to have shown it."""
MOST_TOGETHER = 3
"""Starts of one iteration after the first."""
TEXTURE_RATE, TEXTURE_RATIO = 0.1, 0.7
"""What is expected of a texture that was never tried."""
SAME_GOAL_RATE, OTHER_GOAL_RATE, PERTURBATION_RATIO = 0.5, 0.25, 0.5
"""What is expected of a perturbation where none was tried yet, by whether it was found for the same goal."""
PRIOR_RATE, PRIOR_RATIO = 0.3, 0.4
"""What is expected of a prior's start before any was tried."""
WORTHWHILE_AT_FIRST = 0.05
"""The rate of success above which a perturbation is tried, before any search had windows."""
FEWEST_WINDOWS = 2.0
"""Windows that a search is taken to need at least."""

MOST_EXPECTED = 0.3
"""Successes that are expected of a group of starts before its last."""
TRUST = 2
"""Windows that are taken to have been asked, and to have improved, for how many the next iteration has."""
PACE_MEMORY = 64
"""Windows that count for how many the next iteration has; of more, the older ones count less."""

SHORTENING = 40
"""Of the distance beyond the ball, what part a look at a ray must save."""
PRECISION = 5
"""To what part of it a bisection goes."""
PARTS_OF_A_LEVEL = 32
"""Of a grey level, the part that is the least of either."""
ROUNDS_AFTER_STARTS = [
    *(("tiles", level) for level in (1, 2, 3, 4)),
    *(("blocks", level) for level in (1, 2, 3)),
    ("tiles", 5),
    *(("blocks", level) for level in (4, 5)),
    *((kind, level) for level in (6, 7, 8, 9) for kind in ("tiles", "blocks")),
]
"""What is turned over after the starts, by its kind, in 2 to the power of how many parts."""
ROUNDS_IF_FAR, NEAR = 14, 16
"""Of them, those that come also where the label is seen beyond the ball by more than what part of it."""
PLAIN_ROUNDS = 9
"""The same after plain signs, in blocks: up to so many."""
LEVEL_AGAIN = 4
"""The first when tiles and blocks are turned over in turn."""
