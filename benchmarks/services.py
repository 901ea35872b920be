"""How much of what a service allows is used: one takes so many requests at once, one allows so many a second.

The service is a process of its own on this machine: it takes one PNG a request over HTTP, answers with ten scores of a
linear model of small digits (14x14), and lets each request take 50 ms. It takes 64 at once, so that 1,280 images a
second are allowed. Or it counts the requests of the last second and rejects (429) what is above 20. Images are real
digits; epsilon is small, so that nearly all of them are under attack until the end.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import io
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

import dfa
from fullness.models import LinearModel
from harness.arguments import make_parser, positive
from harness.inputs import load_images
from harness.printing import print_table
from harness.results import write_results
from workers import _halved, small_digits

_AT_ONCE = 64
_SECONDS = 0.05
_PER_SECOND = 20


def serve(data: str, per_second: int | None, line: Connection) -> None:
    """Answer until the line says to end; then tell through it how many requests came, and how many were rejected."""
    images, labels = load_images(Path(data), "mnist_test2000.npz")
    model = LinearModel.fitted(_halved(images), labels, scale=20.0)
    seen = {"requests": 0, "rejected": 0, "rejected after a second": 0}
    recent: collections.deque[float] = collections.deque()
    first: list[float] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                began = time.monotonic()
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                status, reply, seconds = answer(body)
                # A request takes as long as is said, what it takes of the processor included.
                await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
                writer.write(
                    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (status, len(reply), reply)
                )
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def answer(body: bytes) -> tuple[bytes, bytes, float]:
        now = time.monotonic()
        first.append(now) if not first else None
        seen["requests"] += 1
        if per_second is not None:
            while recent and recent[0] <= now - 1:
                recent.popleft()
            if len(recent) >= per_second:
                seen["rejected"] += 1
                seen["rejected after a second"] += now - first[0] > 1
                return b"429 Too Many Requests", b"{}", 0.0
            recent.append(now)
        with PIL.Image.open(io.BytesIO(body)) as picture:
            image = np.array(picture)[np.newaxis, :, :, np.newaxis]
        logits = model(image)[0]
        shown = np.exp(logits - logits.max())
        return b"200 OK", json.dumps((shown / shown.sum()).tolist()).encode(), _SECONDS

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=256)
        line.send(server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, line.recv)

    asyncio.run(main())
    line.send(seen)


def parse(reply: Any) -> Any:
    """Return the scores of a reply."""
    return reply


def run_once(arguments: argparse.Namespace, per_second: int | None, *, learns: bool) -> dict[str, Any]:
    """Attack, and return the figures."""
    mine, its = multiprocessing.Pipe()
    service = multiprocessing.get_context("spawn").Process(target=serve, args=(str(arguments.data), per_second, its))
    service.start()
    port = mine.recv()
    number = arguments.images if per_second is None else 20
    queries = arguments.queries if per_second is None else arguments.rated
    oracle = dfa.HttpOracle(
        f"http://127.0.0.1:{port}/",
        parse=parse,
        encode="png",
        returns="probabilities",
        concurrency=_AT_ONCE if per_second is None else 8,
        rate=None if per_second is None else f"{per_second}/s",
    )
    images = small_digits(arguments.data, number)
    before = time.process_time()
    result = dfa.run(
        oracle, images, epsilon=2, max_queries=queries, optimizer=dfa.Racos(archive=learns), progress=False
    )
    driver = time.process_time() - before
    mine.send("end")
    seen = mine.recv()
    service.join()
    use, wall = oracle.books.use, result.profile.wall
    if use.requests != seen["requests"]:
        raise SystemExit(f"{use.requests} requests were counted, and the service saw {seen['requests']}")
    allowed = _AT_ONCE / _SECONDS if per_second is None else float(per_second)
    return {
        "allowed": "64 at once, 50 ms each" if per_second is None else f"{per_second} a second",
        "images learn": learns,
        "images": number,
        "requests": use.requests,
        "wall": wall,
        "per second": use.requests / wall,
        "of what is allowed": use.requests / wall / allowed,
        "driver": driver,
        "microseconds of driver a request": 1e6 * driver / use.requests,
        "rejected": seen["rejected"],
        "rejected after a second": seen["rejected after a second"],
    }


def _shown(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


def main() -> None:
    """Run all, and print and write the figures."""
    parser = make_parser("services", __doc__)
    parser.add_argument("--images", type=positive, default=200)
    parser.add_argument("--queries", type=positive, default=300, help="per image, of the service that takes 64 at once")
    parser.add_argument("--rated", type=positive, default=60, help="per image, of 20, of the service with a rate")
    parser.add_argument("--turns", type=positive, default=3)
    arguments = parser.parse_args()
    rows = [run_once(arguments, None, learns=learns) for _ in range(arguments.turns) for learns in (False, True)]
    rows.append(run_once(arguments, _PER_SECOND, learns=True))
    shown = ["allowed", "images learn", "images", "requests", "wall", "per second", "of what is allowed"]
    shown += ["microseconds of driver a request", "rejected", "rejected after a second"]
    print_table(shown, [[_shown(row[name]) for name in shown] for row in rows])
    write_results(arguments.out, arguments, rows)


if __name__ == "__main__":
    main()
