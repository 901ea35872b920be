"""What a folder records of a run's settings, in all its files, and in what they contradict one another.

Whoever believes one file alone can be told anything by it: run.json, results.json and epsilon.npy must agree.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import is_integer
from dfa.runs import door
from dfa.runs.folder import EPSILON
from dfa.runs.image_files import read_array
from dfa.runs.saved_run import SavedRun, holds_run, read_run_json, what_differs

_ROUNDING: Final = 1e-6
"""How far a probability may pass 1."""


def contradictions(run: SavedRun) -> Iterator[str]:
    """Yield, in words, in what the settings and the records of a run contradict one another.

    Raises:
        StoreError: The folder holds a run.json that cannot be read.
    """
    if run.is_complete and holds_run(run.folder):
        begun = {"config": read_run_json(run.folder).config}
        for difference in what_differs(begun, {"config": run.config}):
            yield f"run.json and results.json must tell the same, and {difference}"
    number = run.config.get("num_images")
    if run.is_complete and (not is_integer(number) or set(run.rows) != set(range(number))):
        yield f"the run must have one record for each of its {number} images, and has {len(run.rows)}"
    if not is_integer(run.config.get("max_queries")):
        yield f"max_queries must be an integer, and is {run.config.get('max_queries')!r}"


def target_contradiction(row: Mapping[str, Any], targets: object) -> str:
    """Return in what the target of a record is not that of the run's settings, or nothing.

    Args:
        row: The record.
        targets: Of the settings: None, a class, one class per image, or a rank or a digest, of which no class is known.
    """
    found = row["target"]
    if targets is None or found is None:
        # Where an image was never asked about, nobody may know its target.
        is_missing = targets is not None and row["found"]
        return f"its target is {found}, and the run's targets are {targets}" if found is not None or is_missing else ""
    if isinstance(targets, list):
        given = targets[row["index"]] if 0 <= row["index"] < len(targets) else None
    elif is_integer(targets):
        given = targets
    else:
        return ""
    return "" if found == given else f"its target is {found}, and the run's target for it {given}"


def row_contradictions(row: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what a record contradicts itself, or the run's settings, or leaves out what is to be checked."""
    budget = config.get("max_queries")
    is_success = row["status"] == "success"
    if is_success != bool(row["verified"]):
        yield f"its status is {row['status']} and verified is {row['verified']}"
    if is_success and not row.get("file"):
        yield "it is a success without a file"
    if row.get("file") and not row["found"]:
        yield "it names a file, and nothing was found"
    needed = (("l0", "l2", "linf") if row.get("file") else ()) + (("class_before", "class_after") if is_success else ())
    missing = [name for name in needed if row.get(name) is None]
    if missing:
        yield f"it does not tell {', '.join(missing)}"
    for problem in (target_contradiction(row, config.get("targets")), _skip_contradiction(row)):
        if problem:
            yield problem
    for name in ("probability_before", "probability_after"):
        if row.get(name) is not None and not 0 <= row[name] <= 1 + _ROUNDING:
            yield f"{name} is {row[name]}"
    if not 0 <= row["queries"] <= row["queries_sent"]:
        yield f"it counts {row['queries']} queries, of {row['queries_sent']} that were sent"
    if is_integer(budget) and row["queries_sent"] > budget:
        yield f"{row['queries_sent']} queries were sent, of a budget of {budget}"


def _skip_contradiction(row: Mapping[str, Any]) -> str:
    """Return why a record should not be skipped and is, or should be and is not; nothing where it is right."""
    before, label, target = row["class_before"], row["label"], row["target"]
    is_other = before is not None and label is not None and label != before
    is_reached = before is not None and target == before
    if row["status"] == "skipped":
        return "" if is_other or is_reached else "it was skipped, and neither its label nor its target tells why"
    if is_other:
        return f"its label is {label} and its original of class {before}, so there was nothing to attack"
    return f"its target {target} is the class of its original, so there was nothing to attack" if is_reached else ""


def recorded_epsilon(folder: Path, config: Mapping[str, Any], num_images: int) -> tuple[NDArray[np.int64] | None, str]:
    """Return the largest change that a run allowed, as all its files tell it.

    Args:
        folder: The run's folder.
        config: The run's settings; their epsilon is a number, a list, or of a large array dtype, shape and SHA-256.
        num_images: N.

    Returns:
        Grey levels, int64, (), (N,), (H, W, C) or (N, H, W, C), None where there is none to hold an image to; and why
        there is none, or in what the files contradict one another: nothing where they do not.
    """
    given = config.get("epsilon")
    shape = tuple(config.get("shape") or ())
    shapes = ((), (num_images,), shape, (num_images, *shape))
    kept, problem = _read(folder, shapes)
    if problem:
        return None, problem
    if config.get("space") is not None:
        is_told = given is not None or kept is not None
        return None, "an epsilon is on record, and the run's search space has none" if is_told else ""
    told: NDArray[Any] | None = None
    if isinstance(given, dict):
        if kept is None:
            return None, f"{EPSILON} is missing, and run.json keeps but the digest of epsilon; pass epsilon"
        if not _is_digest_of(given, kept):
            return None, f"{EPSILON} is not the epsilon whose digest is on record"
        told = kept
    elif is_integer(given) or isinstance(given, list):
        try:
            told = np.asarray(given)
        except ValueError:  # a ragged list
            return None, "epsilon must be numbers of one shape, and is on record as a ragged list"
    if told is None:
        return None, f"epsilon is not on record as grey levels, but as {given!r}; pass epsilon"
    if told.dtype.kind not in "iu" or told.shape not in shapes:
        return None, f"epsilon is on record as {told.dtype} of shape {told.shape}, and fits no run of {shape}"
    if told.min() < (0 if told.ndim >= 3 else 1) or told.max() > 255:
        return None, f"epsilon must be grey levels of at most 255, and is on record as {told.min()}..{told.max()}"
    problem = ""
    if kept is not None and not np.array_equal(kept, told):
        problem = f"{EPSILON} must hold the epsilon of run.json, and holds another"
    return np.asarray(told, dtype=np.int64), problem


def kept_epsilon(folder: Path, config: Mapping[str, Any], num_images: int) -> tuple[NDArray[Any] | None, str]:
    """Return what epsilon.npy holds where the settings keep but its digest, or why it is not that.

    Args:
        folder: The run's folder.
        config: The run's settings.
        num_images: N.
    """
    shape = tuple(config.get("shape") or ())
    kept, problem = _read(folder, ((), (num_images,), shape, (num_images, *shape)))
    if kept is not None and not _is_digest_of(config["epsilon"], kept):
        return None, f"{EPSILON} is not the epsilon whose digest is on record"
    return kept, problem


def _read(folder: Path, shapes: tuple[tuple[int, ...], ...]) -> tuple[NDArray[Any] | None, str]:
    """Return what epsilon.npy holds, if it is there, or why it cannot be used."""
    try:
        # A value takes no more than 16 bytes, a header no more than a few thousand.
        most = 16 * max(map(math.prod, shapes)) + 2**16
        return read_array(door.read_file(folder, EPSILON, most=most), shapes), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        return None, f"{EPSILON} cannot be read: {error}"


def _is_digest_of(digest: Mapping[str, Any], kept: NDArray[Any]) -> bool:
    """Tell whether an array is the one that `folder.plain` made a digest of; the file keeps it as uint8."""
    try:
        dtype = np.dtype(digest["dtype"])
        if dtype.kind not in "biuf":
            return False  # one of text may be as long as somebody likes
        array = kept.astype(dtype)
        found = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return bool(list(array.shape) == digest["shape"] and found == digest["sha256"])
    except (KeyError, TypeError, ValueError):
        return False
