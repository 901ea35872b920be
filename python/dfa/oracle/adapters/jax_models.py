"""What a JAX model is: a function of its variables and of inputs, made of whatever kind of model a user has."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from dfa.errors import InvalidInputError, told
from dfa.extras import imported
from dfa.oracle.base import name_of

_TRAINING: Final = ("deterministic", "use_running_average")
"""Attributes of the parts of an nnx module that are False while it is trained: dropout's and batch norm's."""

_SHOWN: Final = 3


class Applied(NamedTuple):
    """A model as a pure function.

    Attributes:
        apply: From variables and a batch of inputs to outputs.
        variables: A pytree of arrays on their device.
        weights: The part of it that names the model: all but the states of random generators.
        is_model: Whether it is more than a function of the images alone.
        name: What to call it.
    """

    apply: Callable[[Any, Any], Any]
    variables: Any
    weights: Any
    is_model: bool
    name: str


def import_jax() -> Any:
    """Return the module jax.

    Raises:
        MissingDependencyError: It is not installed.
    """
    return imported("jax", "a JAX oracle needs JAX", "jax")


def is_flax(model: object) -> bool:
    """Tell whether a model is a flax module, of nnx or linen, without importing flax to find out."""
    return _is_module_of(model, "flax.nnx") or _is_module_of(model, "flax.linen")


def is_jitted(model: object) -> bool:
    """Tell whether a model is what `jax.jit` returns, likewise."""
    return any(base.__name__ == "PjitFunction" and "jax" in base.__module__ for base in type(model).__mro__)


def applied(jax: Any, model: Any, variables: Any) -> Applied:
    """Return a model as a pure function of its variables and a batch.

    Args:
        jax: The module.
        model: What `JaxOracle` takes.
        variables: Of a function of two arguments, or of a linen module that is not bound; else None.

    Raises:
        InvalidInputError: It is no such model, is being trained, or comes with variables of no use or without those
            that it needs.
    """
    name = type(model).__name__
    if _is_module_of(model, "flax.nnx"):
        return _applied_nnx(jax, model, variables)
    if _is_module_of(model, "flax.linen"):
        if variables is None and model.scope is None:
            raise InvalidInputError(
                f"the flax.linen module {name} holds no parameters; pass them as well, dfa.JaxOracle(module, "
                "variables), or bind them, module.bind(variables)"
            )
        if variables is None:
            model, variables = model.unbind()
        placed = _placed(jax, variables)
        return Applied(model.apply, placed, placed, True, name)
    if isinstance(model, type) or not callable(model):
        raise InvalidInputError(
            "a JAX oracle needs a function, a flax.nnx module, or a flax.linen module with its variables, got "
            f"{model.__name__ if isinstance(model, type) else name}"
        )
    if variables is None:
        return Applied(lambda _, inputs: model(inputs), (), (), False, name_of(model))
    placed = _placed(jax, variables)
    return Applied(model, placed, placed, True, name_of(model))


def device_of(jax: Any, variables: Any) -> Any:
    """Return the first device that variables lie on, or that arrays lie on by default."""
    arrays = [leaf for leaf in jax.tree.leaves(variables) if isinstance(leaf, jax.Array)]
    devices = (arrays[0] if arrays else jax.numpy.zeros(())).devices()
    return min(devices, key=lambda device: device.id)


def digest_of(jax: Any, weights: Any) -> str | None:
    """Return the SHA-256 of arrays, with their paths, dtypes and shapes; None if there are none."""
    leaves = jax.tree_util.tree_leaves_with_path(weights)
    if not leaves:
        return None
    digest = hashlib.sha256()
    for path, leaf in leaves:
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        values = jax.device_get(jax.random.key_data(leaf) if is_key else leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _is_module_of(model: object, package: str) -> bool:
    return any(
        base.__name__ == "Module" and f"{base.__module__}.".startswith(f"{package}.") for base in type(model).__mro__
    )


def _applied_nnx(jax: Any, module: Any, variables: Any) -> Applied:
    nnx: Any = importlib.import_module("flax.nnx")
    name = type(module).__name__
    if variables is not None:
        raise InvalidInputError(f"the flax.nnx module {name} holds its parameters itself; pass it without variables")
    training = [
        ".".join(map(str, path)) or name
        for path, node in nnx.iter_graph(module)
        if any(getattr(node, attribute, None) is False for attribute in _TRAINING)
    ]
    if training:
        more = "" if len(training) <= _SHOWN else f" and {len(training) - _SHOWN} more"
        raise InvalidInputError(
            f"the flax.nnx module {name} must predict, and is in training mode ({', '.join(training[:_SHOWN])}{more}), "
            "so that its answers are random or depend on the batch; call module.eval()"
        )
    graph, *states = nnx.split(module, nnx.RngState, ...)
    # Apart from those of the module, which can be written to.
    random, weights = _placed(jax, states)
    return Applied(lambda states, inputs: nnx.merge(graph, *states)(inputs), (random, weights), weights, True, name)


def _placed(jax: Any, variables: Any) -> Any:
    """Return variables as arrays of JAX's own, those on a device where they are."""
    try:
        return jax.tree.map(jax.numpy.asarray, variables)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"variables must be a pytree of arrays; {told(error)}") from error
