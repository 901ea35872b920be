"""SafeCV (Wicker, Huang, Kwiatkowska 2018, "Feature-Guided Black-Box Safety Testing of Deep Neural Networks").

Kept: key points are those of SIFT in the image enlarged 15 times, and each is a Gaussian as wide as the key point and
one pixel more; their mixture is weighted by the responses. In a game of turns the first player chooses a key point, the
second pixels of its Gaussian, which are set to the extreme furthest from them, six a turn. Monte Carlo tree search with
upper confidence bounds looks for the fewest changed pixels. A continuation is random, but for turns that make the model
surer, which are taken back; so are pixels that an example does not need. Only answers of the model are used.
Parameters are those of the authors' MNIST example, but for the number of simulations: each of ours plays 16
continuations.

Left out: a second player who hinders the first; here it helps, and plays the best of several samples. Gaussians end at
two standard deviations. Key points are first visited by their responses and then by their rewards, where the authors'
code changes the responses themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from systems.attacks import margin
from systems.context import Result, Subject
from systems.counting import attack_and_audit
from systems.libraries import import_library

_ENLARGED = 15
_REACH = 2
"""Standard deviations at which a Gaussian ends."""


def measure_safecv(subject: Subject) -> Result:
    """Return what rounding leaves of SafeCV's examples."""

    def attack(x: Tensor, y: Tensor) -> Tensor:
        return safecv(subject.module, x, y, [key_points(image[..., 0]) for image in subject.images])

    return attack_and_audit(subject, attack, note="30 simulations of 16 continuations, 6 pixels a turn, fewest pixels")


@dataclass
class _Position:
    """A position of the game: which pixels are changed, and what was found from it.

    Attributes:
        changed: bool, (H * W,).
        visits: Of the search.
        reward: Their sum.
        children: Positions after the first player's choices, by key point.
    """

    changed: Tensor
    visits: int = 0
    reward: float = 0.0
    children: dict[int, _Position] = field(default_factory=dict)


def key_points(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the key points of a grey image, uint8, (H, W), as rows of column, row, size (in pixels) and response.

    Raises:
        CannotRunError: OpenCV is not installed.
    """
    cv2: Any = import_library("cv2")
    height, width = image.shape
    enlarged = cv2.resize(image, (width * _ENLARGED, height * _ENLARGED))
    found = cv2.SIFT_create().detect(enlarged, None)
    rows = [(*(each / _ENLARGED for each in (*point.pt, point.size)), point.response) for point in found]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def mixture(points: NDArray[np.float64], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the chances of the pixels around each key point, (K, H * W), and of the key points, (K,)."""
    rows, columns = np.indices(shape)
    deviations = points[:, 2] + 1
    squares = (columns[None] - points[:, 0, None, None]) ** 2 + (rows[None] - points[:, 1, None, None]) ** 2
    squares = squares / deviations[:, None, None] ** 2
    density = np.where(squares <= _REACH**2, np.exp(-squares / 2), 0).reshape(len(points), -1)
    return torch.tensor(density / density.sum(1, keepdims=True)), torch.tensor(points[:, 3] / points[:, 3].sum())


def safecv(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    points: list[NDArray[np.float64]],
    *,
    simulations: int = 30,
    at_once: int = 6,
    samples: int = 16,
) -> Tensor:
    """Return for each vector the adversarial one of fewest changed pixels that was found, or itself.

    Args:
        module: To logits.
        x: float32, (n, 1, H, W), in 0..1.
        y: int64, (n,), labels.
        points: The key points of each, as `key_points` returns them.
        simulations: Of the search, for each.
        at_once: Pixels changed in a turn.
        samples: Of the second player's choice, and continuations played at once.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    for image, label, around in zip(x, y, points, strict=True):
        game = _Game(module, image, label, around, at_once, samples, generator) if len(around) else None
        changed = None if game is None else game.fewest(simulations)
        found.append(image if game is None or changed is None else game.vectors(changed[None])[0])
    return torch.stack(found)


class _Game:
    """The game on one image."""

    def __init__(
        self,
        module: nn.Module,
        image: Tensor,
        label: Tensor,
        points: NDArray[np.float64],
        at_once: int,
        samples: int,
        generator: torch.Generator,
    ) -> None:
        self._module, self._image, self._label = module, image, label
        self._pixels, self._weights = mixture(points, (image.shape[1], image.shape[2]))
        self._at_once, self._samples, self._generator = at_once, samples, generator
        self._extremes = (image < 0.5).to(image.dtype)

    def vectors(self, changed: Tensor) -> Tensor:
        """Return the vectors of boards, bool (n, H * W)."""
        return torch.where(changed.reshape(-1, *self._image.shape), self._extremes, self._image)

    def fewest(self, simulations: int) -> Tensor | None:
        """Return the smallest board found that is adversarial, without what it does not need, or None."""
        best: Tensor | None = None
        fewest = int((self._pixels > 0).any(0).sum())
        root = _Position(torch.zeros(self._image.numel(), dtype=torch.bool))
        for _ in range(simulations):
            path = self._descend(root)
            # What is not needed is taken back, so a continuation may be twice as long as the best.
            board = self._played_on(path[-1].changed, math.ceil(2 * fewest / self._at_once))
            if board is not None:
                board = self._without_needless(board)
                if best is None or board.sum() < best.sum():
                    best, fewest = board, int(board.sum())
            reward = 0.0 if board is None else fewest / int(board.sum())
            for position in path:
                position.visits += 1
                position.reward += reward
            if fewest <= 1:
                break
        return best

    def _descend(self, root: _Position) -> list[_Position]:
        """Return the way from the root to a new position, by upper confidence bounds."""
        path = [root]
        while True:
            position = path[-1]
            unseen = self._weights.clone()
            unseen[list(position.children)] = 0
            if unseen.any():
                choice = int(torch.multinomial(unseen, 1, generator=self._generator))
                boards = self._moved(position.changed.repeat(self._samples, 1), choice)
                child = _Position(boards[self._margins(boards).argmin()])
                position.children[choice] = child
                return [*path, child]
            spread = math.log(position.visits)
            path.append(
                max(
                    position.children.values(),
                    key=lambda child: child.reward / child.visits + math.sqrt(2 * spread / child.visits),
                )
            )

    def _moved(self, boards: Tensor, choices: Tensor | int) -> Tensor:
        """Return boards, bool (n, H * W), after a turn at one key point, or at one for each of them."""
        # The largest of log chances with Gumbel noise are a sample without replacement.
        noise = torch.rand(boards.shape, generator=self._generator, dtype=torch.float64).log().neg().log().neg()
        scores = (self._pixels[choices].log() + noise).masked_fill(boards, -torch.inf)
        top = scores.topk(self._at_once, dim=1)
        return boards.scatter(1, top.indices, top.values.isfinite() | boards.gather(1, top.indices))

    def _played_on(self, board: Tensor, turns: int) -> Tensor | None:
        """Return the first adversarial board of some random continuations of at most so many turns, or None.

        A turn that makes the model surer of the label is taken back.
        """
        boards = board.repeat(self._samples, 1)
        margins = self._margins(boards)
        for _ in range(turns):
            if margins.min() < 0:
                return boards[margins.argmin()]
            choices = torch.multinomial(self._weights, self._samples, replacement=True, generator=self._generator)
            moved = self._moved(boards, choices)
            after = self._margins(moved)
            boards = torch.where((after < margins)[:, None], moved, boards)
            margins = torch.minimum(after, margins)
        return boards[margins.argmin()] if margins.min() < 0 else None

    def _without_needless(self, board: Tensor) -> Tensor:
        """Return an adversarial board without the pixels that it can do without, the least needed first."""
        while board.any():
            positions = board.nonzero()[:, 0]
            fewer = board.repeat(len(positions), 1)
            fewer[torch.arange(len(positions)), positions] = False
            margins = self._margins(fewer)
            if not margins.min() < 0:
                break
            board = fewer[margins.argmin()]
        return board

    def _margins(self, boards: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self._module(self.vectors(boards))
        return margin(logits, self._label.expand(len(boards)), targeted=False)
