"""What names a torch module's parameters: a digest of all that it keeps, the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dfa.oracle.adapters.torch_modules import bare, constants_of, import_torch, tensors_of

_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))
_INDICES: Final = {
    "torch.sparse_csr": ("crow_indices", "col_indices"),
    "torch.sparse_bsr": ("crow_indices", "col_indices"),
    "torch.sparse_csc": ("ccol_indices", "row_indices"),
    "torch.sparse_bsc": ("ccol_indices", "row_indices"),
}


class _NamelessError(Exception):
    """Something has no content that names it."""


def digest_of(module: Any, transform: Any = None) -> str | None:
    """Return the SHA-256 of a module's parameters and buffers, packed and frozen ones too, in their order.

    Wrappers such as torch.compile's change nothing.

    Args:
        module: A torch module.
        transform: What makes its input; of one that is a module, what it keeps counts as well.

    Returns:
        None if there are none, or if one has no content that can be read, such as another library's kind of tensor.
    """
    torch = import_torch()
    digest = hashlib.sha256()
    is_empty = True
    try:
        for place in (module, transform) if isinstance(transform, torch.nn.Module) else (module,):
            for name, value in _kept(place):
                is_empty = False
                digest.update(f"{'' if place is module else 'transform '}{name} ".encode())
                _add(digest, value, torch)
    except _NamelessError:
        return None
    return None if is_empty else digest.hexdigest()


def _kept(wrapped: Any) -> Iterator[tuple[str, Any]]:
    """Return all that a module keeps, with names; what is no tensor may be anything."""
    module = bare(wrapped)
    kept = dict([*tensors_of(module), *constants_of(module)])
    try:
        # The packed parameters of quantised modules are in it alone.
        kept = {**module.state_dict(), **kept}
    except Exception as error:  # modules say themselves what is in theirs
        raise _NamelessError from error
    # Parts may be compiled on their own.
    return ((name.replace("_orig_mod.", ""), value) for name, value in kept.items())


def _add(digest: Any, value: Any, torch: Any) -> None:
    """Add a tensor, or what holds some.

    Raises:
        _NamelessError: It is or holds something else.
    """
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        try:
            parts = [part if isinstance(part, bytes) else _bytes_of(part, torch) for part in _parts_of(value, torch)]
        except Exception as error:  # tensors raise anything
            raise _NamelessError from error
        for part in parts:
            digest.update(part)
    elif isinstance(value, Mapping):
        _add(digest, list(value.items()), torch)
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)} ".encode())
        for each in value:
            _add(digest, each, torch)
    elif isinstance(value, (*_PLAIN, torch.dtype)):
        digest.update(f"{value!r} ".encode())
    else:
        raise _NamelessError


def _parts_of(tensor: Any, torch: Any) -> list[Any]:
    """Return what a tensor is made of: dense tensors and bytes."""
    plain = tensor.detach().cpu()
    if plain.is_quantized:
        if plain.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            return [f"{plain.q_scale()!r} {plain.q_zero_point()} ".encode(), plain.int_repr()]
        scales, zeros = plain.q_per_channel_scales(), plain.q_per_channel_zero_points()
        return [f"{plain.q_per_channel_axis()} ".encode(), scales, zeros, plain.int_repr()]
    layout = str(plain.layout)
    if layout == "torch.sparse_coo":
        whole = plain.coalesce()
        return [whole.indices(), whole.values()]
    if layout in _INDICES:
        return [*(getattr(plain, name)() for name in _INDICES[layout]), plain.values()]
    return [plain if layout == "torch.strided" else plain.to_dense()]


def _bytes_of(tensor: Any, torch: Any) -> bytes:
    flat = tensor.contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).numpy().tobytes()) if flat.numel() else b""
