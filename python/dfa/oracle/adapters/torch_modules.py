"""What is read off a torch module: its mode, where it lies, its precision, and what names its parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.oracle.raw import described

_SHOWN: Final = 3


def import_torch() -> Any:
    """Return the module torch.

    Raises:
        MissingDependencyError: It is not installed.
    """
    return imported("torch", "a torch oracle needs PyTorch", "torch")


def refuse_training(module: Any) -> None:
    """Refuse a module of which any part is in training mode, where dropout is random and batch norm learns.

    Raises:
        InvalidInputError: One is.
    """
    training = [
        (name or "the module itself", type(part).__name__) for name, part in module.named_modules() if part.training
    ]
    if training:
        shown = ", ".join(f"{name} ({kind})" for name, kind in training[:_SHOWN])
        more = f" and {len(training) - _SHOWN:,} more" if len(training) > _SHOWN else ""
        raise InvalidInputError(
            f"a torch module must be in eval mode, and parts of this {type(module).__name__} are in training mode: "
            f"{shown}{more}; call model.eval() first. dfa never switches a module's mode"
        )


def device_of(torch: Any, module: Any, given: Any) -> Any:
    """Return where a module's parameters lie, or what is given for a module that has none.

    Raises:
        InvalidInputError: They lie elsewhere than is given, or nowhere.
    """
    try:
        wanted = None if given is None else torch.device(given)
    except (RuntimeError, TypeError) as error:
        raise InvalidInputError(f"device must be one of torch's, such as 'cuda:0' or 'cpu', got {given!r}") from error
    first = next(_tensors(module), None)
    if first is None:
        return wanted or torch.device("cpu")
    found = first[1].device
    if found.type == "meta":
        raise InvalidInputError(
            "the module's parameters are on the device 'meta', which holds no values; load them first"
        )
    # "cuda" is any of its devices.
    if wanted is not None and (wanted.type != found.type or wanted.index not in (None, found.index)):
        raise InvalidInputError(
            f"the module lies on {found}, and device={given!r}; move it with model.to({given!r}), which dfa never does"
        )
    return found


def dtype_of(module: Any, default: Any) -> Any:
    """Return the precision of a module's parameters: that of the first one that holds real numbers."""
    return next((tensor.dtype for _, tensor in _tensors(module) if tensor.is_floating_point()), default)


def scores_in(torch: Any, answer: Any, output: Callable[[Any], Any] | str | int | None, name: str) -> Any:
    """Return the tensor of scores that is in what a module returned.

    Args:
        torch: The module torch.
        answer: What it returned.
        output: As of `TorchOracle`.
        name: What messages call it.

    Raises:
        InvalidInputError: There is none.
    """
    found = answer
    if callable(output):
        found = output(answer)
    elif output is not None:
        try:
            is_attribute = isinstance(output, str) and not isinstance(answer, Mapping)
            found = getattr(answer, str(output)) if is_attribute else answer[output]
        except (AttributeError, LookupError, TypeError) as error:
            raise InvalidInputError(f"the module {name!r} gives {described(answer)}, without {output!r}") from error
    elif not isinstance(answer, torch.Tensor):
        found = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if not isinstance(found, torch.Tensor):
        raise InvalidInputError(
            f"a module must give one tensor of scores, or something with `logits`, and {name!r} gives "
            f"{described(answer)}; say where they are: output='name', output=0, or output=a function of it"
        )
    return found


def digest_of(module: Any) -> str | None:
    """Return the SHA-256 of a module's parameters and buffers in their order, or None if it has none."""
    digest = hashlib.sha256()
    is_empty = True
    for name, tensor in _tensors(module):
        is_empty = False
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes_of(tensor))
    return None if is_empty else digest.hexdigest()


def rows_of(module: Any) -> int | None:
    """Return the one batch size that an exported program takes, or None where it takes any, or does not tell.

    Args:
        module: Any module.
    """
    nodes = getattr(getattr(module, "graph", None), "nodes", ())
    # A TorchScript module's are a method, and tell nothing.
    for node in () if callable(nodes) else nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        if value is not None:
            size = value.shape[0] if value.dim() else None
            return size if type(size) is int else None
    return None


def _tensors(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters()
    # Not of the state dict: it lacks buffers that are not kept in files, such as a normalizer's.
    yield from module.named_buffers()


def _bytes_of(tensor: Any) -> bytes:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
