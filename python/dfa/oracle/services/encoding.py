"""How images are written into the body of a request."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from dfa.errors import InvalidInputError, OracleError, told_with_place
from dfa.oracle.png import encode_png
from dfa.types import Images

_WAYS: Final = ("png", "png-base64")
_JSON: Final = "application/json"


def check_encode(encode: object, images_per_request: int) -> None:
    """Refuse what says nothing of how images are written.

    Raises:
        InvalidInputError: It is no function and names no way, or one that holds fewer images.
    """
    if not callable(encode) and encode not in _WAYS:
        raise InvalidInputError(f"encode must be {' or '.join(map(repr, _WAYS))} or a function, got {encode!r}")
    if encode == "png" and images_per_request > 1:
        raise InvalidInputError(
            f"encode='png' posts one image, got images_per_request={images_per_request}; pass 'png-base64' or a "
            "function of a list of images"
        )


def encoded(images: Images, encode: str | Callable[[Any], Any], *, is_one: bool) -> tuple[bytes, str]:
    """Return the body of a request, and its content type.

    Args:
        images: uint8, (n, H, W, C), n of 1 or more.
        encode: As of `dfa.HttpOracle`.
        is_one: Whether a request holds one image; of others, lists are written also where there is one.

    Raises:
        OracleError: The user's function fails, or returns what cannot be sent.
    """
    if encode == "png":
        return encode_png(images[0]), "image/png"
    if isinstance(encode, str):
        texts = [base64.b64encode(encode_png(image)) for image in images]
        # These are letters and digits, which JSON holds as they are.
        return (b'{"image": "%b"}' % texts[0] if is_one else b'{"images": ["%b"]}' % b'", "'.join(texts)), _JSON
    batch = np.ascontiguousarray(images).view()
    # It is the engine's memory.
    batch.flags.writeable = False
    try:
        made = encode(batch[0] if is_one else list(batch))
        if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], bytes) and isinstance(made[1], str):
            return made
        if isinstance(made, bytes | bytearray):
            return bytes(made), "application/octet-stream"
        return json.dumps(made, allow_nan=False).encode(), _JSON
    except Exception as error:  # a user's function may raise anything
        raise OracleError(
            "encode must return bytes, a pair of bytes and their content type, or what JSON can hold; of images of "
            f"shape {images.shape} it failed: {told_with_place(error)}"
        ) from error
