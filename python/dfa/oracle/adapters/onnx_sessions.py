"""What dfa needs of ONNX Runtime beside asking a model: sessions, their providers, and what names the weights."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.files import opened

Provider: TypeAlias = str | tuple[str, Mapping[str, Any]]
"""An execution provider of ONNX Runtime: its name, or that and its options."""

_CPU: Final = "CPUExecutionProvider"
_ON_CPU: Final = {_CPU, "AzureExecutionProvider", "DnnlExecutionProvider", "XnnpackExecutionProvider"}
"""Providers whose models run on the CPU."""

_LOCATION: Final = re.compile(rb"\x0a\x08location\x12(?:([\x00-\x7f])|([\x80-\xff][\x00-\x7f]))")
"""What stands before the name of a file of external data: a key, and the length of the name in one byte or two."""


def import_onnxruntime() -> Any:
    """Return the module onnxruntime.

    Raises:
        MissingDependencyError: It is not installed.
    """
    return imported("onnxruntime", "an ONNX oracle needs ONNX Runtime", "onnx")


def open_session(path: Path, providers: Sequence[Provider] | None, options: Any) -> Any:
    """Return a session of a file that runs on all the providers that were asked for.

    Args:
        path: Of the model; files of external data lie beside it.
        providers: In the order in which they are preferred; None: the CPU.
        options: `onnxruntime.SessionOptions`, or None.

    Raises:
        InvalidInputError: The file holds no model, or a provider is not there. ONNX Runtime alone would warn, and go on
            with the CPU.
    """
    runtime = import_onnxruntime()
    asked = _names_of(providers)
    there = runtime.get_available_providers()
    missing = [name for name in asked if name not in there]
    if missing:
        raise InvalidInputError(
            f"providers must be of those that this onnxruntime has, {', '.join(there)}, got {', '.join(missing)}; for "
            "a GPU install onnxruntime-gpu instead of onnxruntime, or leave providers out to run on the CPU"
        )
    with opened(path):
        pass
    chosen = [each if isinstance(each, str) else (each[0], dict(each[1])) for each in providers or [_CPU]]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Specified provider")  # what is missing is told below
            session = runtime.InferenceSession(str(path), options, chosen, enable_fallback=0)
    except Exception as error:  # of each status that ONNX Runtime knows, without a root in common
        raise InvalidInputError(f"{path.name!r} must be an ONNX model, and cannot be opened as one: {error}") from error
    left_out = [name for name in asked if name not in session.get_providers()]
    if left_out:
        raise InvalidInputError(
            f"{path.name!r} must run on {', '.join(left_out)}, and the session has only "
            f"{', '.join(session.get_providers())}; the provider's libraries (CUDA, cuDNN) may be missing or "
            "of another version"
        )
    return session


def _names_of(providers: Any) -> list[str]:
    """Return the names of providers.

    Raises:
        InvalidInputError: They are none.
    """
    if providers is None:
        return [_CPU]
    given = list(providers) if isinstance(providers, list | tuple) else []
    names = [each[0] if isinstance(each, tuple) and len(each) == 2 and _has_options(each) else each for each in given]
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidInputError(
            "providers must be a list of names, or of pairs of a name and its options, such as "
            f"['CUDAExecutionProvider'], got {providers!r}"
        )
    return names


def _has_options(pair: tuple[Any, Any]) -> bool:
    return isinstance(pair[1], Mapping)


def answer_of(session: Any, name: str, batch: NDArray[Any], output: str, *, on_cpu: bool) -> NDArray[Any]:
    """Return one output of a session for a batch, brought to the host.

    Args:
        session: Of ONNX Runtime.
        name: Its input's.
        batch: What it takes, on the host.
        output: The name of the output; no other is computed for the host.
        on_cpu: Whether the model runs where the batch is; elsewhere its ends are bound there, so that ONNX Runtime
            copies each once.
    """
    if on_cpu:
        (answer,) = session.run([output], {name: batch})
    else:
        binding = session.io_binding()
        binding.bind_cpu_input(name, batch)
        binding.bind_output(output)
        session.run_with_iobinding(binding)
        (answer,) = binding.copy_outputs_to_cpu()
    return np.asarray(answer)


def runs_on_cpu(session: Any) -> bool:
    """Tell whether no part of a session's model runs on an accelerator."""
    return set(session.get_providers()) <= _ON_CPU


def source_of(session: Any) -> Path | bytes | None:
    """Return the file or the bytes that a session was made of, or None where it does not tell."""
    # ONNX Runtime shows neither by a public name.
    path, content = getattr(session, "_model_path", None), getattr(session, "_model_bytes", None)
    if isinstance(content, bytes):
        return content
    return Path(path) if path and Path(path).is_file() else None


def digest_of(source: Path | bytes) -> str:
    """Return the SHA-256 of a model, and of the files of external data that it names, where there are any.

    Raises:
        InvalidInputError: A file cannot be read.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with opened(source) as file:
        content = file.read()
    digest = hashlib.sha256(content)
    # The weights lie in those files, and two models of one graph must not go by one name.
    for name in _external(content):
        beside = source.parent / name
        if beside.is_file():
            with opened(beside) as file:
                digest.update(_hashed(file))
    return digest.hexdigest()


def _external(content: bytes) -> list[str]:
    """Return the files that a model's tensors lie in, each once.

    Their names are looked for as they stand in the file: what else looks like one names no file.
    """
    names = set()
    for found in _LOCATION.finditer(content):
        one, two = found.groups()
        length = one[0] if one else (two[0] & 0x7F) | two[1] << 7
        name = content[found.end() : found.end() + length]
        if b"\0" not in name:
            names.add(name.decode("utf-8", "surrogateescape"))
    return sorted(names)


def _hashed(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.digest()
