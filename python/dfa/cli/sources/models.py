"""Models from words: files, names of timm and torchvision, `module:attribute`, addresses; and the oracles of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dfa.cli.sources.hubs import HUBS, hub_of, load_timm, load_torchvision
from dfa.cli.sources.model_files import SUFFIXES, check_trusted, load_keras, load_pickle
from dfa.cli.sources.objects import load_object
from dfa.cli.sources.services import SERVICES, open_service, refuse_settings, service_of
from dfa.errors import InvalidInputError, told
from dfa.files import check_file, reading
from dfa.oracle import (
    OnnxOracle,
    Oracle,
    RestrictedOracle,
    ScoreKind,
    TfliteOracle,
    TorchOracle,
    as_oracle,
    from_timm,
    from_torchvision,
)
from dfa.oracle.adapters.torch_files import load_program
from dfa.oracle.base import descends_from

MODEL_SETTINGS: Final = (
    "returns",
    "mean",
    "std",
    "value_range",
    "model_layout",
    "device",
    "preprocess",
    "class_offset",
    "num_classes",
    "k",
    "shows",
)
"""What says how a model is asked: the parameters of `open_oracle`, which commands have as flags."""

_TAKES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "keras": ("a Keras file", ("returns", "preprocess")),
    "tflite": ("a .tflite file", ("returns", "preprocess", "class_offset")),
    "torch": ("a torch file", ("returns", "mean", "std", "model_layout", "device")),
    "onnx": (
        "an .onnx file",
        ("returns", "mean", "std", "value_range", "model_layout", "device", "preprocess"),
    ),
    "timm": ("a model of timm, which knows its mean and std", ("returns", "device")),
    "torchvision": ("a model of torchvision, whose weights know its transforms", ("returns", "device")),
    "http": ("a service that is sent images", ("returns", "num_classes", "k")),
    "oip": (
        "a model on a server",
        ("returns", "mean", "std", "value_range", "model_layout", "preprocess", "num_classes", "k"),
    ),
}
"""By the kind of a word: what messages call it, and which settings go with it; of other kinds `as_oracle` judges."""


def load_model(word: str, *, device: str | None = None, trust_pickle: bool = False) -> Any:
    """Return the model that a word names.

    Args:
        word: A file, `timm:NAME`, `torchvision:NAME`, or `module:attribute`.
        device: Where a torch model that is loaded here is put; None for the CPU.
        trust_pickle: The user lets the code of a pickle run.

    Returns:
        A Keras model, a torch module, the path of a .tflite or an .onnx file, or whatever object it is.

    Raises:
        InvalidInputError: It names none.
        MissingDependencyError: The framework that loads it is not installed.
    """
    kind = kind_of(word)
    if kind in SERVICES:
        return open_service(word, kind, {}, None, None)
    if kind == "timm":
        return _on(load_timm(word), device)
    if kind == "torchvision":
        return _on(load_torchvision(word)[0], device)
    if kind == "object":
        return load_object(word)
    path = _checked_path(word)
    if kind == "keras":
        return load_keras(path)
    if kind == "torch":
        return _on(load_program(path), device)
    return load_pickle(path, is_trusted=trust_pickle) if kind == "pickle" else path


def check_model(model: str, *, trust_pickle: bool = False, **settings: Any) -> None:
    """Refuse what shows in the words of `open_oracle` alone, so that nothing is begun for them.

    Args:
        model: As of `open_oracle`.
        trust_pickle: Likewise.
        settings: Likewise, all of `MODEL_SETTINGS`.

    Raises:
        InvalidInputError: They do not go together, or name no file.
    """
    kind = kind_of(model)
    _refuse_others(model, kind, _given(settings))
    if kind in SUFFIXES.values():
        path = _checked_path(model)
        if kind == "pickle":
            check_trusted(path, is_trusted=trust_pickle)


def open_oracle(
    model: str,
    *,
    returns: str | None,
    mean: str | None,
    std: str | None,
    value_range: str | None,
    model_layout: str | None,
    device: str | None,
    preprocess: str | None,
    class_offset: int,
    num_classes: int | None,
    k: int | None,
    shows: str | None,
    trust_pickle: bool = False,
    moves_modules: bool = False,
    service: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[Oracle, int | None]:
    """Return a model ready to be asked, and how many channels it takes, if it tells.

    Args:
        model: What names it.
        returns: What it answers; None for what models of its kind mostly do.
        mean: Numbers with commas between them, of images in 0..1, which are subtracted.
        std: Likewise; what is left is divided by them.
        value_range: Of an .onnx file or an estimator: two numbers with a comma between them, what 0 and 255 become.
        model_layout: "NCHW" or "NHWC", of what it takes.
        device: Where it runs.
        preprocess: module:attribute of a function that goes before it.
        class_offset: Of a .tflite file: the class of its first output is minus this.
        num_classes: Of a function whose answers do not tell.
        k: How many classes are shown.
        shows: What of its answers is shown; None for all.
        trust_pickle: The user lets the code of a pickle run.
        moves_modules: Whether a torch module of the user's is put on the device too.
        service: `SERVICE_SETTINGS`, of a command that may ask services.
        classes: What a service calls its classes; None where it does not matter, or is not known.

    Raises:
        InvalidInputError: The model cannot be opened, or these do not go together.
        MissingDependencyError: The framework that runs it is not installed.
    """
    kind = kind_of(model)
    given = _given(
        {
            "returns": returns,
            "mean": mean,
            "std": std,
            "value_range": value_range,
            "model_layout": model_layout,
            "device": device,
            "preprocess": preprocess,
            "class_offset": class_offset,
            "num_classes": num_classes,
            "k": k,
            "shows": shows,
        }
    )
    _refuse_others(model, kind, given)
    if kind in SERVICES and shows is not None:
        raise InvalidInputError(f"--shows hides what a model here tells, and {model} is a service; leave it out")
    if kind not in SERVICES:
        refuse_settings(model, service)
    if kind == "torchvision":
        loaded, weights = load_torchvision(model)
        loaded = _on(loaded, device)
    else:
        loaded = None if kind in SERVICES else load_model(model, device=device, trust_pickle=trust_pickle)
        weights = None
    if kind == "object":
        _refuse_maker(model, loaded)
        loaded = _on(loaded, device) if moves_modules and descends_from(loaded, "torch", "Module") else loaded
    if preprocess is not None:
        given["preprocess"] = load_object(preprocess)
    if "model_layout" in given:
        given["layout"] = given.pop("model_layout")
    oracle: Oracle
    if kind in SERVICES:
        oracle = open_service(model, kind, given, service, classes)
    elif isinstance(loaded, Oracle):
        if given:
            raise InvalidInputError(f"{model} is a dfa.Oracle and says itself what it returns and how it preprocesses")
        oracle = loaded
    elif kind == "tflite":
        oracle = TfliteOracle(loaded, **given)
    elif kind == "torch":
        oracle = TorchOracle(loaded, name=Path(model).name, **given)
    elif kind == "onnx":
        if "device" in given:
            given["providers"] = _providers(given.pop("device"))
        oracle = OnnxOracle(loaded, **given)
    elif kind == "timm":
        oracle = from_timm(loaded, **given)
    elif kind == "torchvision":
        oracle = from_torchvision(loaded, weights, **given)
    else:
        oracle = as_oracle(loaded, **given)
    channels = _channels_of(kind, loaded, oracle, given)
    if shows is not None:
        oracle = RestrictedOracle(oracle, ScoreKind(shows), k=k, num_classes=num_classes)
    return oracle, channels


def open_prior(word: str | None, *, device: str | None, trust_pickle: bool) -> Any:
    """Return the surrogate that a word names, as `dfa.run` takes it, or None.

    It is asked as models of its kind mostly are: what says how the attacked model is asked is not said of it.

    Args:
        word: As of `load_model`; an object may also be a function of images and goals.
        device: Where a torch model that is loaded here is put; None for the CPU.
        trust_pickle: The user lets the code of a pickle run.

    Raises:
        InvalidInputError: It names none, or one without gradients.
        MissingDependencyError: The framework that loads it is not installed.
    """
    if word is None:
        return None
    kind = kind_of(word)
    if kind in ("onnx", "tflite", "torchvision", *SERVICES):
        raise InvalidInputError(
            f"--prior must be a model with gradients from its class back to grey levels, which {word} does not have; "
            "pass a .keras, .pt, .ts or .pt2 file, timm:NAME, or module:attribute for a torch or Keras model, or for a "
            "function of images and goals"
        )
    if kind in ("torch", "timm"):
        # Of these the word says more than the model that is loaded: its name, or how it is asked.
        unsaid: dict[str, Any] = dict.fromkeys(MODEL_SETTINGS) | {"class_offset": 0}
        return open_oracle(word, **unsaid | {"device": device})[0]
    loaded = load_model(word, trust_pickle=trust_pickle)
    if loaded is None:  # which would be a run without a surrogate
        raise InvalidInputError(f"--prior must name a surrogate, and {word} is nothing (None)")
    return loaded


def kind_of(word: str) -> str:
    """Return the kind of model that a word names: one of `SUFFIXES`, a hub, one of `SERVICES`, or "object".

    An object is what module:attribute names.

    Raises:
        InvalidInputError: It is no word for a model.
    """
    kind = service_of(word) or hub_of(word) or SUFFIXES.get(Path(word).suffix.lower())
    if kind is None and ":" not in word:
        raise InvalidInputError(
            "MODEL must be a .keras, .tflite, .onnx, .pt, .ts or .pt2 file, "
            f"{' or '.join(f'{hub}:NAME' for hub in HUBS)}, or module:attribute for any model or function of a uint8 "
            f"batch, or https://HOST/PATH for a service, got {word!r}"
        )
    return kind or "object"


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of `MODEL_SETTINGS` are said of the model, by name, and numbers as such.

    Raises:
        InvalidInputError: There should be numbers, and are none.
    """
    # With `shows`, `k` and `num_classes` are of what is shown of its answers.
    shown = ("shows",) if settings["shows"] is None else ("shows", "num_classes", "k")
    words = {name: word for name, word in settings.items() if name not in shown}
    for name in ("mean", "std", "value_range"):
        words[name] = _numbers(_flag(name), words[name])
    words["class_offset"] = words["class_offset"] or None
    return {name: word for name, word in words.items() if word is not None}


def _checked_path(word: str) -> Path:
    """Return the path of a file that a word names.

    Raises:
        InvalidInputError: It names none.
    """
    path = Path(word)
    with reading(word):
        is_there = path.exists()
    if not is_there:
        raise InvalidInputError(f"MODEL must be a file that exists, and {word!r} does not")
    check_file(path)
    return path


def _refuse_others(model: str, kind: str, given: Mapping[str, Any]) -> None:
    """Refuse settings that do not go with a kind of model, before it is loaded, which takes a while.

    Raises:
        InvalidInputError: One does not.
    """
    if "class_offset" in given and kind != "tflite":
        raise InvalidInputError(f"--class-offset is for .tflite files, and {model} is none")
    if ("mean" in given) != ("std" in given):
        raise InvalidInputError("--mean and --std go together; give both, or neither")
    if kind not in _TAKES:
        return
    called, taken = _TAKES[kind]
    others = [_flag(name) for name in given if name not in taken]
    if others:
        of_answers = "; --num-classes and --k go with --shows" if {"num_classes", "k"} & set(given) else ""
        raise InvalidInputError(
            f"{model} is {called}, and goes with {', '.join(map(_flag, taken))}, not with {', '.join(others)}"
            f"{of_answers}"
        )


def _refuse_maker(word: str, loaded: Any) -> None:
    """Refuse a function that takes no batch, as one does that makes the model.

    Raises:
        InvalidInputError: It is one.
    """
    if not inspect.isfunction(loaded):
        return
    try:
        inspect.signature(loaded).bind(None)
    except TypeError:
        place, _, name = word.rpartition(":")
        raise InvalidInputError(
            f"{word} must be a model, or a function that can be called with a batch alone, and {name}"
            f"{inspect.signature(loaded)} cannot; if it makes the model, write net = {name}(...) in {place}, and give "
            f"{place}:net"
        ) from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _numbers(flag: str, word: str | None) -> float | list[float] | None:
    """Return the number, or the numbers with commas between them, of a word.

    Raises:
        InvalidInputError: It holds others.
    """
    if word is None:
        return None
    try:
        numbers = [float(part) for part in word.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"{flag} must be one number, or one per channel with commas between them, such as 0.485,0.456,0.406, got "
            f"{word!r}"
        ) from None
    return numbers[0] if len(numbers) == 1 else numbers


def _on(module: Any, device: str | None) -> Any:
    """Return a torch module that was loaded here, on a device.

    Raises:
        InvalidInputError: There is no such device.
    """
    if device is None:
        return module
    try:
        return module.to(device)
    except Exception as error:  # torch raises many kinds, by what is missing
        raise InvalidInputError(f"--device must be one that torch has here, got {device!r}: {told(error)}") from error


def _providers(device: str) -> list[Any] | None:
    """Return the execution providers of ONNX Runtime that a device stands for: cpu, cuda, cuda:1, or one's own name."""
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return None
    name = kind if kind.endswith("ExecutionProvider") else f"{kind.upper()}ExecutionProvider"
    return [(name, {"device_id": number})] if number else [name]


def _channels_of(kind: str, model: Any, oracle: Oracle, given: Mapping[str, Any]) -> int | None:
    """Return how many channels a model takes, or None where nothing tells."""
    if kind == "torchvision":
        return 3
    mean = given.get("mean")
    if isinstance(mean, list):
        return len(mean)
    # Of a Keras model, of the oracle of a .tflite file, of that of a timm model.
    for shape in (
        getattr(model, "input_shape", None),
        getattr(oracle, "input_shape", None),
        getattr(oracle, "size", None),
    ):
        if isinstance(shape, tuple) and len(shape) in (3, 4) and isinstance(shape[-1], int):
            return shape[-1]
    return None
