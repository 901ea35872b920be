"""Connections to a service: directly or through a proxy, with certificates that are looked at, and used again."""

from __future__ import annotations

import base64
import functools
import http.client
import queue
import select
import socket
import ssl
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dfa.errors import InvalidInputError, OracleError, told
from dfa.oracle.services.credentials import Address
from dfa.oracle.services.patience import AgainError


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

    The standard library opens them; what goes over them is `dfa.oracle.services.wire`'s work.

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
        self._tunnel_headers: dict[str, str] = {}
        self._through_proxy()
        if address.is_secure:
            _ = self._context

    def open(self) -> Connection:
        """Return a connection that is open.

        Raises:
            OSError: There is none to be had.
            http.client.HTTPException: A proxy answers what nobody understands.
        """
        host, port = self._hop
        opening: http.client.HTTPConnection
        if self._address.is_secure:
            opening = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._context)
            if self.proxy:
                opening.set_tunnel(self._address.host, self._address.port, self._tunnel_headers)
        else:
            opening = http.client.HTTPConnection(host, port, timeout=self._timeout)
        try:
            opening.connect()
        except BaseException:
            opening.close()
            raise
        return Connection(opening.sock)

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        """What is trusted: a file of certificates, or what the system and SSL_CERT_FILE name."""
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise InvalidInputError(
                f"ca_file must be a file of certificates in PEM form, and {self._ca_file} is none: {error}"
            ) from error

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
        headers = {}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            encoded = base64.b64encode(pair.encode()).decode()
            headers["Proxy-Authorization"] = f"Basic {encoded}"
            self.secrets = {encoded, pair, parts.username, parts.password or "", *pair.split(":", 1)}
        if address.is_secure:
            self._tunnel_headers = headers
        else:
            self.headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
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
        except (OSError, http.client.HTTPException) as error:
            place = f"the proxy {route.proxy}" if route.proxy else self._address.host
            raise AgainError(f"no connection to {place}: {told(error)}") from None

    def close(self) -> None:
        """Close the connections that nobody uses; whoever needs one later opens it anew."""
        taken = 0
        try:
            while True:
                connection = self._places.get_nowait()
                taken += 1
                if connection is not None:
                    connection.close()
        except queue.Empty:
            for _ in range(taken):
                self._places.put(None)

    def __getstate__(self) -> dict[str, Any]:
        """Return what may go to another process: no connection."""
        own = ("_places", "_finding", "_route")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without a connection."""
        self.__dict__.update(state)
        self._begin()
