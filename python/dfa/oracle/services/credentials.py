"""What only the service may see: addresses with passwords or keys in them, headers and tokens."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from dfa.errors import InvalidInputError

MASK: Final = "***"
"""What stands for a secret in whatever is shown."""

_BEGINNING: Final = 8
"""Characters of a secret that tell something of it."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OWN: Final = frozenset({"content-length", "transfer-encoding", "connection", "content-type", "host"})
"""Headers that say how a request is sent, which is not for a user to say."""

_CURE: Final = "; pass the value as dfa.FromEnvironment('NAME'), which is read wherever the oracle is used"


@dataclasses.dataclass(frozen=True)
class FromEnvironment:
    """The value of a header that is read from an environment variable each time it is sent, and shown nowhere.

    Attributes:
        name: The environment variable's.

    Example:
        >>> FromEnvironment("VISION_KEY")
        FromEnvironment(name='VISION_KEY')
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse what can be no variable.

        Raises:
            InvalidInputError: The name has others than letters, digits and `_` in it, or begins with a digit.
        """
        if not isinstance(self.name, str) or not _VARIABLE.fullmatch(self.name):
            # It is not shown: who passes the value in place of the name passes a secret.
            raise InvalidInputError("dfa.FromEnvironment needs the name of an environment variable, not its value")

    def read(self) -> str:
        """Return the value, without blanks around it.

        Raises:
            InvalidInputError: The variable is not set, or empty, or holds what no header can.
        """
        value = os.environ.get(self.name, "").strip()
        if not value:
            raise InvalidInputError(f"the environment variable {self.name} must hold a secret to send, and is not set")
        if not _VALUE.fullmatch(value):
            raise InvalidInputError(
                f"the environment variable {self.name} must hold one line that a header can have, and holds other "
                "characters"
            )
        return value


class Address:
    """Where a service is, taken apart.

    Attributes:
        is_secure: Whether it is spoken to over TLS.
        host: Its name or number, without brackets.
        port: Its port.
        authority: Host and port as they stand in the address.
        origin: The address up to its path, without a name and a password.
        path: With a leading slash, without what follows a `?`.
        query: What follows it, with the `?`; or nothing.
        authorization: The header that a name and a password in the address stand for, or None.
        shown: The address without its secrets.
    """

    def __init__(self, url: str) -> None:
        """Take an address apart.

        Raises:
            InvalidInputError: It is no address of http or https.
        """
        if not isinstance(url, str):
            raise InvalidInputError(f"url must be the address of a service, https://..., got {type(url).__name__}")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise InvalidInputError(
                "url must be an address of printable ASCII characters without blanks; write others as %XX "
                "(urllib.parse.quote)"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInputError("url must be an address such as https://vision.example/v1/classify, http or https")
        self.is_secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = port or (443 if self.is_secure else 80)
        self.path = parts.path.rstrip("/") if parts.path == "/" else parts.path
        self.query = f"?{parts.query}" if parts.query else ""
        self.authorization: str | None = None
        self._secrets = {value for _, value in parse_qsl(parts.query)} | {
            part.partition("=")[2] for part in parts.query.split("&")
        }
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            encoded = base64.b64encode(pair.encode()).decode()
            self.authorization = f"Basic {encoded}"
            self._secrets |= {parts.username, parts.password or "", encoded, pair, *pair.split(":", 1)}
        place = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = place if port is None else f"{place}:{port}"
        self.origin = f"{parts.scheme}://{self.authority}"
        names = [part.partition("=")[0] + f"={MASK}" if "=" in part else MASK for part in parts.query.split("&")]
        self.shown = self.origin + self.path + (f"?{'&'.join(names)}" if parts.query else "")
        self._lacks = ""

    def secrets(self) -> set[str]:
        """Return what is to be shown to nobody."""
        return self._secrets

    def check(self) -> None:
        """Refuse an address that lost its secrets on the way to this process.

        Raises:
            InvalidInputError: It did.
        """
        if self._lacks:
            raise InvalidInputError(self._lacks)

    def __getstate__(self) -> dict[str, Any]:
        """Return what may go to another process, which is everything but secrets."""
        if not any(self._secrets):
            return self.__dict__
        lacks = (
            f"the address {self.shown} has secrets in it, which are not sent to another process with the oracle; make "
            "the oracle there (dfa.factory), or send a secret in a header (dfa.FromEnvironment('NAME'))"
        )
        return self.__dict__ | {"authorization": None, "query": "", "_secrets": set(), "_lacks": lacks}


class Headers:
    """Headers whose values nobody sees: given as they are, or read from the environment."""

    def __init__(self, headers: Mapping[str, str | FromEnvironment] | None, token_env: str | None) -> None:
        """Keep headers.

        Args:
            headers: By name.
            token_env: The environment variable of a token that is sent as `Authorization: Bearer ...`, or None.

        Raises:
            InvalidInputError: They are no headers, or two say the same, or they are dfa's to say.
        """
        given = {} if headers is None else headers
        if not isinstance(given, Mapping):
            raise InvalidInputError(f"headers must be a dict of names and values, got {type(given).__name__}")
        self._values: dict[str, str | FromEnvironment | None] = {}
        for name, value in given.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise InvalidInputError(f"headers must have names such as 'X-Api-Key', got {name!r}")
            if name.lower() in _OWN:
                raise InvalidInputError(f"the header {name} says how a request is sent, and is dfa's to say")
            if not isinstance(value, str | FromEnvironment):
                raise InvalidInputError(
                    f"the header {name} must be a str or dfa.FromEnvironment('NAME'), got {type(value).__name__}"
                )
            if isinstance(value, str) and not _VALUE.fullmatch(value):
                raise InvalidInputError(f"the header {name} must be one line of Latin-1 characters, and is not")
            self._values[name] = value
        lowered = [name.lower() for name in self._values]
        if token_env is not None:
            lowered.append("authorization")
        if len(set(lowered)) < len(lowered):
            raise InvalidInputError(f"each header may be given once, got {', '.join(sorted(lowered))}")
        self._token = None if token_env is None else FromEnvironment(token_env)

    @property
    def names(self) -> list[str]:
        """Their names, which may be shown."""
        return [*self._values, *([] if self._token is None else ["Authorization"])]

    def read(self) -> dict[str, str]:
        """Return the headers with their values of now.

        Raises:
            InvalidInputError: A variable is not set, or a value was not taken along to this process.
        """
        headers: dict[str, str] = {}
        for name, value in self._values.items():
            if value is None:
                raise InvalidInputError(f"the header {name} is not sent to another process with the oracle{_CURE}")
            headers[name] = value.read() if isinstance(value, FromEnvironment) else value
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.read()}"
        return headers

    def secrets(self) -> set[str]:
        """Return what is to be shown to nobody, as far as it is known now."""
        found = {value for value in self._values.values() if isinstance(value, str)}
        variables = [value for value in (*self._values.values(), self._token) if isinstance(value, FromEnvironment)]
        return found | {os.environ.get(variable.name, "").strip() for variable in variables}

    def __getstate__(self) -> dict[str, Any]:
        """Return what may go to another process: names, and values that are read there."""
        values = {name: None if isinstance(value, str) else value for name, value in self._values.items()}
        return self.__dict__ | {"_values": values}


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets in it, however they are written there, nor the beginning of one."""
    forms = {
        form
        for secret in secrets
        for form in (
            secret,
            quote(secret, safe=""),
            json.dumps(secret)[1:-1],
            json.dumps(secret)[1:-1].replace("/", "\\/"),
        )
    }
    # One character hides nothing, and masks every other word.
    for form in sorted((form for form in forms if len(form) > 1), key=len, reverse=True):
        text = text.replace(form, MASK)
        if len(form) > _BEGINNING:
            text = _without_beginnings(text, form)
    return text


def _without_beginnings(text: str, secret: str) -> str:
    """Return a text without what begins as a secret does, as one that was cut off is shown."""
    while (start := text.find(secret[:_BEGINNING])) >= 0:
        length = _BEGINNING
        while length < len(secret) and text[start : start + length + 1] == secret[: length + 1]:
            length += 1
        text = text[:start] + MASK + text[start + length :]
    return text
