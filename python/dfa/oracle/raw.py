"""What a model returned, as arrays: of any framework and in any wrapping whose meaning is plain.

| returned | taken as |
|---|---|
| whatever `numpy.asarray` takes; torch tensors, wherever they live, with or without a gradient | itself |
| a list or tuple of arrays or tensors of one shape, or an object array of them | their stack |
| a dict, tuple or list of one table alone | that table |
| an object array of real numbers | float64 |
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.types import Scores

BFLOAT16: Final = np.dtype([("bfloat16", "<u2")])
"""How bfloat16 is kept here: its bits, since numpy itself has no such numbers."""

_EPSILONS: Final = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Between 1 and the next larger number, by the name of the dtype."""

_ROUNDINGS: Final = 4
"""Steps that a sum of rounded probabilities may lie from 1: exponentials, their sum and the quotients are rounded, each
by half a step at most, and some frameworks round the sum again and again."""

_MOST_NAMED: Final = 5


class UnreadableAnswerError(Exception):
    """What was returned is nothing that scores can be read from; the message says what came and what to do."""


def on_host(answer: Any) -> Any:
    """Return torch tensors without their graph and on the host, also inside lists, tuples and dicts."""
    # Told by what it can do, so that torch is not imported to find out.
    if hasattr(answer, "detach") and hasattr(answer, "cpu"):
        return answer.detach().cpu()
    if type(answer) in (list, tuple):
        return type(answer)(map(on_host, answer))
    if isinstance(answer, Mapping):
        return {key: on_host(value) for key, value in answer.items()}
    return answer


def array_of(answer: Any) -> NDArray[Any]:
    """Return an answer as an array of its own, C-contiguous; bfloat16 as `BFLOAT16`.

    Raises:
        UnreadableAnswerError: It is none.
    """
    answer = on_host(answer)
    if answer is None:
        raise UnreadableAnswerError("it gave None; does the function lack its `return`?")
    if isinstance(answer, Mapping):
        return _only_part(answer, list(answer.values()), "pick the scores, such as answer[{!r}]", list(answer))
    if isinstance(answer, list | tuple) and any(map(_has_shape, answer)):
        return _of_parts(answer)
    array = _converted(answer)
    return _of_objects(array, answer) if array.dtype == object else array


def real(table: NDArray[Any]) -> Scores | None:
    """Return real numbers as float64, exactly, the same array where it is that already; None if they are none."""
    if table.dtype == BFLOAT16:
        return (table["bfloat16"].astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return table.astype(np.float64, copy=False) if table.dtype.kind in "fiu" else None


def rounding_of(dtype: Any) -> float:
    """Return how far rounding to a dtype may take a sum of probabilities from 1, or 0 where that is of no account.

    Args:
        dtype: A numpy dtype, or the name of one.
    """
    return _ROUNDINGS * _EPSILONS.get("bfloat16" if dtype == BFLOAT16 else str(dtype), 0.0)


def dtype_name(array: NDArray[Any]) -> str:
    """Return what messages call the dtype of an array of `array_of`."""
    return "bfloat16" if array.dtype == BFLOAT16 else str(array.dtype)


def described(answer: Any) -> str:
    """Return what an answer is, in words: type, keys, shapes, dtypes."""
    if isinstance(answer, Mapping):
        named = [f"{key!r}: {described(value)}" for key, value in list(answer.items())[:_MOST_NAMED]]
        return f"a dict of {len(answer)} ({', '.join(named)}{', ...' if len(answer) > _MOST_NAMED else ''})"
    if isinstance(answer, list | tuple):
        named = [described(part) for part in answer[:_MOST_NAMED]]
        more = ", ..." if len(answer) > _MOST_NAMED else ""
        return f"a {type(answer).__name__} of {len(answer)} ({', '.join(named)}{more})"
    if hasattr(answer, "shape") and hasattr(answer, "dtype"):
        return f"{answer.dtype} of shape {tuple(answer.shape)}"
    return type(answer).__name__


def _has_shape(part: Any) -> bool:
    return bool(getattr(part, "shape", ()))


def _converted(answer: Any) -> NDArray[Any]:
    if str(getattr(answer, "dtype", "")) == "torch.bfloat16":
        bits = answer.float().numpy().view(np.uint32) >> 16
        return np.ascontiguousarray(bits.astype("<u2")).view(BFLOAT16)
    try:
        # What tensors offer for it: tensorflow's bfloat16 cannot do without.
        values = answer.numpy() if hasattr(answer, "numpy") else answer
        # Asked for a copy, NumPy believes what an object's own `__array__` gives to be one; an array it copies itself.
        source = values if isinstance(values, np.ndarray | list | tuple) else np.asanyarray(values)
        if np.ma.is_masked(source):
            raise UnreadableAnswerError(
                f"it gave a masked array, {described(source)}, some of whose values are masked, which says nothing of "
                "them; return an array without a mask, such as answer.filled(0) where 0 is what they stand for"
            )
        array = np.array(source, order="C")
    except (TypeError, ValueError) as error:
        raise UnreadableAnswerError(
            f"it gave {described(answer)}, which is no array ({type(error).__name__}: {error}); return one array of "
            "numbers, one row per image"
        ) from error
    # That of ml_dtypes, which jax and tensorflow use.
    return array.view("<u2").view(BFLOAT16) if array.dtype.name == "bfloat16" else array


def _of_parts(answer: list[Any] | tuple[Any, ...]) -> NDArray[Any]:
    """Return the stack of arrays of one shape, or the one table that a list or tuple holds."""
    parts = [array_of(part) for part in answer]
    if parts[0].ndim >= 2:
        return _only_part(answer, parts, "return the scores alone, such as answer[{}]", list(range(len(parts))))
    if len({(part.shape, part.dtype == BFLOAT16) for part in parts}) > 1:
        raise UnreadableAnswerError(f"it gave {described(answer)}, of several shapes; return one row of K per image")
    return np.stack(parts)


def _only_part(answer: Any, parts: list[Any], cure: str, names: list[Any]) -> NDArray[Any]:
    if len(parts) != 1:
        raise UnreadableAnswerError(f"it gave {described(answer)}; {cure.format(names[0] if names else 0)}")
    return array_of(parts[0])


def _of_objects(array: NDArray[Any], answer: Any) -> NDArray[Any]:
    """Return what the objects of an array stand for, if that is plain."""
    if array.ndim == 1 and array.size and all(_has_shape(each) for each in array):
        return _of_parts(list(array))
    if array.size and all(isinstance(each, Real) and not isinstance(each, bool) for each in array.flat):
        return array.astype(np.float64)
    kinds = sorted({type(each).__name__ for each in array.flat})
    held = f" that holds {', '.join(kinds[:_MOST_NAMED])}" if array.ndim else ""
    raise UnreadableAnswerError(
        f"it gave dtype object, {described(answer)}{held}; return real numbers, such as float32"
    )
