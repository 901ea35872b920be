"""The demo from its words to its last line: train, attack, save, and say so on the way."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import PIL

from dfa.api import run
from dfa.checks import printable
from dfa.cli.demo.attacks import EPSILON, TARGET_RANK, Attack, attacks
from dfa.cli.demo.classifier import SIDE, Recipe, accuracy, cache_file, load_digits, train_or_load
from dfa.cli.demo.contact_sheet import choose_examples, draw_contact_sheet
from dfa.cli.demo.table import format_table
from dfa.errors import DfaError
from dfa.files import UNREAD, let_go_of_output
from dfa.results.result import Result
from dfa.runs.folder import check_folder, write_json
from dfa.runs.saving import SaveReport

_RECIPE: Final = Recipe()
_NUM_EXAMPLES: Final = 8


def demonstrate(options: argparse.Namespace, recipe: Recipe) -> Iterator[str]:
    """Run the demo, and yield what it does, line by line.

    Args:
        options: As `main` parses them.
        recipe: Of the classifier.

    Raises:
        StoreError: The folder for the results cannot be written.
        MissingDependencyError: Keras or scikit-learn is not installed.
    """
    out: Path = options.out
    for attack in attacks():
        check_folder(out / attack.name, overwrite=True)

    digits = load_digits(recipe)
    yield (
        f"Digits: {len(digits.train_labels):,} to train on and {len(digits.test_labels):,} to test, "
        f"handwritten, {SIDE}x{SIDE} uint8 (scikit-learn)."
    )
    file = cache_file(recipe, out.parent / "demo-cache" if options.cache is None else options.cache)
    yield f"LeNet-1: kept from an earlier run, {file}" if file.exists() else "LeNet-1: training ..."
    started = time.perf_counter()
    model = train_or_load(recipe, digits, file)
    seconds = time.perf_counter() - started
    test_accuracy = accuracy(model, digits)
    yield (
        f"LeNet-1: {100 * test_accuracy:.1f} % of the test digits right ({model.count_params():,} parameters, "
        f"{seconds:.1f} s)."
    )

    images, labels = digits.test_images[: options.images], digits.test_labels[: options.images]
    yield (
        f"Attacks on {len(images):,} test digits, L-infinity at most {EPSILON} grey levels; the target is the "
        f"{TARGET_RANK}th likeliest class. A digit that is misclassified anyway is left out."
    )
    rows: list[tuple[Attack, Result]] = []
    reports: list[SaveReport] = []
    for attack in attacks():
        yield f"  {attack.setting}, {attack.goal} ..."
        result = run(
            model,
            images,
            labels,
            targets=attack.targets,
            epsilon=EPSILON,
            optimizer=attack.optimizer,
            max_queries=options.max_queries,
            seed=recipe.seed,
        )
        report = result.save(out / attack.name, overwrite=True)
        rows.append((attack, result))
        reports.append(report)
        summary = result.summary()
        yield (
            f"    adversarial images for {summary.verified:,} of {summary.attacked:,} digits in {summary.wall:.1f} s; "
            f"{report.verified:,} of {report.written:,} PNG files read back and confirmed"
        )
    yield ""
    yield format_table(rows)
    yield ""
    picture = out / "contact-sheet.png"
    examples = choose_examples(labels, [result for _, result in rows], _NUM_EXAMPLES)
    draw_contact_sheet(images, rows, examples).save(picture)
    write_json(
        out / "demo.json",
        {
            "versions": _versions(rows[0][1]),
            "classifier": {
                "file": file,
                "recipe": recipe,
                "test_accuracy": test_accuracy,
                "parameters": model.count_params(),
            },
            "images": len(images),
            "attacks": [_describe(*row, report) for row, report in zip(rows, reports, strict=True)],
        },
    )
    yield f"Picture: {picture}"
    yield f"Figures: {out / 'demo.json'}; records and images of each attack in its folder beside it"


def _versions(result: Result) -> dict[str, str]:
    oracle = result.config["oracle"]
    return {
        **result.config["versions"],
        oracle["framework"]: oracle["framework_version"],
        oracle["backend"]: oracle["backend_version"],
        "scikit-learn": importlib.metadata.version("scikit-learn"),
        "pillow": PIL.__version__,
    }


def _describe(attack: Attack, result: Result, report: SaveReport) -> dict[str, object]:
    """Return the figures of one attack for demo.json."""
    return {
        "name": attack.name,
        "optimizer": attack.optimizer,
        "targets": attack.targets,
        "epsilon": EPSILON,
        "summary": result.summary(),
        "profile": result.profile.as_dict(),
        "files": {"written": report.written, "verified": report.verified, "TSR": report.TSR},
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dfa.demo",
        description="Train LeNet-1 on handwritten digits and attack it by asking it alone.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for the results (%(default)s)")
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps the classifier (default: demo-cache beside --out)"
    )
    parser.add_argument("--images", type=_positive, default=200, help="test digits to attack (%(default)s)")
    parser.add_argument("--max-queries", type=_positive, default=5_000, help="budget per digit (%(default)s)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


def tell(arguments: Sequence[str] | None = None, recipe: Recipe = _RECIPE) -> None:
    """Run the demo, and say what it does on the way.

    Raises:
        DfaError: As of `demonstrate`.
    """
    for line in demonstrate(_parse(arguments), recipe):
        print(printable(line), flush=True)


def main(arguments: Sequence[str] | None = None, recipe: Recipe = _RECIPE) -> int:
    """Run the demo, say what it does on the way, and return the exit status."""
    try:
        tell(arguments, recipe)
    except DfaError as error:
        print(printable(f"dfa demo: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dfa demo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        let_go_of_output()
        return UNREAD
    return 0
