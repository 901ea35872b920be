"""How a model on a server is asked, from what the server says of it and what the user wishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from dfa.checks import require_flag
from dfa.errors import InvalidInputError
from dfa.oracle.adapters.image_inputs import ImageInput
from dfa.oracle.adapters.onnx_forms import layout_of, num_outputs_of
from dfa.oracle.adapters.scaling import Scaling
from dfa.oracle.base import Preprocess, checked_preprocess
from dfa.oracle.services.oip_models import Described, ServedModel, chosen_input, chosen_output
from dfa.oracle.services.oip_tensors import TEXT, OipTensor


@dataclass(frozen=True)
class Wishes:
    """What the user says of a model; each is None where nothing is said."""

    input: Described | None
    output: Described | None
    binary: bool | None
    layout: str | None
    scaling: Scaling | None
    preprocess: Preprocess | None

    def __post_init__(self) -> None:
        """Refuse what no server can be asked for.

        Raises:
            InvalidInputError: There is such a wish.
        """
        if self.binary is not None:
            require_flag("binary", self.binary)
        checked_preprocess(self.preprocess)
        for kind, given in (("input", self.input), ("output", self.output)):
            if given is not None and not isinstance(given, str):
                OipTensor.read(given, kind)


class BoundModel(NamedTuple):
    """A model whose server was asked what it is, and how it is asked from then on.

    Attributes:
        served: What the server said.
        images: What its input is.
        output: The output that is asked for; its name alone, or None, where the server describes none.
        is_binary: Whether tensors go as bytes.
    """

    served: ServedModel
    images: ImageInput
    output: OipTensor | str | None
    is_binary: bool

    @property
    def wanted(self) -> str | None:
        """The name of the output that is asked for."""
        return self.output.name if isinstance(self.output, OipTensor) else self.output

    @property
    def rows(self) -> int | None:
        """Of every request, where the model fixes them."""
        return self.images.taken.shape[0] if self.images.taken.shape else None

    def num_classes_beside(self, declared: int | None) -> int | None:
        """Return how many classes the output scores, if that is what was declared.

        Raises:
            InvalidInputError: It is not.
        """
        output = self.output
        if not isinstance(output, OipTensor) or output.kind == TEXT or len(output.shape) < 2:
            return declared
        told = num_outputs_of(output)
        number = 2 if told == 1 else told
        if None not in (number, declared) and number != declared:
            raise InvalidInputError(
                f"the model {self.images.model!r} gives {output}, {number} classes, got num_classes={declared}"
            )
        return declared if number is None else number

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of it, in plain JSON types."""
        output = self.output.describe() if isinstance(self.output, OipTensor) else {"name": self.output}
        return {
            "versions": list(self.served.versions),
            "platform": self.served.platform,
            "server": self.served.server,
            "layout": self.images.layout,
            "binary": self.is_binary,
            "input": self.images.taken.describe(),
            "output": output,
        }


def bind(model: str, served: ServedModel, wishes: Wishes) -> BoundModel:
    """Return how a model is asked.

    Args:
        model: Its name on the server.
        served: What the server says of it.
        wishes: Of the user.

    Raises:
        InvalidInputError: It is no classifier of images, or the wishes do not go with it.
    """
    taken = chosen_input(wishes.input, served, model)
    output = chosen_output(wishes.output, served, model)
    # Rows of numbers have no channels; a layout says in which order an image's go there.
    is_flat = len(taken.shape) == 2
    layout = layout_of(taken, wishes.layout)
    images = ImageInput(model, taken, layout, wishes.scaling, wishes.preprocess, is_flat)
    images.refuse_what_says_nothing(wishes.layout)
    binary = served.has("binary_tensor_data") if wishes.binary is None else wishes.binary
    return BoundModel(served, images, output, binary)
