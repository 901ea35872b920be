"""A service of images on the loopback, of the standard library alone: it fails as told, and counts what it saw."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oracles import LinearClassifier

NAMES = ["crow", "daisy", "eel", "fern", "gnat", "heron", "iris", "jay"]

Fault = Callable[["Handler"], None]
"""What a request gets in place of an answer."""


def pixels(png: bytes) -> NDArray[np.uint8]:
    """Return the image in a PNG: uint8, (H, W, C)."""
    with PIL.Image.open(io.BytesIO(png)) as picture:
        image = np.array(picture)
    return image[:, :, np.newaxis] if image.ndim == 2 else image


@functools.cache
def classifier(shape: tuple[int, int, int]) -> LinearClassifier:
    """Return what the service answers by."""
    return LinearClassifier(shape, len(NAMES))


def scores(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the probabilities of `NAMES`."""
    return classifier(image.shape)(image[np.newaxis])[0]


def labels(image: NDArray[np.uint8], k: int) -> list[dict[str, Any]]:
    """Return what the service says of an image, the likeliest classes first."""
    shown = scores(image)
    return [{"name": NAMES[i], "confidence": float(shown[i])} for i in np.argsort(-shown, kind="stable")[:k]]


def parse(reply: Any) -> Any:
    """Read a reply of the service about one image."""
    return [(each["name"], each["confidence"]) for each in reply["labels"]]


def parse_all(reply: Any) -> Any:
    """Read a reply of the service about several images."""
    return [[(each["name"], each["confidence"]) for each in answer] for answer in reply["answers"]]


class Service(ThreadingHTTPServer):
    """Tells the likeliest classes of images, until it is closed.

    Attributes:
        requests: POST requests that came, of which all was read.
        images: Images in them.
        answered: Requests that were answered.
        bodies: Their bodies; headers: theirs.
        fault: Says what goes wrong with the request of a number, 1 first; None: nothing.
        k: Classes that are told.
        released: Ends the waiting of stuck requests.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = self.images = self.answered = 0
        self.bodies: list[bytes] = []
        self.headers: list[Any] = []
        self.paths: list[str] = []
        self.fault: Callable[[int], Fault | None] = lambda number: None
        self.k = 5
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/classify"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that break; they are meant to."""

    def answer(self, body: bytes, kind: str) -> dict[str, Any]:
        if kind == "image/png":
            return {"labels": labels(pixels(body), self.k)}
        document = json.loads(body)
        if "images" in document:
            return {"answers": [labels(pixels(base64.b64decode(each)), self.k) for each in document["images"]]}
        return {"labels": labels(pixels(base64.b64decode(document["image"])), self.k)}


class Handler(BaseHTTPRequestHandler):
    """Reads one request after another from a connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.lock:
            server.requests += 1
            number = server.requests
            server.images += body.count(b"iVBOR") or 1
            server.bodies.append(body)
            server.headers.append(self.headers)
            server.paths.append(self.path)
        fault = server.fault(number)
        if fault is not None:
            fault(self)
            return
        with server.lock:
            server.answered += 1
        self.reply(200, json.dumps(server.answer(body, self.headers["Content-Type"])).encode())

    def do_GET(self) -> None:
        self.reply(200, b'{"name": "service"}')

    def reply(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """Reply in one piece."""
        self.wfile.write(self.head(status, len(body), kind, **headers) + body)

    def head(self, status: int, length: int | None, kind: str = "application/json", **headers: str) -> bytes:
        named = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
        if length is not None:
            named["Content-Length"] = str(length)
        lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in named.items())]
        return "\r\n".join([*lines, "", ""]).encode()

    def hang_up(self, *, is_reset: bool = False) -> None:
        """Close the connection, with a reset or in order."""
        self.close_connection = True
        if is_reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.connection.close() if is_reset else self.connection.shutdown(socket.SHUT_RDWR)


def status(number: int, body: bytes = b'{"error": "no"}', **headers: str) -> Fault:
    """A reply that is no answer."""
    return lambda handler: handler.reply(number, body, **headers)


def says(body: bytes, kind: str = "application/json") -> Fault:
    """A reply that claims to be an answer."""
    return lambda handler: handler.reply(200, body, kind)


def reset(handler: Handler) -> None:
    """A reset in the middle of the body."""
    handler.wfile.write(handler.head(200, 1000) + b'{"labels": [')
    handler.hang_up(is_reset=True)


def cut(handler: Handler) -> None:
    """A body that ends before its length."""
    handler.wfile.write(handler.head(200, 1000) + b'{"labels": []}')
    handler.hang_up()


def cut_chunks(handler: Handler) -> None:
    """Chunks of which the last is missing."""
    handler.wfile.write(handler.head(200, None, Transfer_Encoding="chunked") + b'd\r\n{"labels": []\r\n')
    handler.hang_up()


def wrong_chunks(handler: Handler) -> None:
    """Chunks that are none."""
    handler.wfile.write(handler.head(200, None, Transfer_Encoding="chunked") + b"zz\r\n{}\r\n0\r\n\r\n")
    handler.hang_up()


def chunked(handler: Handler) -> None:
    """An answer in two chunks, with what may stand beside them."""
    body = b'{"labels": [{"name": "crow", "confidence": 0.25}]}'
    pieces = b"7;x=1\r\n%b\r\n%X\r\n%b\r\n0\r\nX-After: 1\r\n\r\n" % (body[:7], len(body) - 7, body[7:])
    handler.wfile.write(handler.head(200, None, Transfer_Encoding="chunked") + pieces)


def no_length(handler: Handler) -> None:
    """An answer that ends with its connection."""
    handler.wfile.write(handler.head(200, None) + b'{"labels": [{"name": "crow", "confidence": 0.5}]}')
    handler.hang_up()


def silent(handler: Handler) -> None:
    """A connection that is closed in place of a reply."""
    handler.hang_up()


def stuck(handler: Handler) -> None:
    """Nothing, for as long as the service is there."""
    handler.server.released.wait(60)
    handler.close_connection = True


@contextlib.contextmanager
def served(service: Service | None = None) -> Iterator[Service]:
    """Let a service answer while the block runs."""
    service = Service() if service is None else service
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        service.released.set()
        service.shutdown()
        service.server_close()
        thread.join()
