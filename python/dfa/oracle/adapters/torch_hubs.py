"""Models of timm, torchvision and Hugging Face transformers, with what their packages say of how they are asked.

| function | the attacked image | what is made of it |
|---|---|---|
| `from_timm` | of any size that the model takes | x / 255, mean and std of the model's data config |
| `from_torchvision` | of any size | the weights' own transforms: resized, cropped, normalised |
| `from_transformers` | of any size | the processor's: resized, perhaps cropped, normalised |

Where an image is resized on its way, epsilon is of the image that is attacked, before that.
"""

from __future__ import annotations

import importlib
from typing import Any

from dfa.errors import InvalidInputError, told
from dfa.oracle.adapters.torch import TorchOracle
from dfa.oracle.adapters.torch_modules import bare
from dfa.oracle.base import descends_from, text_of


def from_timm(model: Any, **settings: Any) -> TorchOracle:
    """Return the oracle of a timm model, normalised as its data config says.

    Images are best of the size that it was trained with, which its data config tells as `input_size`. Of a model that
    was made for grey images, with `in_chans=1`, mean and std are the means of the three channels'.

    Args:
        model: What `timm.create_model` made, in eval mode, compiled or not.
        settings: Further arguments of `dfa.TorchOracle`.

    Raises:
        InvalidInputError: The model has no data config; or as of `dfa.TorchOracle`.
    """
    inner = bare(model)
    if not hasattr(inner, "pretrained_cfg"):
        raise InvalidInputError(
            f"from_timm needs a model of timm.create_model, which has a pretrained_cfg, got {type(inner).__name__}; "
            "pass dfa.as_oracle(model, mean=..., std=...)"
        )
    timm: Any = importlib.import_module("timm.data")
    config = timm.resolve_model_data_config(inner)
    name = str(inner.pretrained_cfg.get("architecture") or type(inner).__name__)
    mean, std = config["mean"], config["std"]
    if _takes_grey(inner):
        mean, std = (sum(each) / len(each) for each in (mean, std))
    return TorchOracle(model, **({"mean": mean, "std": std, "name": name} | settings))


def _takes_grey(model: Any) -> bool:
    """Tell whether a timm model's first convolution takes one channel; its data config does not tell."""
    first = model.pretrained_cfg.get("first_conv")
    parts = dict(model.named_modules())
    return isinstance(first, str) and getattr(parts.get(first), "in_channels", None) == 1


def from_torchvision(model: Any, weights: Any, **settings: Any) -> TorchOracle:
    """Return the oracle of a torchvision model, behind the transforms of its weights.

    Args:
        model: What a function of `torchvision.models` made, in eval mode.
        weights: Those that it was made with, such as `torchvision.models.ResNet50_Weights.DEFAULT`. Their transforms
            run on the model's device, on uint8 images; their classes' names become `class_names`, unless the model has
            a head of another number of classes.
        settings: Further arguments of `dfa.TorchOracle`.

    Raises:
        InvalidInputError: `weights` has no transforms; or as of `dfa.TorchOracle`.
    """
    if not callable(getattr(weights, "transforms", None)):
        raise InvalidInputError(
            "from_torchvision needs the weights that the model was made with, such as "
            f"torchvision.models.ResNet50_Weights.DEFAULT, got {weights!r:.60}"
        )
    name = f"{type(model).__name__} ({text_of(weights)})"
    oracle = TorchOracle(model, **({"transform": weights.transforms(), "name": name} | settings))
    oracle.class_names = _names(getattr(weights, "meta", {}).get("categories"), model)
    return oracle


def from_transformers(model: Any, processor: Any, **settings: Any) -> TorchOracle:
    """Return the oracle of an image classifier of Hugging Face's transformers, behind its image processor.

    Args:
        model: What `AutoModelForImageClassification.from_pretrained` made.
        processor: What `AutoImageProcessor.from_pretrained` made. One that works in torch runs on the model's device;
            one that works in PIL or NumPy on the CPU, image by image, and gives slightly other numbers.
        settings: Further arguments of `dfa.TorchOracle`.

    Raises:
        InvalidInputError: `model` or `processor` is none such; or as of `dfa.TorchOracle`.
    """
    if not callable(processor) or not descends_from(processor, "transformers", "BaseImageProcessor"):
        raise InvalidInputError(
            "from_transformers needs the model's image processor, such as AutoImageProcessor.from_pretrained(name), "
            f"got {type(processor).__name__}"
        )
    config = getattr(model, "config", None)
    name = str(getattr(config, "_name_or_path", "") or type(model).__name__)
    given: dict[str, Any] = {"transform": _Processed(processor), "name": name}
    oracle = TorchOracle(model, **(given | settings))
    names = dict(getattr(config, "id2label", None) or {})
    if sorted(names) == list(range(len(names))) and names != {place: f"LABEL_{place}" for place in names}:
        oracle.class_names = _names([names[place] for place in range(len(names))], model)
    return oracle


class _Processed:
    """A processor of transformers as a transform of uint8 batches (n, C, H, W)."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __repr__(self) -> str:
        # What records show: the settings, and which of its implementations it is.
        return f"{type(self._processor).__name__} {self._processor.to_json_string()}"

    def __call__(self, batch: Any) -> Any:
        try:
            # A list: a processor takes a tensor of four axes for a batch only since version 5.
            made = self._processor(list(batch), return_tensors="pt", input_data_format="channels_first")
        except Exception as error:  # processors raise anything
            raise InvalidInputError(
                f"the processor {type(self._processor).__name__} failed on images of shape {tuple(batch.shape[1:])}: "
                f"{told(error)}"
            ) from error
        return made["pixel_values"].to(batch.device)


def _names(names: Any, model: Any) -> tuple[str, ...] | None:
    """Return the names of a model's classes, unless it was given a head of another number of them."""
    if not names or _num_outputs(model) not in (None, len(names)):
        return None
    return tuple(map(str, names))


def _num_outputs(model: Any) -> int | None:
    """Return how many numbers the last layer that tells makes: of classifiers the head, a product or a convolution."""
    told = None
    for part in model.modules():
        made = getattr(part, "out_features", getattr(part, "out_channels", None))
        told = made if isinstance(made, int) else told
    return told
