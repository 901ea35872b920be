"""dfa as an attack of torchattacks: `DFA(model, eps=8 / 255)(images, labels)`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from dfa.extras import imported
from dfa.integrations.grid import Grid
from dfa.integrations.modes import modes_kept
from dfa.integrations.settings import attacked, checked_settings
from dfa.oracle.adapters.torch import TorchOracle
from dfa.oracle.raw import on_host
from dfa.results.result import Result

_attack: Any = imported("torchattacks.attack", "dfa.integrations.torchattacks needs torchattacks", "audit")


class DFA(_attack.Attack):  # type: ignore[misc]
    """Within an L-infinity eps, on 8-bit images, by the model's answers alone.

    Takes and returns images (N, C, H, W) in 0..1, or normalised ones after `set_normalization_used(mean, std)`. All
    modes of torchattacks are taken (`set_mode_targeted_by_label` and so on); what those that draw targets ask of the
    model themselves stands in no `result`. Every part of the model is left in the mode that it was in.

    Attributes:
        eps: The largest change, of 0..1; what is no whole number of grey levels is rounded down.
        result: Of the last call, the `dfa.Result`: records, queries, profile. None before.
    """

    def __init__(self, model: Any, eps: float = 8 / 255, *, returns: str = "logits", **settings: Any) -> None:
        """Keep a model and settings.

        Args:
            model: A `torch.nn.Module`.
            eps: The largest change, of 0..1.
            returns: What the model answers, "logits" or "probabilities".
            **settings: More arguments of `dfa.run`, such as `max_queries` and `seed`.

        Raises:
            InvalidInputError: A setting is no argument of `dfa.run`.
        """
        super().__init__("DFA", model)
        self.supported_mode = ["default", "targeted"]
        self.eps = eps
        self.result: Result | None = None
        self._returns = returns
        # No dict: torchattacks looks for attacks inside of those, and compares all that it finds.
        self._settings = MappingProxyType(checked_settings(settings))

    def __call__(self, inputs: Any, labels: Any = None) -> Any:
        """Attack images.

        Args:
            inputs: Float32, (N, C, H, W), on the grid of 8-bit images up to the rounding of float32.
            labels: Class ids, (N,), or in the mode targeted by label the targets. None: the model's own answers.

        Returns:
            Images likewise, on the model's device, k / 255 to the last bit where nothing is normalised; those as they
            were where nothing was found.

        Raises:
            InvalidInputError: An argument is not as described.
            DfaError: Whatever `dfa.run` raises.
        """
        is_normalised = self._normalization_applied
        try:
            with modes_kept(self.model):
                return super().__call__(inputs, labels)
        finally:
            # torchattacks leaves it as it was inside, should the attack fail.
            self._set_normalization_applied(is_normalised)

    def forward(self, inputs: Any, labels: Any = None) -> Any:
        """Attack images in 0..1; `__call__` is what a user calls."""
        torch: Any = imported("torch", "dfa.integrations.torchattacks needs PyTorch", "torch")
        grid = Grid(0.0, 1.0, channels_first=True)
        values = np.asarray(on_host(inputs))
        images = grid.images(values)
        used = self.normalization_used or {}
        mean, std = (used[name].flatten().tolist() if used else None for name in ("mean", "std"))
        oracle = TorchOracle(self.model, mean=mean, std=std, returns=self._returns, device=self.device)
        goals = self.get_target_label(inputs, labels) if self.targeted else labels
        classes = None if goals is None else np.asarray(on_host(goals))
        epsilon = grid.epsilon(self.eps)
        self.result = attacked(
            oracle, images, classes, is_targeted=self.targeted, epsilon=epsilon, settings=self._settings
        )
        found = grid.values(self.result.adversarial(images), values.dtype)
        return torch.from_numpy(found).to(self.device or inputs.device)
