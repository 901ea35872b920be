"""dfa as a Foolbox attack: `raw, clipped, success = DFA()(fmodel, images, criterion, epsilons=8 / 255)`."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.integrations.grid import Grid, is_single
from dfa.integrations.settings import attacked, checked_settings, oracle_of_floats
from dfa.results.result import Result

foolbox: Any = imported("foolbox", "dfa.integrations.foolbox needs Foolbox", "audit")
eagerpy: Any = imported("eagerpy", "dfa.integrations.foolbox needs Foolbox", "audit")


class DFA(foolbox.attacks.base.Attack):  # type: ignore[misc]
    """Within an L-infinity epsilon, on 8-bit images, by the model's answers alone.

    No `FixedEpsilonAttack`, which clips what was found to floats that no 8-bit image holds.

    Attributes:
        results: Of the last call, a `dfa.Result` for each epsilon: records, queries, profile.
    """

    def __init__(self, *, returns: str = "logits", **settings: Any) -> None:
        """Keep settings.

        Args:
            returns: What the model answers, "logits" or "probabilities".
            **settings: More arguments of `dfa.run`, such as `max_queries` and `seed`.

        Raises:
            InvalidInputError: One is none of these.
        """
        self._returns = returns
        self._settings = checked_settings(settings)
        self.results: list[Result] = []

    def __call__(self, model: Any, inputs: Any, criterion: Any, *, epsilons: Any) -> tuple[Any, Any, Any]:
        """Attack images.

        Args:
            model: A Foolbox model of any framework.
            inputs: Images in its bounds, (N, ...), on the grid of 8-bit images up to the rounding of float32.
            criterion: `Misclassification`, or the labels alone; or `TargetedMisclassification`.
            epsilons: The largest change, in units of the bounds, or several, each for a run of its own. What is no
                whole number of grey levels is rounded down.

        Returns:
            Two times the same images, on the grid to the last bit, those as they were where nothing was found; and
            whether they meet the criterion, as those do that met it to begin with. Lists of images, and (K, N), where
            there are several epsilons.

        Raises:
            InvalidInputError: An argument is not as described.
            DfaError: Whatever `dfa.run` raises.
        """
        tensor, restored = eagerpy.astensor_(inputs)
        values = tensor.numpy()
        data_format = getattr(model, "data_format", None)
        grid = Grid.of(model.bounds, values.shape, None if data_format is None else data_format == "channels_first")
        images = grid.images(values)
        labels, targets = _classes(criterion)

        def asked(floats: NDArray[Any]) -> Any:
            return eagerpy.astensor(model(eagerpy.from_numpy(tensor, floats).raw)).numpy()

        oracle = oracle_of_floats(asked, grid, values.dtype, name=type(model).__name__, returns=self._returns)
        levels = [grid.epsilon(each) for each in ([epsilons] if is_single(epsilons) else epsilons)]
        if not levels:
            raise InvalidInputError(
                f"epsilons must be a number, or at least one of several, got {epsilons!r}; pass such as 8 / 255"
            )
        self.results = [
            attacked(
                oracle,
                images,
                labels if targets is None else targets,
                is_targeted=targets is not None,
                epsilon=level,
                settings=self._settings,
            )
            for level in levels
        ]
        found, fooled = [], []
        for result in self.results:
            found.append(restored(eagerpy.from_numpy(tensor, grid.values(result.adversarial(images), values.dtype))))
            before = result.class_before
            at_once = before == targets if labels is None else (before != labels) & (before >= 0)
            fooled.append(result.success | at_once)
        success = restored(eagerpy.from_numpy(tensor, np.stack(fooled)))
        return (found[0], found[0], success[0]) if is_single(epsilons) else (found, list(found), success)

    def repeat(self, times: int) -> NoReturn:
        """Refuse: the same search would be made again.

        Raises:
            InvalidInputError: Always.
        """
        raise InvalidInputError(f"a search finds the same each time, got repeat({times}); raise max_queries instead")


def _classes(criterion: Any) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return the labels or the targets that a criterion holds."""
    try:
        given = foolbox.attacks.base.get_criterion(criterion)
    except ValueError:  # labels that are no tensor
        given = None
    # Not of a class derived from these, which may mean something else.
    if type(given) is foolbox.criteria.Misclassification:
        return given.labels.numpy(), None
    if type(given) is foolbox.criteria.TargetedMisclassification:
        return None, given.target_classes.numpy()
    raise InvalidInputError(
        f"criterion must be labels, a foolbox Misclassification or a TargetedMisclassification, got {criterion!r}; "
        "labels are a tensor or an array like the images"
    )
