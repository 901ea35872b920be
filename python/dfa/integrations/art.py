"""dfa as an evasion attack of the Adversarial Robustness Toolbox: `DFA(classifier).generate(x, y)`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_array
from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.integrations.grid import Grid
from dfa.integrations.modes import modes_kept
from dfa.integrations.settings import attacked, checked_settings, ids_of_one_hot, oracle_of_floats
from dfa.results.result import Result

_NEEDED = "dfa.integrations.art needs the Adversarial Robustness Toolbox"
_config: Any = imported("art.config", _NEEDED, "audit")
_attack: Any = imported("art.attacks.attack", _NEEDED, "audit")
_estimator: Any = imported("art.estimators.estimator", _NEEDED, "audit")
_classifier: Any = imported("art.estimators.classification.classifier", _NEEDED, "audit")


class DFA(_attack.EvasionAttack):  # type: ignore[misc]
    """Within an L-infinity eps, on 8-bit images, by what `estimator.predict` answers alone.

    Attributes:
        eps: The largest change, in units of the estimator's `clip_values`; what is no whole number of grey levels is
            rounded down.
        result: Of the last `generate`, the `dfa.Result`: records, queries, profile. None before.
    """

    attack_params: ClassVar[list[str]] = [*_attack.EvasionAttack.attack_params, "eps", "targeted"]
    _estimator_requirements = (_estimator.BaseEstimator, _classifier.ClassifierMixin)

    def __init__(
        self,
        estimator: Any,
        eps: float = 8 / 255,
        *,
        targeted: bool = False,
        returns: str = "logits",
        channels_first: bool | None = None,
        **settings: Any,
    ) -> None:
        """Keep a classifier and settings.

        Args:
            estimator: Any classifier of ART with `clip_values`.
            eps: The largest change; 8 / 255 is 8 grey levels where `clip_values` are (0, 1).
            targeted: Whether `y` is what the classes are to become.
            returns: What `predict` answers, "logits" or "probabilities"; "label" where its scores are to count for no
                more than the likeliest class, as those of a `BlackBoxClassifier` that is one-hot.
            channels_first: Whether x is (N, C, H, W). None: as the estimator says, or else as x looks.
            **settings: More arguments of `dfa.run`, such as `max_queries` and `seed`.

        Raises:
            InvalidInputError: A setting is no argument of `dfa.run`.
            art.exceptions.EstimatorError: `estimator` is no classifier.
        """
        super().__init__(estimator=estimator)
        self.eps, self.targeted = eps, targeted
        self.result: Result | None = None
        self._returns, self._channels_first = returns, channels_first
        self._settings = checked_settings(settings)

    def generate(self, x: NDArray[Any], y: Any = None) -> NDArray[Any]:
        """Attack images.

        Args:
            x: Images between the `clip_values`, (N, ...), on the grid of 8-bit images up to the rounding of float32.
            y: Class ids (N,) or (N, 1), or one-hot (N, K): labels, or targets. None: the classifier's own answers.

        Returns:
            Images of the shape of x, as the classifier was asked about them: of the dtype of ART's settings, float32,
            whatever that of x, and on the grid to the last bit. Those as they were where nothing was found.

        Raises:
            InvalidInputError: An argument is not as described.
            DfaError: Whatever `dfa.run` raises.
        """
        x = np.asarray(x)
        dtype = _config.ART_NUMPY_DTYPE
        first = getattr(self.estimator, "channels_first", None) if self._channels_first is None else None
        grid = Grid.of(self.estimator.clip_values, x.shape, self._channels_first if first is None else first)
        images, classes = grid.images(x), _class_ids(y)
        if self.targeted and classes is None:
            raise InvalidInputError("y must be the targets of a targeted attack, got None")
        oracle = oracle_of_floats(
            self.estimator.predict,
            grid,
            dtype,
            name=type(self.estimator).__name__,
            returns=self._returns,
            num_classes=self.estimator.nb_classes,
        )
        with modes_kept(getattr(self.estimator, "model", None)):
            epsilon = grid.epsilon(self.eps)
            self.result = attacked(
                oracle, images, classes, is_targeted=self.targeted, epsilon=epsilon, settings=self._settings
            )
        return grid.values(self.result.adversarial(images), dtype)


def _class_ids(y: Any) -> NDArray[Any] | None:
    if y is None:
        return None
    given = as_array("y", y)
    if given.ndim == 2:
        return ids_of_one_hot("y", given) if given.shape[1] > 1 else given[:, 0]
    return given
