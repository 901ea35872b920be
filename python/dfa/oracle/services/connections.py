"""Connections to a service: directly or through a proxy, with certificates that are looked at, and used again."""

from __future__ import annotations

import base64
import contextlib
import functools
import queue
import select
import socket
import ssl
import threading
import urllib.request
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dfa.errors import InvalidInputError, OracleError, told
from dfa.oracle.services.credentials import Address
from dfa.oracle.services.patience import AgainError
from dfa.oracle.services.wire import BrokenReplyError, status_of


class Connection:
    """An open connection.

    Attributes:
        sock: Its socket, with a time-out.
        is_used: Whether a request has gone over it.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Take a socket that is connected."""
        self.sock = sock
        self.is_used = False
        # Where there is no poll, select does, as long as files have small numbers.
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(sock, select.POLLIN)

    def is_alive(self) -> bool:
        """Tell whether the connection, which nobody uses, is still open at the other end.

        A request into a closed one would count as sent, and the service would never have seen it.
        """
        if self.sock.fileno() < 0:
            return False
        if not self.is_used and isinstance(self.sock, ssl.SSLSocket):
            # What may wait there are keys for the next connection, which come with the first reply.
            return True
        # Otherwise whatever comes from an idle service is its good-bye.
        if self._poll is not None:
            return not self._poll.poll(0)
        return not select.select([self.sock], [], [], 0)[0]

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


class Route:
    """How connections to an address are made.

    Attributes:
        headers: What each request says besides its own, as lines.
        prefix: What stands before the path in a request: a proxy wants to know the host.
        proxy: The proxy's host and port, for messages; or nothing.
    """

    def __init__(self, address: Address, timeout: float, ca_file: Path | None) -> None:
        """Find the way to an address.

        Args:
            address: The service's.
            timeout: Seconds that the other side may be silent.
            ca_file: Certificates to trust in place of the system's.

        Raises:
            InvalidInputError: The certificates cannot be read, or the environment names a proxy that is none.
        """
        self._address = address
        self._timeout = timeout
        self._ca_file = ca_file
        self.headers = ""
        self.prefix = ""
        self.proxy = ""
        self.secrets: set[str] = set()
        self._hop = (address.host, address.port)
        self._tunnel: bytes | None = None
        self._through_proxy()
        if address.is_secure:
            _ = self._context

    def open(self) -> Connection:
        """Return a connection that is open.

        Raises:
            OSError: There is none to be had.
            BrokenReplyError: A proxy answers what nobody understands.
        """
        sock = socket.create_connection(self._hop, self._timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tunnel is not None:
                status = status_of(sock, self._tunnel)
                if not 200 <= status < 300:
                    raise ConnectionError(f"it lets nobody through to {self._address.host}, status {status}")
            if self._address.is_secure:
                sock = self._context.wrap_socket(sock, server_hostname=self._address.host)
        except BaseException:
            sock.close()
            raise
        return Connection(sock)

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        """What is trusted: a file of certificates, or what the system and SSL_CERT_FILE name."""
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise InvalidInputError(
                f"ca_file must be a file of certificates in PEM form, and {self._ca_file} is none: {error}"
            ) from error
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _through_proxy(self) -> None:
        """Take the proxy that the environment or the system names, if there is one."""
        address = self._address
        scheme = "https" if address.is_secure else "http"
        proxies = urllib.request.getproxies()
        given = proxies.get(scheme) or proxies.get("all")
        if not given or urllib.request.proxy_bypass(address.host):
            return
        try:
            parts = urlsplit(given if "://" in given else f"http://{given}")
            port = parts.port or 80
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme != "http" or not parts.hostname:
            # Not shown: it may hold a password.
            raise InvalidInputError(
                f"the proxy for {scheme} that the environment names must be http://HOST:PORT; set NO_PROXY="
                f"{address.host} to go without it"
            )
        self.proxy = f"{parts.hostname}:{port}"
        self._hop = (parts.hostname, port)
        headers = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            encoded = base64.b64encode(pair.encode()).decode()
            headers = f"Proxy-Authorization: Basic {encoded}\r\n"
            self.secrets = {encoded, pair, parts.username, parts.password or "", *pair.split(":", 1)}
        if address.is_secure:
            place = f"{f'[{address.host}]' if ':' in address.host else address.host}:{address.port}"
            self._tunnel = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{headers}\r\n".encode("latin-1")
        else:
            self.headers = headers
            self.prefix = address.origin


class Pool:
    """The connections to a service: as many as there may be at a time, each used again once its request is answered."""

    def __init__(self, address: Address, size: int, timeout: float, ca_file: Path | None) -> None:
        """Begin without a connection.

        Args:
            address: The service's.
            size: Connections at a time.
            timeout: Seconds that the other side may be silent.
            ca_file: Certificates to trust in place of the system's.
        """
        self._address = address
        self._size = size
        self._timeout = timeout
        self._ca_file = ca_file
        self._begin()

    def _begin(self) -> None:
        # A place for each connection that there may be, which holds it while nobody uses it.
        self._places: queue.LifoQueue[Connection | None] = queue.LifoQueue()
        for _ in range(self._size):
            self._places.put(None)
        # Of one that nobody closes, Python would warn for each connection.
        weakref.finalize(self, _closed, self._places)
        self._finding = threading.Lock()
        self._route: Route | None = None

    @property
    def route(self) -> Route:
        """How connections are made; found when it is needed first.

        Raises:
            InvalidInputError: There is no way, as of `Route`.
        """
        if self._route is None:
            with self._finding:
                self._route = self._route or Route(self._address, self._timeout, self._ca_file)
        return self._route

    @property
    def secrets(self) -> set[str]:
        """What is to be shown to nobody, as far as it is known now."""
        return set() if self._route is None else self._route.secrets

    def take(self) -> Connection | None:
        """Return a connection that nobody uses, or None in place of one; wait while all are used."""
        return self._places.get()

    def give(self, connection: Connection | None) -> None:
        """Take back what `take` returned, or the connection that was opened in place of it."""
        self._places.put(connection)

    def opened(self, connection: Connection | None) -> Connection:
        """Return a connection that is open: the one that there is, or a new one in place of it.

        Raises:
            AgainError: There is none to be had now.
            OracleError: The other side cannot show who it is.
        """
        if connection is not None:
            if connection.is_alive():
                return connection
            connection.close()
        route = self.route
        try:
            return route.open()
        except ssl.SSLCertVerificationError as error:
            raise OracleError(
                f"the certificate of {self._address.host} is not trusted: {error.verify_message}; pass ca_file= or set "
                "SSL_CERT_FILE to certificates that vouch for it"
            ) from None
        except (OSError, BrokenReplyError) as error:
            place = f"the proxy {route.proxy}" if route.proxy else self._address.host
            raise AgainError(f"no connection to {place}: {told(error)}") from None

    def close(self) -> None:
        """Close the connections that nobody uses; whoever needs one later opens it anew."""
        for _ in range(_closed(self._places)):
            self._places.put(None)

    def __getstate__(self) -> dict[str, Any]:
        """Return what may go to another process: no connection."""
        own = ("_places", "_finding", "_route")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without a connection."""
        self.__dict__.update(state)
        self._begin()


def _closed(places: queue.LifoQueue[Connection | None]) -> int:
    """Close the connections that nobody uses, and return how many places were taken from them."""
    taken = 0
    with contextlib.suppress(queue.Empty):
        while True:
            connection = places.get_nowait()
            taken += 1
            if connection is not None:
                connection.close()
    return taken
