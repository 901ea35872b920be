"""Services from words: the addresses that stand for them, and what says how they are asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from dfa.cli.sources.objects import load_object
from dfa.errors import InvalidInputError
from dfa.oracle import FromEnvironment, HttpOracle, OipOracle, Oracle
from dfa.oracle.services.encoding import check_encode

SERVICES: Final = ("http", "oip")
"""The kinds of words that name a service."""

SERVICE_SETTINGS: Final = (
    "parse",
    "encode",
    "rate",
    "rate_file",
    "price",
    "max_cost",
    "currency",
    "concurrency",
    "images_per_request",
    "token_env",
    "header",
    "watch_every",
    "on_drift",
    "retries",
    "timeout",
    "ca_file",
)
"""What says how a service is asked beside what says it of every model: flags of commands, and fields of a request."""

WAYS: Final = ("png", "png-base64")
"""What `encode` may be that is no code."""

_READ_FIRST: Final = ("parse", "encode", "rate", "header", "watch_every")
"""Those that are no arguments of an oracle as they are."""

_OIP: Final = re.compile(
    r"oip\+(?P<base>https?://[^/?#]+(?:/[^?#]+?)??)(?:/v2/models)?/(?P<model>[^/:?#]+)"
    r"(?:(?::|/versions/)(?P<version>[^/:?#]+))?"
)
_ADDRESS: Final = re.compile(r"(?i:[a-z][a-z0-9+.-]*://|(?:oip|https?)[+:]).*", re.DOTALL)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_KEY: Final = re.compile(
    r"(?i)(?:^|[^a-z])(?:code|sas|pwd|pass|sid)(?:$|[^a-z])|key|token|secret|passw|sign|sig$|auth|credential"
)
_RANDOM: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[\w+/=.~-]{20,}")


def service_of(word: str) -> str | None:
    """Return the kind of service that a word names, "http" or "oip"; None where it names something else.

    Raises:
        InvalidInputError: It is an address that nothing here speaks to.
    """
    if re.match("(?i:https?)://[^/]", word):
        return "http"
    if _OIP.fullmatch(word):
        return "oip"
    if _ADDRESS.fullmatch(word):
        # What comes behind may be a password.
        scheme = re.split("[:]", word, maxsplit=1)[0]
        raise InvalidInputError(
            "MODEL as an address must be https://HOST/PATH or http://HOST/PATH, or, for a model on a server of the "
            f"Open Inference Protocol, oip+http://HOST:PORT/NAME or oip+http://HOST:PORT/NAME:VERSION, got {scheme}:..."
        )
    return None


def check_address(word: str) -> None:
    """Refuse the address of a service that has a secret in it: run folders keep the words of a command.

    Raises:
        InvalidInputError: So; the secret is not shown.
    """
    try:
        parts = urlsplit(word.removeprefix("oip+"))
    except ValueError:
        return  # the oracle says what is wrong with it
    cure = "; put the secret into an environment variable, and pass --token-env NAME or --header 'HEADER=NAME'"
    if "@" in parts.netloc:
        raise InvalidInputError(
            "MODEL must be an address without a name and a password, which a run folder would keep, and the list of "
            f"processes shows{cure}"
        )
    found = [name for name, value in parse_qsl(parts.query) if _KEY.search(name) or _RANDOM.fullmatch(value)]
    # Without a name it would be shown.
    found += ["what stands there" for part in parts.query.split("&") if "=" not in part and _RANDOM.fullmatch(part)]
    if found:
        raise InvalidInputError(
            "MODEL must be an address without a key, which a run folder would keep, and something behind its ? looks "
            f"like one: {found[0]}{cure}"
        )


def loads_code(name: str, word: str) -> bool:
    """Tell whether a word of `SERVICE_SETTINGS` names code."""
    return name == "parse" or (name == "encode" and word not in WAYS)


def given_settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return which of `SERVICE_SETTINGS` are given."""
    return {name: word for name, word in (settings or {}).items() if word is not None}


def refuse_settings(model: str, settings: Mapping[str, Any] | None) -> None:
    """Refuse what says how a service is asked, of a model that is none.

    Raises:
        InvalidInputError: Some of it is given.
    """
    flags = [f"--{name.replace('_', '-')}" for name in given_settings(settings)]
    if flags:
        raise InvalidInputError(
            f"{', '.join(flags)} {'is' if len(flags) == 1 else 'are'} of a service, and {model} is none; give an "
            "address as MODEL: https://HOST/PATH, or oip+http://HOST:PORT/NAME"
        )


def open_service(
    model: str,
    kind: str,
    given: Mapping[str, Any],
    settings: Mapping[str, Any] | None,
    classes: Sequence[str] | None,
) -> Oracle:
    """Return the oracle of a service, which is asked nothing yet.

    Args:
        model: The word that names it.
        kind: Of `SERVICES`.
        given: What is said of it as of every model, by the names of `OipOracle`'s arguments.
        settings: `SERVICE_SETTINGS`; None of a command that asks no service.
        classes: The names of the classes, or None.

    Raises:
        InvalidInputError: They do not go together, or the address has a secret in it, or a variable is not set.
    """
    check_address(model)
    if settings is None:
        raise InvalidInputError(
            f"{model} is a service, which dfa attack, dfa resume and dfa verify ask (dfa attack --dry-run tells what a "
            "run would take); elsewhere make a module with oracle = dfa.HttpOracle(...), and give MODULE:oracle"
        )
    words = given_settings(settings)
    arguments = {name: word for name, word in words.items() if name not in _READ_FIRST} | dict(given)
    if "token_env" in words:
        _check_variable(words["token_env"], "--token-env")
    if "header" in words:
        arguments["headers"] = _headers(words["header"])
    if "rate" in words:
        arguments["rate"] = words["rate"].split(",")
    if "watch_every" in words:
        arguments["watch_every"] = words["watch_every"] or None
    if kind == "http":
        if "parse" not in words:
            raise InvalidInputError(
                "a service needs --parse MODULE:FUNCTION, which takes a reply's JSON and returns {label: score} of its "
                "image"
            )
        encode = words.get("encode")
        if encode is not None:
            arguments["encode"] = encode if encode in WAYS else load_object(encode)
            check_encode(arguments["encode"], words.get("images_per_request", 1))
        return HttpOracle(model, parse=load_object(words["parse"]), classes=classes, **arguments)
    code = [f"--{name}" for name in ("parse", "encode") if name in words]
    if code:
        raise InvalidInputError(
            f"{' and '.join(code)} are of services at http:// or https://; a server of the Open Inference Protocol is "
            "asked in the protocol's own words"
        )
    found = _OIP.fullmatch(model)
    assert found is not None
    if given.get("returns") == "label":
        arguments["classes"] = classes
    return OipOracle(found["base"], unquote(found["model"]), version=found["version"], **arguments)


def _headers(word: str) -> dict[str, FromEnvironment]:
    """Return the headers that `NAME=VARIABLE` names, with commas between them.

    Raises:
        InvalidInputError: It names none.
    """
    headers: dict[str, FromEnvironment] = {}
    for part in word.split(","):
        name, _, variable = part.partition("=")
        if not _HEADER.fullmatch(name) or name in headers:
            raise InvalidInputError(
                "--header must be NAME=VARIABLE, the name of a header and that of the environment variable that holds "
                "its value, such as --header X-Api-Key=VISION_KEY, each header once"
            )
        _check_variable(variable, f"--header {name}=")
        headers[name] = FromEnvironment(variable)
    return headers


def _check_variable(variable: str, flag: str) -> None:
    """Refuse what is no environment variable that is set; it may be a secret, so it is not shown.

    Raises:
        InvalidInputError: It is none.
    """
    if not _VARIABLE.fullmatch(variable) or not os.environ.get(variable):
        raise InvalidInputError(
            f"{flag} must be followed by the NAME of an environment variable that is set and holds the secret, and "
            "what follows it is none; never write the secret itself there"
        )
