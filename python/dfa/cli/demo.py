"""The whole of dfa in one command: `python -m dfa.demo --out runs/demo`.

Trains LeNet-1 on the handwritten digits that scikit-learn carries (seconds, cached), attacks test digits
untargeted and targeted, with the paper's setting and with the default, and writes a table, every adversarial
image, and one picture of what was changed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import inspect
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL
from PIL import Image as Pillow

from dfa.api import run
from dfa.errors import DfaError, MissingDependencyError
from dfa.results.result import Result
from dfa.runs.folder import check_folder, write_json
from dfa.runs.saving import SaveReport
from dfa.search.goals import Rank, rank
from dfa.search.objectives import predicted
from dfa.search.racos import Racos
from dfa.types import Classes, Images
from dfa.views.pictures import Sheet, amplified_difference

KerasModel: TypeAlias = Any
"""A `keras.Model`; Keras has no types, and may be absent."""

EPSILON = 64
"""Grey levels; the paper's distance for handwritten digits (Table 5)."""

TARGET_RANK = 4
"""The paper's target for handwritten digits: the 4th likeliest class (Table 5)."""

SIDE = 28

_NUM_EXAMPLES = 8


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which classifier comes out, beside the code that follows it.

    Attributes:
        seed: Of the split and of the training.
        num_test: Digits held back; the others are trained on.
        epochs: Passes over the training digits.
        batch_size: Digits per step.
        learning_rate: Of Adam.
    """

    seed: int = 0
    num_test: int = 500
    epochs: int = 25
    batch_size: int = 64
    learning_rate: float = 3e-3


_RECIPE = Recipe()


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: images uint8, (N, 28, 28, 1), and labels int64, (N,), 0..9."""

    train_images: Images
    train_labels: Classes
    test_images: Images
    test_labels: Classes


@dataclass(frozen=True)
class Attack:
    """One row of the demo's table.

    Attributes:
        name: Of its folder.
        optimizer: How it searches.
        setting: What the table calls that.
        targets: What it aims at, None for any other class.
        goal: What the table calls that.
    """

    name: str
    optimizer: Racos
    setting: str
    targets: Rank | None
    goal: str


def attacks() -> tuple[Attack, ...]:
    """Return the attacks of the demo: the paper's setting and the default, untargeted and targeted."""
    rows = []
    for targets, goal in ((None, "untargeted"), (rank(TARGET_RANK), "targeted")):
        paper = Racos.paper(targeted=targets is not None)
        rows.append(Attack(f"paper-{goal}", paper, "paper", targets, goal))
        rows.append(Attack(f"default-{goal}", Racos(), "default", targets, goal))
    return tuple(rows)


def load_digits(recipe: Recipe) -> Digits:
    """Return the digits of scikit-learn as MNIST has them: 28x28 uint8, 0..255, white on black.

    The 1,797 originals are 8x8, with values 0..16.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise _missing("scikit-learn", error) from error
    bunch: Any = datasets.load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    size = (SIDE, SIDE)
    images = np.stack([np.asarray(Pillow.fromarray(each).resize(size, Pillow.Resampling.BICUBIC)) for each in small])[
        ..., np.newaxis
    ]
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(recipe.seed).permutation(len(labels))
    test, train = order[: recipe.num_test], order[recipe.num_test :]
    return Digits(images[train], labels[train], images[test], labels[test])


def build_lenet1() -> KerasModel:
    """Return LeNet-1, untrained: two convolutions, each followed by pooling, and one dense layer.

    As the paper's experiments have it, with 7,206 parameters: 4 and 12 maps of 5x5, max-pooling, softmax. It takes
    0..255; the normaliser is its first layer.
    """
    keras = _import_keras()
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, name="before_softmax"),
            layers.Softmax(),
        ],
        name="lenet1",
    )


def train(recipe: Recipe, digits: Digits) -> KerasModel:
    """Return LeNet-1 trained on the training digits."""
    keras = _import_keras()
    keras.utils.set_random_seed(recipe.seed)
    model = build_lenet1()
    model.compile(keras.optimizers.Adam(recipe.learning_rate), "sparse_categorical_crossentropy")
    model.fit(
        digits.train_images.astype(np.float32),
        digits.train_labels,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=0,
    )
    return model


def cache_file(recipe: Recipe, cache: Path) -> Path:
    """Return where the classifier of a recipe is kept; another recipe, code or Keras gives another file."""
    code = "".join(inspect.getsource(each) for each in (load_digits, build_lenet1, train))
    made_by = f"{recipe} {_import_keras().__version__} {importlib.metadata.version('scikit-learn')} {code}"
    return cache / f"lenet1-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}.keras"


def train_or_load(recipe: Recipe, digits: Digits, file: Path) -> KerasModel:
    """Return the classifier that `file` keeps, or train it and keep it there."""
    if file.exists():
        return _import_keras().models.load_model(file, compile=False)
    model = train(recipe, digits)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first, so that an interrupt leaves no half file to be loaded next time.
    temporary = file.with_name(f"{file.stem}.{os.getpid()}.keras")
    model.save(temporary)
    temporary.replace(file)
    return model


def accuracy(model: KerasModel, digits: Digits) -> float:
    """Return the share of the test digits that a classifier gets right, 0..1."""
    scores = model.predict(digits.test_images.astype(np.float32), batch_size=256, verbose=0)
    return float((predicted(np.asarray(scores, dtype=np.float64)) == digits.test_labels).mean())


def format_table(rows: Sequence[tuple[Attack, Result]]) -> str:
    """Return the demo's table: one line per attack, figures as `Summary` and `Profile` define them."""
    lines = [_HEADINGS]
    for attack, result in rows:
        summary, profile = result.summary(), result.profile
        lines.append(
            (
                attack.setting,
                attack.goal,
                f"{summary.max_queries:,}",
                f"{100 * summary.TSR:.1f} %",
                f"{summary.queries_mean:,.1f}",
                f"{summary.queries_median:,.1f}",
                f"{summary.queries_mean_with_failures:,.1f}",
                f"{profile.wall / max(1, summary.attacked):.4f}",
                f"{profile.queries_per_second:,.0f}",
                f"{100 * profile.oracle_share:.0f} %",
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            f"{cell:<{width}}" if i < _TEXT_COLUMNS else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", _LEGEND])


_HEADINGS = ("setting", "goal", "budget", "TSR", "mean", "median", "all", "s/image", "queries/s", "oracle")
_TEXT_COLUMNS = 2
_LEGEND = """\
setting    paper: Algorithm 1 with Table 5 (s = 3, targeted 10; k = 2; 2 values at a time); default: dfa.Racos()
budget     queries per image at most
TSR        share of the attacked images with a confirmed adversarial image
mean       queries, over successes; median likewise; all: mean with a failure counted at the whole budget
s/image    seconds of wall time
oracle     share of the wall time in which the classifier was answering"""


def choose_examples(labels: Classes, results: Sequence[Result], number: int) -> list[int]:
    """Return the images to show: of as many classes as possible, and in each those that most attacks broke.

    Args:
        labels: int64, (N,).
        results: What the attacks found.
        number: Images wanted; fewer are returned only if no attack broke more.

    Returns:
        Indices, ordered by class.
    """
    num_broken = np.sum([result.success for result in results], axis=0)
    order = np.argsort(-num_broken, kind="stable")
    # The best of every class come first, then the second best of every class, and so on.
    place = {int(i): int(np.count_nonzero(labels[order[:n]] == labels[i])) for n, i in enumerate(order)}
    ranking = sorted((int(i) for i in order if num_broken[i]), key=lambda i: (place[i], labels[i]))
    return sorted(ranking[:number], key=lambda i: (labels[i], i))


def draw_contact_sheet(
    originals: Images, rows: Sequence[tuple[Attack, Result]], examples: Sequence[int]
) -> Pillow.Image:
    """Return one picture: a column per digit; the original, then per attack the adversarial and what changed.

    Args:
        originals: uint8, (N, 28, 28, 1).
        rows: The attacks to show, and what they found.
        examples: Indices of the digits to show.
    """
    factor = 128 // EPSILON
    sheet = Sheet(
        "LeNet-1 on handwritten digits, attacked by asking it alone",
        f"No value changes by more than {EPSILON} of 255 grey levels. Differences are shown {factor} times as large; "
        "mid-grey is zero.\nUnder each digit its class and probability, before and after. Shown is, per class, a digit "
        "that most attacks broke.",
        num_columns=max(len(examples), 6),
        cell=4 * SIDE,
    )
    clean = rows[0][1].records
    sheet.add_row(
        "original",
        [originals[i] for i in examples],
        [(_class_text(clean[i].class_before, clean[i].probability_before),) for i in examples],
    )
    for attack, result in rows:
        sheet.add_section(section_title(attack, result))
        found = [result.images[i] for i in examples]
        records = [result.records[i] for i in examples]
        sheet.add_row(
            "adversarial",
            found,
            [
                (
                    _class_text(record.class_before, record.probability_before),
                    _class_text(record.class_after, record.probability_after),
                )
                for record in records
            ],
        )
        sheet.add_row(
            "difference",
            [
                None if image is None else amplified_difference(originals[i], image, factor)
                for i, image in zip(examples, found, strict=True)
            ],
            [(_queries(record.queries),) for record in records],
        )
    return sheet.draw()


def section_title(attack: Attack, result: Result) -> str:
    """Return what the contact sheet says of an attack."""
    aim = "Untargeted" if attack.targets is None else f"Targeted at the {attack.targets.j}th likeliest class"
    setting = {"paper": "the paper's setting", "default": "the default"}[attack.setting]
    summary = result.summary()
    title = f"{aim}, {setting}: {100 * summary.TSR:.0f} % of {summary.attacked:,} digits"
    return f"{title}, median {_queries(round(summary.queries_median))}" if summary.verified else title


def _queries(number: int) -> str:
    return f"{number:,} {'query' if number == 1 else 'queries'}"


def _class_text(number: int | None, probability: float | None) -> str:
    return "-" if number is None or probability is None else f"{number}  {100 * probability:.0f} %"


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


def _import_keras() -> Any:
    """Return the module keras, with the chatter of a framework's start left out and its errors left in.

    Raises:
        MissingDependencyError: Keras or its backend is not installed.
    """
    try:
        return sys.modules.get("keras") or _import_keras_quietly()
    except ImportError as error:
        raise _missing("Keras with a backend such as TensorFlow", error) from error


def _import_keras_quietly() -> Any:
    # Informational messages while running; those of the start come before this is looked at.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with _without_chatter():
        keras = importlib.import_module("keras")
        # The devices announce themselves at the first operation.
        keras.ops.ones(1)
    return keras


_CHATTER = re.compile(
    rb"[IW]\d{4} .*"  # information and warnings in the log format of absl
    rb"|WARNING: All log messages before absl::InitializeLog.*"
    rb"|To enable the following instructions: .*"
    rb"|.* failed call to cuInit: .*"  # how a machine without an accelerator says so
)


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what goes to the error stream, and afterwards pass on all of it that is not chatter.

    By file descriptor, because it is C++ that writes there.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            for line in held:
                if not _CHATTER.fullmatch(line.rstrip(b"\r\n")):
                    os.write(2, line)


def _missing(what: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(f"the demo needs {what} ({error}): pip install 'dfa-attack[demo]'")


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


def main(arguments: Sequence[str] | None = None, recipe: Recipe = _RECIPE) -> int:
    """Run the demo, say what it does on the way, and return the exit status."""
    options = _parse(arguments)
    try:
        for line in demonstrate(options, recipe):
            print(line, flush=True)
    except DfaError as error:
        print(f"dfa demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dfa demo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
