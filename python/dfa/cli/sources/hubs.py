"""Models of timm and torchvision by their names: with the weights of their authors, or with those of a file.

`timm:NAME` downloads weights, unless they have been downloaded before; `timm:NAME@FILE` reads them from a .safetensors
file, which holds numbers and no code.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, Final

from dfa.errors import InvalidInputError, MissingDependencyError, told
from dfa.files import check_file

HUBS: Final = ("timm", "torchvision")

_WORD: Final = re.compile(rf"(?P<hub>{'|'.join(HUBS)}):(?P<name>[^@]*)(?:@(?P<file>.*))?", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_SHOWN: Final = 5


def hub_of(word: str) -> str | None:
    """Return the package that a word begins with, or None."""
    found = _WORD.fullmatch(word)
    return None if found is None else found["hub"]


def weights_in(word: str) -> Path | None:
    """Return the file of weights that the word of a hub names, or None."""
    found = _WORD.fullmatch(word)
    return Path(found["file"]) if found is not None and found["file"] is not None else None


def load_timm(word: str) -> Any:
    """Return the timm model that `timm:NAME` or `timm:NAME@FILE` names, in eval mode on the CPU.

    It has as many classes as the file has, if there is one.

    Raises:
        InvalidInputError: There is no such model, or its weights cannot be had.
        MissingDependencyError: timm is not installed.
    """
    timm, name = _imported("timm"), _name_in(word)
    if not timm.is_model(name):
        raise _unknown(word, timm.list_models(f"*{name}*"))
    state = _state_in(word)
    settings = {} if state is None else _classes_in(state, timm.get_pretrained_cfg(name))
    try:
        model = timm.create_model(name, pretrained=state is None, **settings)
        if state is not None:
            model.load_state_dict(state)
    except Exception as error:  # of the network, of files, of shapes
        raise _without_weights(word, error) from error
    return model.eval()


def load_torchvision(word: str) -> tuple[Any, Any]:
    """Return the torchvision model that `torchvision:NAME` or `torchvision:NAME@FILE` names, and its best weights.

    Returns:
        The model, in eval mode on the CPU, and the `WeightsEnum` that says how it is asked.

    Raises:
        InvalidInputError: There is no such model, or its weights cannot be had.
        MissingDependencyError: torchvision is not installed.
    """
    models, name = _imported("torchvision.models"), _name_in(word)
    known = models.list_models(module=models)
    if name not in known:
        raise _unknown(word, [each for each in known if name in each])
    state = _state_in(word)
    weights = models.get_model_weights(name).DEFAULT
    try:
        model = models.get_model(name, weights=weights if state is None else None, progress=False)
        if state is not None:
            model.load_state_dict(state)
    except Exception as error:
        raise _without_weights(word, error) from error
    return model.eval(), weights


def _imported(package: str) -> Any:
    hub = package.partition(".")[0]
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"{hub}:NAME needs {hub}: pip install {hub}; {told(error)}") from error
    except Exception as error:  # torchvision's operators may not fit the torch that is there
        raise InvalidInputError(f"{package} cannot be imported: {told(error)}") from error


def _name_in(word: str) -> str:
    found = _WORD.fullmatch(word)
    assert found is not None
    if _NAME.fullmatch(found["name"]) is None or found["file"] == "":
        raise InvalidInputError(
            f"MODEL must be {found['hub']}:NAME, or {found['hub']}:NAME@weights.safetensors, with a name as "
            f"{found['hub']} lists it, got {word!r}"
        )
    return found["name"]


def _state_in(word: str) -> dict[str, Any] | None:
    """Return the parameters of the file that a word names, or None where it names none."""
    file = weights_in(word)
    if file is None:
        return None
    check_file(file)
    if file.suffix != ".safetensors":
        raise InvalidInputError(
            f"weights must be a .safetensors file, and {str(file)!r} is none; other files of torch are pickles, which "
            "may run any code when they are read; write them with safetensors.torch.save_file(model.state_dict(), file)"
        )
    safetensors = _imported("safetensors.torch")
    try:
        state: dict[str, Any] = safetensors.load_file(str(file))
    except Exception as error:
        raise InvalidInputError(f"cannot read weights from {str(file)!r}: {told(error)}") from error
    return state


def _classes_in(state: dict[str, Any], config: Any) -> dict[str, int]:
    """Return how many classes parameters are of, as a setting, where the model's config says where that shows."""
    classifier = getattr(config, "classifier", None)
    weight = state.get(f"{classifier}.weight") if isinstance(classifier, str) else None
    return {} if weight is None else {"num_classes": len(weight)}


def _unknown(word: str, similar: list[str]) -> InvalidInputError:
    hub, name = hub_of(word), _name_in(word)
    hint = f"; it has {', '.join(similar[:_SHOWN])}{', ...' if len(similar) > _SHOWN else ''}" if similar else ""
    return InvalidInputError(f"{hub} has no model {name!r}{hint}; {hub}'s list_models() names them all")


def _without_weights(word: str, error: Exception) -> InvalidInputError:
    file = weights_in(word)
    if file is not None:
        return InvalidInputError(f"{str(file)!r} must hold the weights of {_name_in(word)}: {told(error)}")
    return InvalidInputError(
        f"the weights of {word} cannot be had: {told(error)}\n(they are downloaded; where there is no network, name a "
        f"file of them: {word}@weights.safetensors)"
    )
