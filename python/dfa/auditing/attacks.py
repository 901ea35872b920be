"""`dfa.audit_attack`: runs a Foolbox, ART or torchattacks attack as its users build it, and audits what it returns.

| library | what the object knows | what else is needed |
|---|---|---|
| Foolbox 3 | the attack | `model=` the Foolbox model, which has bounds and layout; an epsilon for some attacks |
| ART 1.20 | its estimator, with `clip_values`, `channels_first` and preprocessing | |
| torchattacks 3.5 | its model, and the normalization set with `set_normalization_used` | |
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.auditing.audit import audit
from dfa.auditing.audit_report import AuditReport
from dfa.auditing.normalizers import Affine, AnyNormalizer, Layout, Vectors, as_normalizer, checked_vectors
from dfa.auditing.vector_oracle import VectorOracle, as_vector_oracle
from dfa.auditing.vectors import on_host
from dfa.engine.inputs import Inputs
from dfa.errors import InvalidInputError
from dfa.oracle.base import descends_from
from dfa.search.goals import Rank, parse_labels, parse_targets
from dfa.types import Classes, Images


def audit_attack(
    attack: Any,
    oracle: Any,
    images: Images,
    labels: ArrayLike,
    *,
    targets: ArrayLike | None = None,
    model: Any = None,
    normalizer: Any = None,
    options: Mapping[str, Any] | None = None,
    epsilon: float | None = None,
    batch_size: int = 256,
    **audit_arguments: Any,
) -> AuditReport:
    """Run an attack and audit what it returns, in the space that its own objects say it works in.

    The model that was attacked answers for the vectors, `oracle` for the images. An attack that draws random numbers
    takes them from its own framework: seed that (`torch.manual_seed`, `numpy.random.seed`) to repeat one.

    Args:
        attack: A Foolbox, ART (evasion) or torchattacks attack.
        oracle: The classifier of uint8 images, anything `dfa.as_oracle` takes; None for the attacked model itself,
            behind its normalizer.
        images: uint8, (N, H, W, C), or (N, C, H, W) with layout="NCHW". They are held in memory as floats, since the
            attack wants them so.
        labels: Class ids, (N,).
        targets: One class id, or one per image, of an attack that is built to be targeted (ART's `targeted=True`, the
            torchattacks `set_mode_targeted_by_label()`); a Foolbox attack becomes targeted by them.
        model: The Foolbox model; of no other library.
        normalizer: Overrides the space that was found, see `dfa.audit`.
        options: More arguments of the attack's call: Foolbox's `epsilons` (in the units of the model's bounds), ART's
            `mask`, and so on.
        epsilon: The L-infinity budget in grey levels, for the report; a Foolbox L-infinity attack without `epsilons`
            takes its own from it.
        batch_size: Images per call of the attack (ART has a batch size of its own), and of the audit.
        **audit_arguments: More arguments of `dfa.audit`: `rounding`, `codec`, `seed`, ...

    Returns:
        The report; `report.vectors` holds what the attack returned, and `report.seconds["attack"]` what it took.

    Raises:
        InvalidInputError: The attack is of no library known here, lacks something, or its vectors cannot be audited.
        Exception: Whatever the attack raises.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        raise InvalidInputError(
            "images must be uint8 of shape (N, H, W, C), got "
            + (f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__)
        )
    # Before the attack, which may take hours.
    Inputs(images, layout=audit_arguments.get("layout"))
    if audit_arguments.get("layout") == "NCHW":
        images, audit_arguments["layout"] = images.transpose(0, 2, 3, 1), "NHWC"
    parsed = parse_labels(labels, len(images))
    if parsed is None:
        raise InvalidInputError("labels must be class ids, one per image, since attacks need them; got None")
    goals = parse_targets(targets, num_images=len(images), labels=parsed)
    if isinstance(goals, Rank):
        raise InvalidInputError(f"targets must be class ids, since attacks need them; got {targets!r}")
    adapter = _adapter(attack, model, epsilon, dict(options or {}))
    adapter.check_goals(goals)
    space = adapter.normalizer(images.shape) if normalizer is None else as_normalizer(normalizer)
    started = time.perf_counter()
    vectors = adapter.vectors(checked_vectors(space, images), parsed, goals, batch_size)
    seconds = time.perf_counter() - started
    report = audit(
        oracle,
        images,
        vectors,
        parsed,
        targets=goals,
        normalizer=space,
        vector_oracle=adapter.model(),
        epsilon=epsilon,
        batch_size=batch_size,
        **audit_arguments,
    )
    report.vectors = vectors
    report.seconds["attack"] = seconds
    report.config["attack"] = _shown(attack)
    return report


def _shown(attack: Any) -> str:
    """Return what an attack shows of itself, or its class where that fails, as of ART's SquareAttack."""
    try:
        return repr(attack)
    except Exception:
        return type(attack).__qualname__


class _Adapter(ABC):
    """What is asked of a library's attack."""

    @abstractmethod
    def check_goals(self, targets: Classes | None) -> None:
        """Refuse targets for an attack that takes none, and the reverse."""

    @abstractmethod
    def normalizer(self, shape: tuple[int, ...]) -> AnyNormalizer:
        """Return the space of the attack for images (N, H, W, C)."""

    @abstractmethod
    def model(self) -> VectorOracle:
        """Return the model that was attacked."""

    @abstractmethod
    def vectors(self, clean: Vectors, labels: Classes, targets: Classes | None, batch_size: int) -> Vectors:
        """Return the adversarial vectors of clean ones."""


class _Foolbox(_Adapter):
    def __init__(self, attack: Any, model: Any, epsilon: float | None, options: dict[str, Any]) -> None:
        if not descends_from(model, "foolbox", "Model"):
            raise InvalidInputError(
                "a Foolbox attack does not know what it attacks: pass model= the Foolbox model (foolbox.PyTorchModel, "
                f"...), got {model!r}"
            )
        self._attack, self._model, self._options = attack, model, options
        low, high = model.bounds
        if "epsilons" not in options:
            options["epsilons"] = None
            if descends_from(attack, "foolbox", "FixedEpsilonAttack"):
                if epsilon is None or getattr(attack.distance, "p", None) != np.inf:
                    raise InvalidInputError(
                        f"the Foolbox attack {type(attack).__name__} needs an epsilon: pass options={{'epsilons': "
                        f"number}} in the units of the model's bounds, {low:g}..{high:g}, or epsilon= grey levels for "
                        "an L-infinity attack"
                    )
                options["epsilons"] = epsilon / 255 * (high - low)
        if isinstance(options["epsilons"], list | tuple | np.ndarray):
            raise InvalidInputError(f"an audit is of one epsilon at a time, got epsilons={options['epsilons']!r}")

    def check_goals(self, targets: Classes | None) -> None:
        """Accept both: the criterion makes a Foolbox attack what it is."""

    def normalizer(self, shape: tuple[int, ...]) -> AnyNormalizer:
        layout: Layout = "NCHW" if getattr(self._model, "data_format", "") == "channels_first" else "NHWC"
        return Affine.between(*map(float, self._model.bounds), layout=layout)

    def model(self) -> VectorOracle:
        return VectorOracle(lambda vectors: on_host(self._model(self._native(vectors))), name="Foolbox model")

    def vectors(self, clean: Vectors, labels: Classes, targets: Classes | None, batch_size: int) -> Vectors:
        import foolbox

        def attacked(part: slice) -> Any:
            goals = self._native((labels if targets is None else targets)[part])
            named = foolbox.criteria
            criterion = named.Misclassification(goals) if targets is None else named.TargetedMisclassification(goals)
            _, clipped, _ = self._attack(self._model, self._native(clean[part]), criterion, **self._options)
            return clipped

        return _in_batches(attacked, len(clean), batch_size)

    def _native(self, values: NDArray[Any]) -> Any:
        """Return an array as a tensor of the model's framework."""
        import eagerpy

        inner = self._model
        while (
            not hasattr(inner, "dummy") and hasattr(inner, "_model") and descends_from(inner._model, "foolbox", "Model")
        ):
            inner = inner._model  # what transform_bounds wrapped
        dummy = getattr(inner, "dummy", None)
        # A copy, because torch warns of arrays that may not be written.
        return values if dummy is None else eagerpy.from_numpy(dummy, values.copy()).raw


class _Art(_Adapter):
    def __init__(self, attack: Any, options: dict[str, Any]) -> None:
        self._attack, self._options = attack, options
        self._estimator = attack.estimator

    def check_goals(self, targets: Classes | None) -> None:
        if bool(self._attack.targeted) != (targets is not None):
            raise InvalidInputError(
                f"targets go with an ART attack that was built with targeted=True, and only with it; "
                f"{type(self._attack).__name__} has targeted={self._attack.targeted}, and targets are "
                f"{'given' if targets is not None else 'None'}"
            )

    def normalizer(self, shape: tuple[int, ...]) -> AnyNormalizer:
        clip = self._estimator.clip_values
        if clip is None:
            raise InvalidInputError(
                "the ART estimator has no clip_values, so its space is unknown: build it with clip_values=(0.0, "
                "1.0), or pass normalizer="
            )
        low, high = (np.asarray(each, dtype=np.float64) for each in clip)
        if low.min() != low.max() or high.min() != high.max():
            raise InvalidInputError(f"clip_values that differ by coordinate need a normalizer=, got {clip}")
        first = tuple(self._estimator.input_shape) == (shape[3], shape[1], shape[2]) != tuple(shape[1:])
        is_first = getattr(self._estimator, "channels_first", first)
        return Affine.between(float(low.min()), float(high.min()), layout="NCHW" if is_first else "NHWC")

    def model(self) -> VectorOracle:
        return VectorOracle(
            # A copy, because torch warns of arrays that may not be written.
            lambda vectors: self._estimator.predict(vectors.astype(np.float32)),
            name=type(self._estimator).__name__,
        )

    def vectors(self, clean: Vectors, labels: Classes, targets: Classes | None, batch_size: int) -> Vectors:
        arguments = dict(self._options)
        # Its y are targets even where it is not called targeted; None draws some.
        if type(self._attack).__name__ not in _Y_IS_THE_TARGET or targets is not None:
            arguments.setdefault("y", labels if targets is None else targets)
        return on_host(self._attack.generate(x=clean, **arguments))


_Y_IS_THE_TARGET: Final = ("SaliencyMapMethod",)


class _Torchattacks(_Adapter):
    def __init__(self, attack: Any, options: dict[str, Any]) -> None:
        self._attack, self._options = attack, options

    def check_goals(self, targets: Classes | None) -> None:
        by_label = self._attack.attack_mode == "targeted(label)"
        if bool(self._attack.targeted) != (targets is not None) or (targets is not None and not by_label):
            raise InvalidInputError(
                "targets go with a torchattacks attack after set_mode_targeted_by_label(), and only with it (other "
                f"modes draw targets that nobody is told); its mode is {self._attack.attack_mode!r}, and targets are "
                f"{'given' if targets is not None else 'None'}"
            )

    def normalizer(self, shape: tuple[int, ...]) -> AnyNormalizer:
        used = self._attack.normalization_used
        if used is None:
            return Affine(layout="NCHW")
        mean, std = (on_host(used[name]).reshape(-1) for name in ("mean", "std"))
        return Affine(mean=mean, std=std, layout="NCHW")

    def model(self) -> VectorOracle:
        return as_vector_oracle(self._attack.model)

    def vectors(self, clean: Vectors, labels: Classes, targets: Classes | None, batch_size: int) -> Vectors:
        import torch

        device = self._attack.device
        goals = labels if targets is None else targets

        def attacked(part: slice) -> Any:
            images = torch.tensor(clean[part], device=device)
            return self._attack(images, torch.tensor(goals[part], device=device), **self._options)

        return _in_batches(attacked, len(clean), batch_size)


def _adapter(attack: Any, model: Any, epsilon: float | None, options: dict[str, Any]) -> _Adapter:
    if descends_from(attack, "foolbox", "Attack"):
        return _Foolbox(attack, model, epsilon, options)
    if model is not None:
        raise InvalidInputError("model goes with a Foolbox attack; the others know theirs")
    if descends_from(attack, "art", "EvasionAttack"):
        return _Art(attack, options)
    if descends_from(attack, "torchattacks", "Attack"):
        return _Torchattacks(attack, options)
    raise InvalidInputError(
        f"attack must be a Foolbox, ART (evasion) or torchattacks attack, got {attack!r}; run any other yourself, and "
        "pass what it returns to dfa.audit"
    )


def _in_batches(attacked: Callable[[slice], Any], number: int, batch_size: int) -> Vectors:
    parts = [on_host(attacked(slice(start, start + batch_size))) for start in range(0, number, batch_size)]
    vectors: Vectors = np.concatenate(parts)
    return vectors
