"""Search spaces other than the ball: with and without RACOS's region, and one pixel beside ART's PixelAttack.

Queries are counted at the oracle. The JSON is written after every row. --pictures draws ten examples of each space,
original above adversarial, one sheet for each model.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa.views.pictures import Sheet
from harness.arguments import make_parser
from harness.inputs import first_correct, load_images, load_model
from harness.results import write_results

MODELS = {"lenet1": "mnist_test2000", "cifar_resnet20": "cifar10_correct500"}
EXAMPLES = 10
SPACES: dict[str, dict[str, dfa.Space]] = {
    "lenet1": {
        "Pixels(1)": dfa.Pixels(1),
        "Pixels(5)": dfa.Pixels(5),
        "Rectangle(8, 8)": dfa.Rectangle(8, 8),
        "TinyRectangles(20, 2)": dfa.TinyRectangles(20, 2),
        "Lighting(128, 48)": dfa.Lighting(128, 48),
        "Tiled(LinfBall(64), 4)": dfa.Tiled(dfa.LinfBall(64), 4),
        "Shift(4, 4)": dfa.Shift(4, 4),
    },
    "cifar_resnet20": {
        "Pixels(1)": dfa.Pixels(1),
        "Pixels(5)": dfa.Pixels(5),
        "Rectangle(8, 8)": dfa.Rectangle(8, 8),
        "TinyRectangles(20, 2)": dfa.TinyRectangles(20, 2),
        "Lighting(64, 32)": dfa.Lighting(64, 32),
        "Tiled(LinfBall(8), 4)": dfa.Tiled(dfa.LinfBall(8), 4),
        "Shift(4, 4)": dfa.Shift(4, 4),
    },
}


class CountedModel:
    """A model as a function of uint8 batches that counts the images it is asked about."""

    def __init__(self, model: Any) -> None:
        """Count from 0."""
        tensorflow: Any = importlib.import_module("tensorflow")
        self.oracle = dfa.as_oracle(model)
        self.asked = 0
        # ART's differential evolution asks about one image at a time, 40,000 times.
        self._alone = tensorflow.function(lambda image: model(image, training=False), jit_compile=True)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Return scores."""
        self.asked += len(images)
        if len(images) == 1:
            return np.asarray(self._alone(images.astype(np.float32)))
        return np.concatenate([self.oracle.scores(part) for part in _parts(np.ascontiguousarray(images), 256)])


def _parts(images: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    return (images[start : start + size] for start in range(0, len(images), size))


def load_subject(
    data: Path, name: str, skip: int, number: int
) -> tuple[CountedModel, NDArray[np.uint8], NDArray[np.int64]]:
    """Return a model and the first images that it classifies correctly, but for those that are skipped."""
    model = CountedModel(load_model(data, f"{name}.keras"))
    (images, labels), _ = first_correct(model.oracle, load_images(data, f"{MODELS[name]}.npz"), number, 256, skip=skip)
    return model, images, labels


def attack(model: CountedModel, images: NDArray[np.uint8], space: dfa.Space, seed: int, **changes: Any) -> dfa.Result:
    """Attack with the space's default optimizer, but for what `changes` says of it."""
    budget = changes.pop("max_queries")
    optimizer = replace(space.optimizer(), **changes)
    return dfa.run(
        model, images, space=space, optimizer=optimizer, max_queries=budget, seed=seed, progress=False, batch_size=256
    )


def figures(results: list[dfa.Result]) -> dict[str, Any]:
    """Return what several seeds say together."""
    summaries = [result.summary() for result in results]
    return {
        "TSR": float(np.mean([each.TSR for each in summaries])),
        "queries_mean_with_failures": float(np.mean([each.queries_mean_with_failures for each in summaries])),
        "queries_median": float(np.mean([each.queries_median for each in summaries])),
        "distances": summaries[0].distances,
        "optimizer": results[0].config["optimizer"],
        "seeds": len(results),
    }


def compare_regions(
    model: CountedModel,
    images: NDArray[np.uint8],
    space: dfa.Space,
    seeds: int,
    budget: int,
    settings: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Attack with each setting, on the same images and seeds."""
    for changes in settings:
        results = [attack(model, images, space, seed, max_queries=budget, **changes) for seed in range(seeds)]
        yield {"changes": changes, **figures(results)}


def art_pixel(
    model: CountedModel, images: NDArray[np.uint8], labels: NDArray[np.int64], es: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """Attack image by image with ART's PixelAttack (th=1, its defaults); es: 0 CMA-ES, 1 differential evolution.

    No image is begun after so many seconds.
    """
    started = time.perf_counter()
    evasion: Any = importlib.import_module("art.attacks.evasion")
    estimators: Any = importlib.import_module("art.estimators.classification")

    classes = model(images[:1]).shape[1]
    classifier = estimators.BlackBoxClassifierNeuralNetwork(
        lambda x: model(np.clip(np.rint(x), 0, 255).astype(np.uint8)).astype(np.float32),
        images.shape[1:],
        classes,
        channels_first=False,
        clip_values=(0, 255),
    )
    for image, label in zip(images, labels, strict=True):
        if time.perf_counter() - started > seconds:
            return
        np.random.seed(0)
        pixel_attack = evasion.PixelAttack(classifier, th=1, es=es, targeted=False, verbose=False)
        before = model.asked
        with contextlib.redirect_stdout(io.StringIO()):
            found = pixel_attack.generate(image[np.newaxis].astype(np.float32), np.eye(classes)[[label]])
        sent = model.asked - before
        shown = np.clip(np.rint(found), 0, 255).astype(np.uint8)[0]
        pixels = int((shown != image).any(axis=2).sum())
        row = {"success": bool(model(shown[np.newaxis])[0].argmax() != label), "queries": sent, "pixels": pixels}
        print(row, flush=True)
        yield row


def add_examples(sheet: Sheet, called: str, result: dfa.Result, originals: NDArray[np.uint8]) -> None:
    """Add ten images that were broken, evenly from all of them, and what they became."""
    held = result.images.held()
    chosen = [held[place] for place in np.linspace(0, len(held) - 1, min(len(held), EXAMPLES)).astype(int)]
    summary = result.summary()
    sheet.add_section(
        f"{called}: TSR {100 * summary.TSR:.1f} %, {summary.queries_mean_with_failures:.1f} queries on average "
        f"(failures at {result.config['max_queries']:,})"
    )
    if not chosen:
        return
    records = [result.records[index] for index in chosen]
    sheet.add_row("original", [originals[index] for index in chosen], [("",) for _ in chosen])
    sheet.add_row(
        "adversarial",
        [result.images[index] for index in chosen],
        [(str(record.class_before), str(record.class_after)) for record in records],
    )


def main() -> None:
    """Run what was asked for."""
    parser = make_parser("spaces", __doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--number", type=int, default=50, help="images")
    parser.add_argument(
        "--skip", type=int, default=0, help="leave out so many images before those: defaults were chosen on some"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=1_000, help="queries per image")
    parser.add_argument("--spaces", nargs="*", help="names, as in the table; all of them if left out")
    parser.add_argument("--art", type=int, default=0, help="most images for ART's PixelAttack, 0: leave it out")
    parser.add_argument("--art-seconds", type=float, default=600, help="after which ART begins no other image")
    parser.add_argument(
        "--es", type=int, nargs="*", default=[1], help="ART's strategies: 0 CMA-ES, 1 DE; none: dfa alone"
    )
    parser.add_argument("--one-pixel-budget", type=int, default=1_000, help="of dfa beside ART")
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of each model: ten examples of each space")
    parser.add_argument("--grid", action="store_true", help="more settings than the two regions")
    arguments = parser.parse_args()
    document: dict[str, Any] = {"spaces": [], "one_pixel": []}

    def keep(kind: str, row: dict[str, Any]) -> None:
        document[kind].append(row)
        write_results(arguments.out, arguments, document)

    for name in arguments.models:
        model, images, labels = load_subject(arguments.data, name, arguments.skip, arguments.number)
        sheet = Sheet(name, f"{len(images)} images it classifies correctly", num_columns=EXAMPLES, cell=96)
        for called, space in SPACES[name].items():
            if arguments.spaces is not None and called not in arguments.spaces:
                continue
            for row in compare_regions(
                model, images, space, arguments.seeds, arguments.budget, _settings(arguments, space)
            ):
                row = {"model": name, "space": called, "budget": arguments.budget, "images": len(images), **row}
                print(_line(row), flush=True)
                keep("spaces", row)
            if arguments.pictures:
                add_examples(sheet, called, attack(model, images, space, 0, max_queries=arguments.budget), images)
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                sheet.draw().save(arguments.pictures / f"{name}.png")
        if arguments.art:
            _one_pixel(name, model, images, labels, arguments, partial(keep, "one_pixel"))


def _settings(arguments: argparse.Namespace, space: dfa.Space) -> list[dict[str, Any]]:
    regions: list[dict[str, Any]] = [{"region": "ordered"}, {"region": "none"}]
    if not arguments.grid:
        return regions
    # A share of the coordinates where the default is one: of many, one or two are too few.
    default = space.optimizer().coordinates
    counts = (default / 2, default, 2 * default) if isinstance(default, float) else (1, 2, 3)
    return [
        {"region": region["region"], "samples": samples, "positives": positives, "coordinates": coordinates}
        for region in regions
        for samples, positives in ((1, 1), (3, 2), (10, 2))
        for coordinates in counts
    ]


def _one_pixel(
    name: str,
    model: CountedModel,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    arguments: argparse.Namespace,
    keep: Callable[[dict[str, Any]], None],
) -> None:
    number = min(arguments.art, len(images))
    for es in arguments.es:
        started = time.perf_counter()
        rows = []
        for row in art_pixel(model, images[:number], labels[:number], es, arguments.art_seconds):
            rows.append(row)
            keep({"model": name, "attack": f"ART PixelAttack es={es}", "image": len(rows) - 1, **row})
        number = len(rows)  # dfa is held to the same images
        keep(
            _told(
                {
                    "model": name,
                    "attack": f"ART PixelAttack es={es}",
                    "images": number,
                    "success": float(np.mean([row["success"] for row in rows])),
                    "queries_mean": float(np.mean([row["queries"] for row in rows])),
                    "most_pixels": max(row["pixels"] for row in rows),
                    "seconds": time.perf_counter() - started,
                }
            )
        )
    for seed in range(arguments.seeds):
        before = model.asked
        result = attack(model, images[:number], dfa.Pixels(1), seed, max_queries=arguments.one_pixel_budget)
        keep(
            _told(
                {
                    "model": name,
                    "attack": f"dfa Pixels(1), seed {seed}, budget {arguments.one_pixel_budget}",
                    "images": number,
                    "success": float(result.success.mean()),
                    "queries_mean": (model.asked - before) / number,
                    "seconds": result.profile.wall,
                }
            )
        )


def _told(row: dict[str, Any]) -> dict[str, Any]:
    print(row, flush=True)
    return row


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['model']:<15} {row['space']:<24} {row['changes']!s:<80} TSR {100 * row['TSR']:5.1f} %  queries "
        f"{row['queries_mean_with_failures']:7.1f} mean, failures at budget; {row['queries_median']:6.1f} median"
    )


if __name__ == "__main__":
    main()
