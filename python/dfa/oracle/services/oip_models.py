"""What a server of the Open Inference Protocol says of itself and of a model, and what of that a classifier needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import numpy as np

from dfa.errors import InvalidInputError, OracleError
from dfa.oracle.services.oip_tensors import OipTensor, cut
from dfa.oracle.services.transport import Transport

Described: TypeAlias = str | Mapping[str, Any]
"""The name of an input or output; or all of it in the protocol's words, where the server does not say it."""

_NOT_FOUND: Final = (400, 404, 501)
_NOT_READY: Final = (400, 404, 409, 425, 500, 501, 503)
_TEMPLATE: Final = "{'name': 'x', 'datatype': 'FP32', 'shape': [-1, 3, 32, 32]}"


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready on a server.

    Attributes:
        server: Name, version and extensions of the server, as far as it says them.
        versions: Of the model, those that the server has.
        platform: What runs the model, in the server's words; empty where it does not say.
        inputs: As the server says; empty where it does not.
        outputs: Likewise.
    """

    server: dict[str, Any]
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[OipTensor, ...]
    outputs: tuple[OipTensor, ...]

    def has(self, extension: str) -> bool:
        """Tell whether the server says that it has an extension of the protocol."""
        return any(str(each).removesuffix("_extension") == extension for each in self.server["extensions"])


def path_of(model: str, version: str | None) -> str:
    """Return where a model is, below the address of its server."""
    at = f"/v2/models/{quote(model, safe='')}"
    return at if version is None else f"{at}/versions/{quote(version, safe='')}"


def read_model(transport: Transport, model: str, version: str | None) -> ServedModel:
    """Return what a server says of a model; no query.

    Raises:
        InvalidInputError: It has none of that name and version.
        OracleError: It does not speak the protocol, or the model is not ready.
    """
    at = path_of(model, version)
    place = transport.address.shown
    called = f"the model {model!r}" + ("" if version is None else f" in version {version!r}")
    server, _ = _asked(transport, "/v2", ())
    told, status = _asked(transport, at, _NOT_FOUND)
    if status != 200:
        raise InvalidInputError(
            f"the server {place} has not {called}: status {status}, {_complaint(told, transport)}; pass the name and "
            "the version of one that it has"
        )
    ready, status = _asked(transport, f"{at}/ready", _NOT_READY)
    if status != 200 or (isinstance(ready, dict) and ready.get("ready") is False):
        raise OracleError(
            f"{called} is not ready on the server {place}: status {status}, {_complaint(ready, transport)}; wait until "
            "it is"
        )
    if not isinstance(told, dict) or not isinstance(server, dict):
        what = told if isinstance(server, dict) else server
        raise OracleError(
            f"{place} must be a server of the Open Inference Protocol, and answers with {_complaint(what, transport)}"
        )
    extensions = server.get("extensions")
    return ServedModel(
        {
            "name": str(server.get("name", "")),
            "version": str(server.get("version", "")),
            "extensions": list(map(str, extensions)) if isinstance(extensions, list) else [],
        },
        tuple(map(str, told.get("versions") or ())),
        str(told.get("platform", "")),
        *(_tensors(told, place, kind) for kind in ("inputs", "outputs")),
    )


def chosen_input(given: Described | None, served: ServedModel, model: str) -> OipTensor:
    """Return the input that a model's images go into.

    Raises:
        InvalidInputError: There is none or several, or no dtype for its numbers.
    """
    chosen = _chosen(given, served.inputs, model, "input")
    if chosen is None:
        raise InvalidInputError(
            f"the server does not say what input the model {model!r} has; pass it, in the protocol's words: "
            f"input={_TEMPLATE}"
        )
    # INT8 ends at 127.
    if chosen.dtype is None or chosen.dtype in (np.bool_, np.int8):
        raise InvalidInputError(
            f"an oracle of the Open Inference Protocol needs an input of floats, or of integers that reach 255, and "
            f"{model!r} takes {chosen}; pass a function that asks the server"
        )
    return chosen


def chosen_output(given: Described | None, served: ServedModel, model: str) -> OipTensor | str | None:
    """Return the output that a model's answers are in; its name alone, or None, where the server does not describe it.

    Raises:
        InvalidInputError: There are several and it is not said which, or there is none of that name.
    """
    if isinstance(given, str) and not served.outputs:
        return given
    return _chosen(given, served.outputs, model, "output")


def _chosen(given: Described | None, known: Sequence[OipTensor], model: str, kind: str) -> OipTensor | None:
    if given is not None and not isinstance(given, str):
        return OipTensor.read(given, kind)
    if given is None and len(known) < 2:
        return known[0] if known else None
    found = next((each for each in known if each.name == given), None)
    if found is None and known:
        raise InvalidInputError(
            f"the model {model!r} has {len(known)} {kind}{'' if len(known) == 1 else 's'}: "
            f"{'; '.join(map(str, known))}; "
            + (f"say which, such as {kind}={known[-1].name!r}" if given is None else f"got {kind}={given!r}")
        )
    return found


def _asked(transport: Transport, path: str, allowed: tuple[int, ...]) -> tuple[Any, int]:
    """Return what a question is answered with, its JSON if it is such, and the status."""
    reply = transport.get(path, allowed=allowed)
    try:
        return json.loads(reply.body or b"null"), reply.status
    except ValueError:
        return reply.body.decode("utf-8", "replace"), reply.status


def _complaint(told: Any, transport: Transport) -> str:
    what = told.get("error", told.get("detail", told)) if isinstance(told, dict) else told
    return cut(transport.masked(what if isinstance(what, str) else repr(what))) if what else "without a word"


def _tensors(told: dict[str, Any], place: str, kind: str) -> tuple[OipTensor, ...]:
    given = told.get(kind) or ()
    try:
        return tuple(OipTensor.read(each, f"{kind} of a model") for each in given)
    except InvalidInputError as error:
        raise OracleError(f"what the server {place} says of its model: {error}") from None
