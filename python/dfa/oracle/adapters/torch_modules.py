"""What is read off a torch module: its mode, where it lies, its precision, and which batches it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.oracle.base import descends_from
from dfa.oracle.raw import described

_SHOWN: Final = 3
_PARALLEL: Final = ("DataParallel", "DistributedDataParallel")
_CONSTANTS: Final = ("prim::Constant", "prim::ConstantMKLDNNTensor", "prim::GetAttr")
_UNBOUNDED: Final = 2**31


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
    # Frozen TorchScript has no mode any more.
    training = [
        (name or "the module itself", type(part).__name__)
        for name, part in module.named_modules()
        if getattr(part, "training", False)
    ]
    if training:
        shown = ", ".join(f"{name} ({kind})" for name, kind in training[:_SHOWN])
        more = f" and {len(training) - _SHOWN:,} more" if len(training) > _SHOWN else ""
        raise InvalidInputError(
            f"a torch module must be in eval mode, and parts of this {type(module).__name__} are in training mode: "
            f"{shown}{more}; call model.eval() first. dfa never switches a module's mode"
        )


def refuse_lazy(torch: Any, module: Any) -> None:
    """Refuse a module that makes its parameters when it is first asked, at random.

    Raises:
        InvalidInputError: It has such parameters or buffers still.
    """
    lazy = [name for name, tensor in tensors_of(module) if torch.nn.parameter.is_lazy(tensor)]
    if lazy:
        raise InvalidInputError(
            f"a torch module must have its parameters, and this {type(module).__name__} makes {lazy[0]!r} when it is "
            "first asked; ask it once yourself, model(batch), or load its parameters"
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
    first = next(tensors_of(module), None)
    if first is None:
        return wanted or torch.device("cpu")
    found = first[1].device
    if found.type == "meta":
        raise InvalidInputError(
            "the module's parameters are on the device 'meta', which holds no values; load them first"
        )
    # "cuda" is any of its devices.
    if wanted is not None and (wanted.type != found.type or wanted.index not in (None, found.index or 0)):
        raise InvalidInputError(
            f"the module lies on {found}, and device={given!r}; move it with model.to({given!r}), which dfa never does"
        )
    return found


def dtype_of(module: Any) -> Any:
    """Return the precision of most of a module's floating numbers, or None if it has none."""
    numbers: Counter[Any] = Counter()
    for _, tensor in tensors_of(module):
        # What has 8 bits is for keeping: no module is given such.
        if tensor.is_floating_point() and tensor.dtype.itemsize > 1:
            numbers[tensor.dtype] += tensor.numel()
    return max(numbers, key=numbers.__getitem__, default=None)


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
    elif type(answer) in (tuple, list) and len(answer) == 1:
        (found,) = answer
    elif not isinstance(answer, torch.Tensor):
        found = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if not isinstance(found, torch.Tensor):
        raise InvalidInputError(
            f"a module must give one tensor of scores, or something with `logits`, and {name!r} gives "
            f"{described(answer)}; say where they are: output='name', output=0, or output=a function of it"
        )
    return found


def rows_taken(module: Any) -> tuple[int, float] | None:
    """Return the least and the most rows of a batch that an exported program takes, or None where it does not tell.

    Args:
        module: Any module.
    """
    nodes = getattr(getattr(module, "graph", None), "nodes", ())
    # A TorchScript module's are a method, and tell nothing.
    for node in () if callable(nodes) else nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        if value is not None:
            return _bounds_of(value.shape[0]) if value.dim() else None
    return None


def _bounds_of(size: Any) -> tuple[int, float] | None:
    if type(size) is int:
        return size, size
    try:
        bounds = size.node.shape_env.bound_sympy(size.node.expr)
        return int(bounds.lower), int(bounds.upper) if bounds.upper < _UNBOUNDED else math.inf
    except Exception:  # these are torch's inner parts, which other versions may lack
        return None


def bare(module: Any) -> Any:
    """Return the module that is inside the wrappers of torch.compile and of data parallelism."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and any(descends_from(module, "torch", name) for name in _PARALLEL):
            inner = module.module
        if inner is None:
            return module
        module = inner


def tensors_of(module: Any) -> Iterator[tuple[str, Any]]:
    """Return a module's parameters, buffers and the constants that freezing made of such, with their names."""
    yield from module.named_parameters()
    # Not of the state dict: it lacks buffers that are not kept in files, such as a normalizer's.
    yield from module.named_buffers()
    yield from ((name, value) for name, value in constants_of(module) if hasattr(value, "is_floating_point"))


def constants_of(module: Any) -> Iterator[tuple[str, Any]]:
    """Return what the TorchScript in a module holds beside parameters and buffers, with names.

    What is no tensor, such as packed parameters, comes as its type in TorchScript.
    """
    for name, part in module.named_modules():
        # It is held here: its nodes do not keep it.
        graph: Any = getattr(part, "inlined_graph", None)
        for kind in () if graph is None else _CONSTANTS:
            for place, node in enumerate(graph.findAllNodes(kind)):
                yield from ((f"{name} {kind} {place}", value) for value in _held(node))


def _held(node: Any) -> list[Any]:
    """Return the tensors that a node of a TorchScript graph holds, or the type of what else is of a model's content."""
    form = node.kindOf("value") if node.hasAttribute("value") else None
    kind = node.output().type()
    if form == "t":
        return [node.t("value")]
    if form == "ts":
        return list(node.ts("value"))
    # Of attributes only the opaque: modules, parameters and buffers are told elsewhere.
    is_opaque = "__torch__.torch.classes." in str(kind) or (form == "ival" and "Tensor" in str(kind))
    return [kind] if is_opaque else []
