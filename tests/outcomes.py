"""What two runs have in common when they found the same."""

from __future__ import annotations

from dataclasses import replace


def timeless(records, **others):
    """Return records without the one thing that no two runs have in common, and others that are not to count."""
    return [replace(record, seconds=0.0, **others) for record in records]


def outcomes(result):
    """Return all that a run says of each image, but for its place and its time."""
    return [
        (record, None if image is None else image.tobytes())
        for record, image in zip(timeless(result.records, index=0), result.images, strict=True)
    ]
