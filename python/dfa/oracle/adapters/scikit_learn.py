"""Estimators of scikit-learn as oracles."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.oracle.adapters.batches import BatchedOracle, Batches
from dfa.oracle.adapters.estimator_digest import digest_of
from dfa.oracle.adapters.scaling import HOW_TO_SCALE_ARRAYS, scaling_of
from dfa.oracle.adapters.static_batch import StaticBatch
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    Preprocess,
    ScoreKind,
    checked_preprocess,
    checked_tolerance,
    descends_from,
    name_of,
    text_of,
)
from dfa.types import Indices

_METHODS = {
    ScoreKind.PROBABILITIES: "predict_proba",
    ScoreKind.LOGITS: "decision_function",
    ScoreKind.LABEL: "predict",
}
"""Which method answers what, that which shows most first."""

_PREDICTS_THE_LARGEST = frozenset(
    {
        "DecisionTreeClassifier",
        "ExtraTreesClassifier",
        "HistGradientBoostingClassifier",
        "LinearSVC",
        "MLPClassifier",
        "RandomForestClassifier",
        "RidgeClassifier",
    }
)
"""Classes of scikit-learn whose `predict` names the class of the largest score by construction, the first of several.

Not those whose probabilities round to a tie where decisions differ, as those of one logistic function per class do.
"""

_APART = 1e-9
"""How far apart, of 1 or of the larger, two scores are put that change places, so that a softmax tells them apart."""


class SklearnOracle(BatchedOracle):
    """A fitted classifier of scikit-learn, or a pipeline or a search that ends in one.

    It is asked by `predict_proba`, or where it has none by `decision_function`, or else by `predict`, for labels alone.
    Values of a decision function are taken as logits: for a support vector machine they are distances from planes, so
    their softmax is no probability, but it ranks images as they do. Those of two classes, one value d per image, become
    the columns -d and d.

    What counts is what `predict` says. Some estimators rank another class first: those with a threshold of their own
    (`FixedThresholdClassifier`, `TunedThresholdClassifierCV`), `SVC`, `NearestCentroid`. So `predict` is asked about
    every batch too, unless it names the largest score by construction, as trees, forests, networks, `LinearSVC` and
    `RidgeClassifier` of scikit-learn do. Where it names another class than the first of the largest scores, that class
    and the first change their scores (those of a tie come to lie 1e-9 apart), so that a success is one that `predict`
    sees, and the first time there is a warning. Such scores may mislead the search; `returns="label"` asks `predict`
    alone, and `SVC` with `break_ties=True` agrees with its decision function.

    Images are flattened, pixel by pixel, (n, H * W * C), and given as float64. An estimator does not tell what numbers
    it was fitted on, so that is asked for: `value_range=(0, 255)` for grey levels as they are, `(0, 1)` for
    images / 255, `(0, 16)` for scikit-learn's digits; or `preprocess=`, which also puts them in another order, such as
    channel by channel: `lambda images: images.transpose(0, 3, 1, 2) / 255`.

    dfa's classes are the places in `classes_`. Where those are not 0, 1, 2, ... themselves, their names are the names
    of dfa's classes, and `ids_of` makes ids of the estimator's own labels.

    Every batch is filled up to one size, as `TorchOracle` says. Products of matrices still round a row by its place
    among others at times, in float32 above all, which pipelines may turn to; `static_batch=1` asks image by image,
    which is exact always, and slow.

    Attributes:
        kind: "sklearn".
        name: The estimator's class, unless another is given.

    Example:
        >>> oracle = SklearnOracle(forest, value_range=(0, 1))  # doctest: +SKIP
        >>> dfa.run(oracle, images, oracle.ids_of(labels), epsilon=8)  # doctest: +SKIP
    """

    kind = "sklearn"

    def __init__(
        self,
        estimator: Any,
        *,
        returns: ScoreKind | str | None = None,
        value_range: Sequence[float] | None = None,
        preprocess: Preprocess | None = None,
        static_batch: StaticBatch = True,
        tolerance: float = DEFAULT_TOLERANCE,
        name: str | None = None,
    ) -> None:
        """Wrap an estimator.

        Args:
            estimator: A fitted classifier of one label per image.
            returns: "probabilities" (`predict_proba`), "logits" (`decision_function`) or "label" (`predict`); None: the
                first of these that it has.
            value_range: What the grey levels 0 and 255 were when it was fitted.
            preprocess: Instead of that: from float32 images (n, H, W, C), 0..255, to arrays (n, ...), which are
                flattened.
            static_batch: Whether every batch has the same number of rows (see above); a number is that number.
            tolerance: How far the probabilities of one image may sum from 1.
            name: What records call the oracle.

        Raises:
            InvalidInputError: `estimator` is no fitted classifier of one label per image, or another argument is not as
                described.
            MissingDependencyError: scikit-learn is not installed.
        """
        self._sklearn = _import_sklearn()
        self._estimator = estimator
        self.name = type(estimator).__name__ if name is None else name
        _check_fitted(estimator)
        self._classes = _classes_of(estimator)
        self.num_classes: int = len(self._classes)
        if not np.array_equal(self._classes, np.arange(self.num_classes)):
            self.class_names = tuple(map(str, self._classes.tolist()))
        self.returns = _checked_kind(estimator, returns)
        _refuse_pairs(estimator, self.returns, self.num_classes)
        _refuse_named_columns(estimator)
        self._is_checked = self.returns is not ScoreKind.LABEL and not _predicts_the_largest(estimator)
        self._has_warned = False
        self.tolerance = checked_tolerance(tolerance)
        self._method = getattr(estimator, _METHODS[self.returns])
        self._scaling = scaling_of(None, None, value_range)
        self._value_range = value_range
        self._preprocess = checked_preprocess(preprocess)
        if self._preprocess is not None and self._scaling is not None:
            raise InvalidInputError("preprocess makes what the estimator takes, and comes instead of value_range")
        self._num_features: int | None = getattr(estimator, "n_features_in_", None)
        # Fitted on a table with names, it warns of arrays, which have none, in every call.
        self._is_named = hasattr(estimator, "feature_names_in_")
        self._batches = Batches(static_batch, on_cpu=True)

    def prepare(self, shape: tuple[int, ...], batch_size: int) -> None:
        """Check that the estimator takes such images, and choose the size of batches.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: It does not, or it is not said what numbers it was fitted on.
        """
        if self._preprocess is None:
            if self.takes is np.uint8 and self._scaling is None:
                raise InvalidInputError(
                    f"the estimator {self.name!r} does not tell what numbers it was fitted on; pass "
                    f"{HOW_TO_SCALE_ARRAYS}"
                )
            self._check_features(int(np.prod(shape)), f"of shape {tuple(shape)}")
        if self._batches.begin(shape, batch_size):
            if self.takes is np.uint8:
                self._batches.try_out(self._ask, self.name)
            self._batches.end()

    def ids_of(self, labels: ArrayLike) -> Indices:
        """Return dfa's class ids of labels as the estimator knows them.

        Args:
            labels: (N,), each one of `classes_`.

        Returns:
            int64, (N,), 0..K-1: their places in `classes_`.

        Raises:
            InvalidInputError: One is none of them.
        """
        given = np.asarray(labels)
        order = np.argsort(self._classes)
        found = np.searchsorted(self._classes, given, sorter=order).clip(max=self.num_classes - 1)
        ids: Indices = order[found].astype(np.int64)
        unknown = np.flatnonzero(self._classes[ids] != given)
        if len(unknown):
            raise InvalidInputError(
                f"labels must be of the classes of {self.name!r}, {_shown(self._classes)}, got "
                f"{given.reshape(-1)[unknown[0]]!r}"
            )
        return ids

    def fingerprint(self) -> str | None:
        """Return what names the fitted estimator, its settings included, or None where a part has no content to name.

        One that is fitted again on the same data with the same seed has the same, and one that was stored and loaded.
        """
        return digest_of(self._estimator)

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        return super().describe() | {
            "estimator": text_of(self._estimator),
            "method": _METHODS[self.returns],
            "value_range": None if self._value_range is None else np.asarray(self._value_range).tolist(),
            "preprocess": None if self._preprocess is None else name_of(self._preprocess),
            "static_batch": self._batches.static_batch,
            "framework": "scikit-learn",
            "framework_version": str(self._sklearn.__version__),
        }

    def _ask(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the answers to a batch, an array of its own."""
        table = self._made(batch)
        # Some estimators write into what they are given.
        again = table.copy() if self._is_checked else None
        answer = self._told_by(self._method, table)
        if self.returns is ScoreKind.LABEL:
            return self.ids_of(answer)
        if self.returns is ScoreKind.LOGITS and answer.ndim == 1:
            answer = np.stack([-answer, answer], axis=1)
        if again is not None and answer.shape == (len(batch), self.num_classes):
            return self._as_predicted(answer, self.ids_of(self._told_by(self._estimator.predict, again)))
        return answer

    def _told_by(self, method: Any, table: NDArray[Any]) -> NDArray[Any]:
        with warnings.catch_warnings():
            if self._is_named:
                warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
            return np.asarray(method(table))

    def _as_predicted(self, scores: NDArray[Any], predicted: Indices) -> NDArray[Any]:
        """Return scores (n, K) whose largest is that of the predicted class.

        Warns:
            UserWarning: One was not, for the first time.
        """
        first = scores.argmax(axis=1)
        rows = np.flatnonzero((first != predicted) & np.isfinite(scores).all(axis=1))
        if not len(rows):
            return scores
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"the estimator {self.name!r} predicts another class than {_METHODS[self.returns]} ranks first, for "
                f"{len(rows)} of {len(scores)} inputs of a batch; what predict says counts, so there the two classes "
                "change their scores; returns='label' asks predict alone",
                UserWarning,
                stacklevel=2,
            )
        found = scores.astype(np.float64)
        first, predicted = first[rows], predicted[rows]
        most, less = found[rows, first], found[rows, predicted]
        least = _APART * np.maximum(1.0, np.abs(most))
        aside = np.where(most - less < least, least, 0.0)
        found[rows, predicted], found[rows, first] = most + aside, less - aside
        return found

    def _made(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return what the estimator takes of a batch: float64, (n, features)."""
        if self._preprocess is not None:
            made = np.asarray(self._preprocess(batch.astype(np.float32)), dtype=np.float64).reshape(len(batch), -1)
            self._check_features(made.shape[1], "after preprocess")
            return made
        table = batch.reshape(len(batch), -1).astype(np.float64)
        if self._scaling is not None and self.takes is np.uint8:
            self._scaling.apply(table, -1)
        return table

    def _check_features(self, number: int, which: str) -> None:
        if self._num_features not in (None, number):
            raise InvalidInputError(
                f"the estimator {self.name!r} was fitted on {self._num_features:,} values per image, and images "
                f"{which} have {number:,}; resize them first, or bring them into form by preprocess="
            )


def is_sklearn(model: Any) -> bool:
    """Tell whether `model` is an estimator, one of another package that derives from scikit-learn's among them."""
    return descends_from(model, "sklearn", "BaseEstimator")


def _import_sklearn() -> Any:
    return imported("sklearn", "an oracle of an estimator needs scikit-learn", "sklearn")


def _check_fitted(estimator: Any) -> None:
    """Refuse what is no fitted estimator."""
    if isinstance(estimator, type) or not hasattr(estimator, "predict"):
        raise InvalidInputError(f"an oracle of an estimator needs a fitted classifier, got {estimator!r:.60}")
    validation = importlib.import_module("sklearn.utils.validation")
    exceptions = importlib.import_module("sklearn.exceptions")
    try:
        validation.check_is_fitted(estimator)
    except exceptions.NotFittedError as error:
        raise InvalidInputError(
            f"the estimator {type(estimator).__name__!r} must be fitted before it is attacked; call "
            "estimator.fit(X, y) first"
        ) from error


def _classes_of(estimator: Any) -> NDArray[Any]:
    """Return the classes of a classifier, (K,), in the order of its columns."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise InvalidInputError(
            f"an oracle tells classes apart, and the estimator {type(estimator).__name__!r} has no classes_; pass a "
            "classifier, or a function of the images that asks it"
        )
    if isinstance(classes, list) and any(np.ndim(each) > 0 for each in classes):
        raise InvalidInputError(
            f"an oracle gives one label per image, and the estimator {type(estimator).__name__!r} was fitted to give "
            f"{len(classes)}; pass a function that asks it for one of them"
        )
    found = np.asarray(classes)
    if found.ndim != 1 or len(found) < 2:
        raise InvalidInputError(
            f"an oracle tells at least two classes apart, and the estimator {type(estimator).__name__!r} knows "
            f"{_shown(found)}"
        )
    return found


def _shown(classes: NDArray[Any]) -> str:
    """Return classes in words, the first few of many."""
    named = [repr(each) for each in classes[:5].tolist()]
    return ", ".join([*named, "..."] if len(classes) > 5 else named)


def _checked_kind(estimator: Any, returns: ScoreKind | str | None) -> ScoreKind:
    """Return what an estimator is asked for."""
    able = [kind for kind, method in _METHODS.items() if hasattr(estimator, method)]
    if returns is None:
        return able[0]
    kind = ScoreKind.of(returns)
    if kind not in able:
        named = ", ".join(repr(each.value) for each in able)
        raise InvalidInputError(
            f"the estimator {type(estimator).__name__!r} can be asked for {named}, "
            f"got returns={kind.value!r}; to show less, wrap it: dfa.top_k(oracle, k), dfa.top_1(oracle)"
        )
    return kind


def _refuse_pairs(estimator: Any, returns: ScoreKind, num_classes: int) -> None:
    """Refuse one value per pair of classes, which are as many as the classes where these are three."""
    final = _final(estimator)
    if returns is ScoreKind.LOGITS and num_classes > 2 and getattr(final, "decision_function_shape", "") == "ovo":
        raise InvalidInputError(
            f"an oracle gives one score per class, and {type(final).__name__} gives one per pair of classes; set "
            "decision_function_shape='ovr' on it (it need not be fitted again), or pass returns='label'"
        )


def _refuse_named_columns(estimator: Any) -> None:
    """Refuse a pipeline that picks columns by their names, which arrays do not have."""
    if hasattr(estimator, "best_estimator_"):
        _refuse_named_columns(estimator.best_estimator_)
    for _, step in getattr(estimator, "steps", ()):
        _refuse_named_columns(step)
    if descends_from(estimator, "sklearn", "ColumnTransformer"):
        for name, _, columns in estimator.transformers_:
            picked = [columns.start, columns.stop] if isinstance(columns, slice) else np.atleast_1d(columns).tolist()
            named = next((each for each in picked if isinstance(each, str)), None)
            if named is not None:
                raise InvalidInputError(
                    f"the ColumnTransformer picks the columns of {name!r} by name, such as {named!r}, and an oracle "
                    "gives arrays, which have no names; fit it with places (0, 1, ...) for columns, or pass a function "
                    "of the images that makes a DataFrame and returns estimator.predict_proba(frame)"
                )


def _predicts_the_largest(estimator: Any) -> bool:
    """Tell whether `predict` names the class of the largest score by construction, through pipelines and searches."""
    kind = type(estimator)
    if kind.__module__.partition(".")[0] != "sklearn":
        return False
    final = estimator.best_estimator_ if hasattr(estimator, "best_estimator_") else None
    if kind.__name__ == "Pipeline":
        final = estimator.steps[-1][1]
    return kind.__name__ in _PREDICTS_THE_LARGEST if final is None else _predicts_the_largest(final)


def _final(estimator: Any) -> Any:
    """Return the classifier that a search or a pipeline ends in."""
    if hasattr(estimator, "best_estimator_"):
        return _final(estimator.best_estimator_)
    return _final(estimator.steps[-1][1]) if hasattr(estimator, "steps") else estimator
