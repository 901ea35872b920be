"""What the guide to services is run in: a service on the loopback."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa
from http_servers import NAMES, Service, parse, served
from oracles import random_images

_OPEN = contextlib.ExitStack()


class _Labels(Service):
    """Answers as the page's first service."""

    def answer(self, body: bytes, kind: str) -> dict[str, Any]:
        found = super().answer(body, kind)["labels"]
        return {"predictions": [{"label": each["name"], "score": each["confidence"]} for each in found]}


def names(data: Path) -> dict[str, Any]:
    os.environ["VISION_TOKEN"] = "a token that nobody sees"
    images = random_images(4, (8, 8, 3))
    url = _OPEN.enter_context(served(_Labels())).url
    mine = dfa.HttpOracle(
        url,
        parse=lambda reply: parse(
            {"labels": [{"name": e["label"], "confidence": e["score"]} for e in reply["predictions"]]}
        ),
        classes=NAMES,
        k=5,
    )
    found = mine.scores(images)[0][:, 0]
    return {
        "dfa": dfa,
        "url": url,
        "names": NAMES,
        "images": images,
        "labels": np.asarray(found),
        "mean": 0.5,
        "std": 0.5,
        "oracle_of_my_own": mine,
    }


def check(names: dict[str, Any]) -> None:
    _OPEN.close()
    del os.environ["VISION_TOKEN"]
    result = names["result"]
    assert result.summary().attacked == 4
    assert result.profile.service.use.cost_low == pytest.approx(result.profile.service.use.requests * 0.0015)
    files = [file for file in Path("runs").rglob("*") if file.is_file()]
    assert len(files) > 4
    assert not any(b"nobody sees" in file.read_bytes() for file in files)
