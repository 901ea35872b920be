"""Requests to a service: sent until they are answered, or for good in vain."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from dfa.checks import is_number, require_integer, require_path
from dfa.errors import DfaError, InvalidInputError, OracleError, told
from dfa.oracle.services.books import Books, Outcome
from dfa.oracle.services.connections import Connection, Pool
from dfa.oracle.services.credentials import Address, FromEnvironment, Headers, masked
from dfa.oracle.services.limits import Limits
from dfa.oracle.services.patience import FIRST_PAUSE, AgainError, Patience, seconds_of
from dfa.oracle.services.wire import BrokenReplyError, Reply, exchanged

__all__ = ["BrokenReplyError", "Reply", "Transport", "content_of"]

_LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds; a service that wants to be left alone for longer is better asked by another run, later."""
_MOST_SHOWN: Final = 200
"""Characters of a reply, in messages."""

_AGAIN: Final = {
    408: Outcome.REFUSED,
    425: Outcome.REFUSED,
    429: Outcome.REJECTED,
    500: Outcome.UNSURE,
    502: Outcome.UNSURE,
    503: Outcome.REJECTED,
    504: Outcome.UNSURE,
}
"""The statuses after which a request is sent again, and whether it was billed."""


class _Request(NamedTuple):
    method: str
    target: str
    body: bytes
    headers: dict[str, str]
    images: int
    """0 of one that asks about no image, which the books leave out."""
    allowed: tuple[int, ...] = ()
    """Statuses that are no failure, besides 200..299."""


def content_of(reply: Reply) -> Any:
    """Return what a reply holds: what its JSON says, or its bytes where it does not call itself JSON.

    Raises:
        BrokenReplyError: It calls itself JSON and is none.
    """
    kind = (reply.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/json") and not kind.endswith("+json"):
        return reply.body
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise BrokenReplyError(f"the reply calls itself {kind} and is no JSON") from error


class Transport:
    """Sends requests to one service, each until it is answered; from as many threads as want to.

    Attributes:
        address: The service's.
        limits: What is allowed to be sent.
        books: What was sent.
    """

    def __init__(
        self,
        url: str,
        *,
        concurrency: int = 8,
        timeout: float = 30.0,
        retries: int = 8,
        headers: Mapping[str, str | FromEnvironment] | None = None,
        token_env: str | None = None,
        ca_file: str | Path | None = None,
        limits: Limits | None = None,
        books: Books | None = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """Get ready for requests to an address; nothing is sent yet.

        Args:
            url: http://... or https://..., a name and a password in it included.
            concurrency: Connections at a time.
            timeout: Seconds that the service may be silent before a request counts as lost.
            retries: How often a request is sent again.
            headers: What each request says besides, by name.
            token_env: The environment variable of a token, sent as `Authorization: Bearer ...`.
            ca_file: Certificates to trust, in PEM form, in place of the system's.
            limits: The rates that are kept; none by default.
            books: Where requests are counted; new ones by default.
            first_pause: Seconds until a request is sent again; doubled each time, up to a minute.

        Raises:
            InvalidInputError: An argument is not what it should be.
        """
        self.address = Address(url)
        require_integer("concurrency", concurrency, 1, 10_000)
        if not is_number(timeout) or not 0 < timeout < math.inf:
            raise InvalidInputError(f"timeout must be a finite number of seconds above 0, got {timeout!r}")
        self._retries = require_integer("retries", retries, 0)
        self._headers = Headers(headers, token_env)
        if self.address.authorization and any(name.lower() == "authorization" for name in self._headers.names):
            raise InvalidInputError(
                "url has a name and a password in it, and Authorization is given too; a service takes one of them"
            )
        path = None if ca_file is None else require_path("ca_file", ca_file)
        self.limits = Limits() if limits is None else limits
        self.books = Books() if books is None else books
        self._pool = Pool(self.address, int(concurrency), float(timeout), path)
        self._patience = Patience(first_pause, self.books.add_wait)

    @property
    def header_names(self) -> list[str]:
        """The names of the headers that were asked for, which may be shown."""
        return self._headers.names

    def check(self) -> None:
        """See that all is there that a request needs: secrets in the environment, certificates, a proxy, a shared file.

        Raises:
            InvalidInputError: Something is not.
        """
        self.address.check()
        self._headers.read()
        self.limits.check()
        _ = self._pool.route

    def post(
        self,
        body: bytes,
        content_type: str,
        images: int,
        *,
        path: str = "",
        headers: Mapping[str, str] | None = None,
        read: Callable[[Reply], Any] | None = None,
    ) -> Any:
        """Return the reply to a request that asks about images, sent until there is one.

        Args:
            body: What is sent.
            content_type: What it is.
            images: How many are in it, 1 or more; the books count them.
            path: Behind the path of the address, with its leading slash.
            headers: Of this request alone, such as describe its body.
            read: Returns what is wanted of a reply; one of which it raises `BrokenReplyError` is asked for again.

        Returns:
            What `read` returns, or the reply.

        Raises:
            OracleError: The service refuses the request, or all attempts were in vain, or one more may cost too much.
            InvalidInputError: An environment variable is not set.
        """
        own = {"Content-Type": content_type} if headers is None else {"Content-Type": content_type, **headers}
        return self._until_answered(_Request("POST", self._target(path), body, self._all_headers(own), images), read)

    def get(self, path: str = "", *, allowed: tuple[int, ...] = ()) -> Reply:
        """Return the reply to a question that is about no image, sent until there is one; the books leave it out.

        Args:
            path: Behind the path of the address, with its leading slash.
            allowed: Statuses that are returned too, besides 200..299.

        Raises:
            OracleError: The service refuses the request, or all attempts were in vain.
            InvalidInputError: An environment variable is not set.
        """
        request = _Request("GET", self._target(path), b"", self._all_headers({}), 0, allowed)
        reply: Reply = self._until_answered(request, None)
        return reply

    def hang_up(self) -> None:
        """Let requests that have begun be sent no more; those that begin later are."""
        self._patience.stop_others(self._patience.failures, "the run is over")

    def close(self) -> None:
        """Close the connections that nobody uses; a request that is sent later opens new ones."""
        self._pool.close()

    def masked(self, text: str) -> str:
        """Return a text without the secrets that may be in it."""
        return masked(text, self.address.secrets() | self._headers.secrets() | self._pool.secrets)

    def shown(self, body: bytes) -> str:
        """Return the beginning of a reply as messages show it: one line, without secrets."""
        text = " ".join(self.masked(body[: 2**16].decode("utf-8", "replace")).split())
        return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."

    def __repr__(self) -> str:
        """Return the address without its secrets."""
        return f"Transport({self.address.shown!r})"

    def _target(self, path: str) -> str:
        return (self.address.path + path or "/") + self.address.query

    def _all_headers(self, own: dict[str, str]) -> dict[str, str]:
        self.address.check()
        headers = {"User-Agent": "dfa", "Accept-Encoding": "identity"}
        if self.address.authorization is not None:
            headers["Authorization"] = self.address.authorization
        return headers | self._headers.read() | own

    def _until_answered(self, request: _Request, read: Callable[[Reply], Any] | None) -> Any:
        patience = self._patience
        failures = patience.failures
        attempts = 0
        try:
            while True:
                patience.hold_back(failures)
                attempts += 1
                try:
                    return self._attempt(request, read, failures)
                except AgainError as again:
                    if attempts > self._retries:
                        raise OracleError(f"{self.address.shown}: {again}; tried {attempts} times in vain") from None
                patience.back_off(attempts, failures)
                self.books.add_retry()
        except DfaError as error:
            patience.stop_others(failures, str(error))
            raise

    def _attempt(self, request: _Request, read: Callable[[Reply], Any] | None, failures: int) -> Any:
        """Send a request once, and return what is wanted of the reply.

        Raises:
            AgainError: It is to be sent again.
            OracleError: It is not.
        """
        pool = self._pool
        connection = pool.take()
        try:
            # Opened before it waits for its turn, so that requests reach the service as far apart as they are let go.
            connection = pool.opened(connection)
            waited = self.limits.wait(lambda seconds: self._patience.pause(seconds, failures))
            if waited:
                self.books.add_wait(waited)
                connection = pool.opened(connection)
            if request.images:
                self.books.reserve(request.images)
            reply = self._exchange(connection, request)
        finally:
            pool.give(connection)
        if not 200 <= reply.status < 300:
            if reply.status in request.allowed:
                return reply
            self._refuse(request, reply)
        try:
            content = reply if read is None else read(reply)
        except BrokenReplyError as error:
            raise AgainError(self.masked(str(error))) from None
        if request.images:
            self.books.settle(Outcome.ANSWERED)
        return content

    def _exchange(self, connection: Connection, request: _Request) -> Reply:
        """Send a request and return the reply, whatever it says; a connection in the middle of one is closed."""
        route = self._pool.route
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        length = f"Content-Length: {len(request.body)}\r\n" if request.method == "POST" else ""
        head = (
            f"{request.method} {route.prefix}{request.target} HTTP/1.1\r\nHost: {self.address.authority}\r\n"
            f"{route.headers}{lines}{length}\r\n"
        )
        is_kept = False
        connection.is_used = True
        try:
            reply = exchanged(connection.sock, head.encode("latin-1"), request.body)
            is_kept = reply.is_kept
            return reply
        except (OSError, BrokenReplyError) as error:
            words = str(error) if isinstance(error, BrokenReplyError) else told(error)
            raise AgainError(self.masked(words)) from None
        finally:
            if not is_kept:
                connection.close()

    def _refuse(self, request: _Request, reply: Reply) -> NoReturn:
        """Raise the error of a reply that is no answer."""
        status = reply.status
        outcome = _AGAIN.get(status, Outcome.REFUSED if status < 500 else Outcome.UNSURE)
        if request.images:
            self.books.settle(outcome)
        if 300 <= status < 400:
            place = urlsplit(reply.headers.get("Location") or "").netloc.rpartition("@")[2] or "elsewhere"
            raise OracleError(
                f"{self.address.shown} redirects to {self.masked(place)} (status {status}), where nothing is sent; "
                "pass the address that is meant as url"
            )
        words = f"status {status} {_phrase(status)}"
        said = self.shown(reply.body)
        words += f": {said}" if said else ""
        if status not in _AGAIN:
            raise OracleError(f"{self.address.shown} refuses the request, {words}")
        after = seconds_of(reply.headers.get("Retry-After"), time.time())
        if after > _LONGEST_RETRY_AFTER:
            raise OracleError(
                f"{self.address.shown} wants to be asked again in {after:.0f} seconds, {words}; resume the run then"
            )
        if after:
            self._patience.hold_all_back(after)
        raise AgainError(words)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "of no known meaning"
