"""What the recipes for services are run in: what stands for AWS's client, and images."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa
from http_servers import labels, pixels
from oracles import random_images


class _Rekognition:
    def detect_labels(self, Image: dict[str, bytes], MaxLabels: int, MinConfidence: float) -> dict[str, Any]:
        found = labels(pixels(Image["Bytes"]), 5)
        return {"Labels": [{"Name": each["name"], "Confidence": 100 * each["confidence"]} for each in found]}


def names(data: Path) -> dict[str, Any]:
    return {"dfa": dfa, "rekognition": _Rekognition(), "images": random_images(2, (8, 8, 3))}


def check(names: dict[str, Any]) -> None:
    image = names["images"][0]
    for each in (image, image[:, :, :1]):
        assert np.array_equal(pixels(names["png"](each)), each)
    (request,) = names["to_vision"](image)["requests"]
    assert np.array_equal(pixels(base64.b64decode(request["image"]["content"])), image)
    assert names["from_vision"]({"responses": [{}]}) == [("(nothing)", 1.0)]
    with pytest.raises(ValueError, match="no quota"):
        names["from_vision"]({"responses": [{"error": {"message": "no quota"}}]})
    many = {str(number): number / 20 for number in range(20)}
    assert [label for label, _ in names["shares"](many)] == [str(number) for number in range(19, 9, -1)]
    result = dfa.run(names["oracle"], names["images"], epsilon=16, max_queries=50, progress=False)
    assert result.summary().attacked == 2
    assert "VISION_TOKEN" not in os.environ
