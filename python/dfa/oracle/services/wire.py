"""HTTP/1.1 as it is on the wire: one request, and one reply.

The standard library reads a reply's headers as those of an e-mail, which takes longer than all else that a request
needs of the processor, and a search shares its core with the requests. urllib3 stands on top of it.
"""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_SIZE: Final = re.compile(rb"\s*([0-9A-Fa-f]{1,8})\s*(?:;.*)?\r?\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_PIECE: Final = 2**16
_MOST_OF_HEAD: Final = 2**17
_MOST_OF_BODY: Final = 2**28
_TIMES_SILENCE: Final = 10
"""How many times as long as it may be silent a service may take for a whole reply."""


class BrokenReplyError(Exception):
    """What came is not what was sent off: the request is to be sent again."""


class ReplyHeaders:
    """The headers of a reply, looked up by name, whatever its case."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Keep headers by their names in lower case."""
        self._values = values

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a header, or the default where the reply has none of that name."""
        return self._values.get(name.lower(), default)


class Reply(NamedTuple):
    """What a service replied to a request.

    Attributes:
        status: 200..599.
        headers: Looked up by name, whatever its case.
        body: As it came.
        is_kept: Whether the connection is good for another request.
    """

    status: int
    headers: ReplyHeaders
    body: bytes
    is_kept: bool


def exchanged(sock: socket.socket, head: bytes, body: bytes) -> Reply:
    """Send a request and return the reply.

    Args:
        sock: Connected, with a time-out.
        head: Of the request, to the empty line.
        body: What comes after it.

    Raises:
        BrokenReplyError: The reply is cut off, or is none.
        OSError: The connection broke, or nothing came in time.
    """
    try:
        if len(body) <= _PIECE:
            sock.sendall(head + body)
        else:
            sock.sendall(head)
            sock.sendall(body)
        if _QUICKACK is not None:
            # Who sends the head of a reply and its body apart, as plain servers do, sends the body when the head is
            # acknowledged, which systems put off by 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
    except (BrokenPipeError, ConnectionResetError) as error:
        # Who refuses a request may say so and hang up before all of it is there.
        try:
            return _Reader(sock).reply()
        except (OSError, BrokenReplyError):
            raise error from None
    return _Reader(sock).reply()


def status_of(sock: socket.socket, head: bytes) -> int:
    """Send a request without a body and return the status of the reply, of which the headers are read alone.

    Raises:
        BrokenReplyError: The reply is cut off, or is none.
        OSError: The connection broke, or nothing came in time.
    """
    sock.sendall(head)
    return _Reader(sock).head()[1]


class _Reader:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._came = b""
        # Whoever sends a byte now and then is never silent, and would be waited for without end.
        timeout = sock.gettimeout()
        self._longest = math.inf if timeout is None else _TIMES_SILENCE * timeout
        self._ends = time.monotonic() + self._longest

    def reply(self) -> Reply:
        while True:
            minor, status, headers = self.head()
            if status >= 200:
                break
        codings = headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length")
        has_end = True
        if status in (204, 304):
            body = b""
        elif codings:
            if codings.strip() != "chunked":
                raise BrokenReplyError(f"the reply comes as {codings!r}, which was not asked for")
            body = self._chunks()
        elif length is not None:
            # Two that agree are one.
            lengths = {each.strip() for each in length.split(",")}
            if len(lengths) != 1 or not _LENGTH.fullmatch(text := lengths.pop()):
                raise BrokenReplyError("the reply has a length that is no number")
            body = self._exactly(int(text))
        else:
            body = self._rest()
            has_end = False
        tokens = headers.get("connection", "").lower()
        is_kept = "close" not in tokens if minor == b"1" else "keep-alive" in tokens
        return Reply(status, ReplyHeaders(headers), body, is_kept and has_end and not self._came)

    def head(self) -> tuple[bytes, int, dict[str, str]]:
        while (end := _END_OF_HEAD.search(self._came)) is None:
            if len(self._came) > _MOST_OF_HEAD:
                raise BrokenReplyError("the reply has headers without end")
            if not self._more():
                raise BrokenReplyError(
                    "the reply is cut off in its headers" if self._came else "the connection was closed without a reply"
                )
        lines = self._came[: end.start()].splitlines()
        self._came = self._came[end.end() :]
        first = _STATUS.fullmatch(lines[0]) if lines else None
        if first is None:
            raise BrokenReplyError("the reply is not one of HTTP/1.1")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return first[1], int(first[2]), headers

    def _received(self, most: int) -> bytes:
        piece = self._sock.recv(most)
        if time.monotonic() > self._ends:
            raise BrokenReplyError(f"the reply takes more than {self._longest:g} seconds in all")
        return piece

    def _more(self) -> bool:
        piece = self._received(_PIECE)
        self._came += piece
        return bool(piece)

    def _exactly(self, length: int) -> bytes:
        if length > _MOST_OF_BODY:
            raise BrokenReplyError(f"the reply has {length} bytes, and {_MOST_OF_BODY} are the most")
        pieces, missing = [self._came], length - len(self._came)
        self._came = b""
        while missing > 0:
            piece = self._received(min(missing, 2**20))
            if not piece:
                raise BrokenReplyError(f"the reply is cut off: {missing} of its {length} bytes are missing")
            pieces.append(piece)
            missing -= len(piece)
        body = b"".join(pieces)
        body, self._came = body[:length], body[length:]
        return body

    def _chunks(self) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while True:
            line = self._line()
            size = _SIZE.fullmatch(line)
            if size is None:
                raise BrokenReplyError("the reply comes in chunks, and one has no size")
            length = int(size[1], 16)
            if length == 0:
                break
            total += length
            if total > _MOST_OF_BODY:
                raise BrokenReplyError(f"the reply has more than {_MOST_OF_BODY} bytes, which are the most")
            chunks.append(self._exactly(length))
            if self._line().strip():
                raise BrokenReplyError("the reply comes in chunks, and one has another size than it says")
        while self._line().strip():
            pass
        return b"".join(chunks)

    def _line(self) -> bytes:
        while (end := self._came.find(b"\n")) < 0:
            if len(self._came) > _MOST_OF_HEAD or not self._more():
                raise BrokenReplyError("the reply is cut off between its chunks")
        line, self._came = self._came[: end + 1], self._came[end + 1 :]
        return line

    def _rest(self) -> bytes:
        pieces, total = [self._came], len(self._came)
        self._came = b""
        while piece := self._received(_PIECE):
            pieces.append(piece)
            total += len(piece)
            if total > _MOST_OF_BODY:
                raise BrokenReplyError(f"the reply has more than {_MOST_OF_BODY} bytes, which are the most")
        return b"".join(pieces)
