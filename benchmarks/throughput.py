"""Attack queries per second over the images per second that the same oracle answers when nothing attacks it.

The bare oracle is asked through the same adapter, in one thread, without gate, about a ready batch of uint8 images,
with as many rows as the attack's batches hold. Every repeat is bare, attack, bare, and the attack is held against the
mean of the two bare rates beside it. The attack in the paper's setting has a cap on the queries per image, low enough
that most images reach it: the window then empties all at once, and the tail of half-empty batches stays short. The
default has 1,000 queries per image, and most images fall long before, so its batches are as full as its search lets
them be. Occupancy says what it cost: rows sent over rows that the batches could have held.

Of torch modules and ONNX files the bare model is timed too, without dfa and with its input ready, in batches of the
run's size and in those that the adapter makes of them. The latter are the faster ones on a CPU, so that an attack may
well overtake the model at its own batch size. "All" counts clean predictions and confirmations beside attack queries:
where a slow machine makes the cap low, they are a good part of what was asked.

The 299x299x3 oracle is a function that makes up its answers at no cost; it has no bare rate worth the name, so only
its queries per second and its profile are given.
"""

from __future__ import annotations

import argparse
import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa.oracle.adapters.static_batch import rows_of_batch
from fullness.models import FallingScores
from harness.arguments import make_parser
from harness.inputs import load_images, load_model
from harness.printing import print_table, verdict
from harness.results import write_results

MakeCall = Callable[[int], Callable[[], Any]]
_PARTS = ("propose", "wait", "score", "update", "other")


@dataclass(frozen=True)
class Case:
    """An oracle, and what it is asked about.

    Attributes:
        name: In the table.
        load: From the arguments to the oracle and the images, uint8, (N, H, W, C).
        epsilon: Grey levels.
        optimizer: The attack's setting.
        batch_size: Rows of a batch.
        generations: How many times the window fills and empties; images are repeated to make up the number.
        max_queries: Per image; None for as many as let the attack last for `seconds`.
        seconds: That one attack should last, about: long enough that the clean predictions, which are asked for too
            but are no attack queries, weigh little.
        is_free: The oracle costs nothing.
        targets: Of the attack, as `dfa.run` takes them.
        on_cpu: The model runs there.
        model: From the arguments to what makes, of a number of rows, a call of the bare model about as many.
    """

    name: str
    load: Callable[[argparse.Namespace], tuple[dfa.Oracle, NDArray[np.uint8]]]
    epsilon: int
    optimizer: dfa.Racos = field(default_factory=dfa.Racos.paper)
    batch_size: int = 256
    generations: int = 4
    max_queries: int | None = None
    seconds: float = 12.0
    is_free: bool = False
    targets: Any = None
    on_cpu: bool = True
    model: Callable[[argparse.Namespace], MakeCall] | None = None


def load_lenet(arguments: argparse.Namespace) -> tuple[dfa.Oracle, NDArray[np.uint8]]:
    """Return LeNet-1 and MNIST."""
    model = load_model(arguments.data, "lenet1.keras")
    return dfa.as_oracle(model), load_images(arguments.data, "mnist_test2000.npz").images


def load_mobilenet(arguments: argparse.Namespace) -> tuple[dfa.Oracle, NDArray[np.uint8]]:
    """Return MobileNetV1-160 and the ImageNet pictures."""
    model = load_model(arguments.data, "mobilenet_v1_160.keras")
    return dfa.as_oracle(model), load_images(arguments.data, "imagenet100_160.npz").images


def torch_resnet20(arguments: argparse.Namespace) -> tuple[dfa.Oracle, NDArray[np.uint8]]:
    """Return ResNet-20 of torch and CIFAR-10."""
    oracle = dfa.as_oracle(_torch_models().resnet20_module(arguments.data))
    return oracle, load_images(arguments.data, "cifar10_correct500.npz").images


def torch_mobilenet(arguments: argparse.Namespace) -> tuple[dfa.Oracle, NDArray[np.uint8]]:
    """Return torchvision's MobileNetV2 with random weights, which no attack breaks, and the ImageNet pictures."""
    oracle = dfa.as_oracle(_torch_models().untrained("mobilenet_v2"))
    return oracle, load_images(arguments.data, "imagenet100_224.npz").images


def onnx_oracle(name: str) -> Callable[[argparse.Namespace], tuple[dfa.Oracle, NDArray[np.uint8]]]:
    """Return what loads an .onnx file and the ImageNet pictures."""

    def load(arguments: argparse.Namespace) -> tuple[dfa.Oracle, NDArray[np.uint8]]:
        oracle = dfa.as_oracle(load_model(arguments.data, name))
        return oracle, load_images(arguments.data, "imagenet100_224.npz").images

    return load


def torch_calls(module: Any, shape: tuple[int, int, int], device: str = "cpu", autocast: Any = None) -> MakeCall:
    """Return what calls a module about random batches, (rows, *shape), that lie ready as it takes them."""
    torch: Any = importlib.import_module("torch")

    def make(rows: int) -> Callable[[], Any]:
        batch = torch.rand(rows, *shape, device=device)

        def call() -> Any:
            with torch.inference_mode(), torch.autocast(device, dtype=autocast, enabled=autocast is not None):
                return module(batch).cpu()  # which waits for it

        return call

    return make


def onnx_calls(path: Path, shape: tuple[int, int, int]) -> MakeCall:
    """Return what calls an .onnx file likewise, on the CPU."""
    session: Any = importlib.import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def make(rows: int) -> Callable[[], Any]:
        batch = np.random.default_rng(0).uniform(0, 255, (rows, *shape)).astype(np.float32)
        return lambda: session.run(None, {name: batch})

    return make


def load_free(arguments: argparse.Namespace) -> tuple[dfa.Oracle, NDArray[np.uint8]]:
    """Return an oracle that costs nothing, and noise."""
    images = np.random.default_rng(0).integers(0, 256, (172, 299, 299, 3), dtype=np.uint8)
    return dfa.as_oracle(FallingScores()), images


def _torch_models() -> Any:
    return importlib.import_module("systems.torch_models")


def _onnx_calls_of(file: str, arguments: argparse.Namespace) -> MakeCall:
    return onnx_calls(arguments.data / "models" / file, (224, 224, 3))


CASES = [
    Case("LeNet-1", load_lenet, epsilon=64, generations=12),
    Case("LeNet-1, default", load_lenet, epsilon=64, optimizer=dfa.Racos(), generations=12, max_queries=1_000),
    Case("MobileNetV1-160", load_mobilenet, epsilon=10, batch_size=64, generations=4, seconds=40),
    Case(
        "MobileNetV1-160, default",
        load_mobilenet,
        epsilon=10,
        optimizer=dfa.Racos(),
        batch_size=64,
        generations=2,
        max_queries=1_000,
        seconds=40,
    ),
    Case(
        "ResNet-20, torch",
        torch_resnet20,
        epsilon=8,
        seconds=20,
        model=lambda arguments: torch_calls(_torch_models().resnet20_module(arguments.data), (3, 32, 32)),
    ),
    Case(
        "MobileNetV2, torch",
        torch_mobilenet,
        epsilon=4,
        batch_size=64,
        generations=2,
        seconds=30,
        model=lambda _: torch_calls(_torch_models().untrained("mobilenet_v2"), (3, 224, 224)),
    ),
    *(
        Case(
            called,
            onnx_oracle(file),
            epsilon=4,
            batch_size=64,
            generations=2,
            seconds=30,
            model=partial(_onnx_calls_of, file),
        )
        for called, file in (
            ("MobileNetV2, ONNX", "mobilenet_v2_224.onnx"),
            ("SqueezeNet, ONNX", "squeezenet11.onnx"),
        )
    ),
    Case(
        "free 299x299x3",
        load_free,
        epsilon=10,
        optimizer=dfa.Racos.paper(coordinates=600),
        generations=1,
        is_free=True,
    ),
]
_BARS = {"LeNet-1": 0.85, "MobileNetV1-160": 0.95}
_MODEL_BAR = 0.95


def time_bare(oracle: dfa.Oracle, batch: NDArray[np.uint8], seconds: float) -> float:
    """Return images per second of the oracle alone."""
    return time_call(lambda: np.asarray(oracle.scores(batch)), len(batch), seconds)


def time_call(call: Callable[[], Any], rows: int, seconds: float) -> float:
    """Return rows per second of a call that is repeated."""
    call()
    calls = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        call()
        calls += 1
    return calls * rows / elapsed


def measure(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """Let the bare oracle and the attack take turns; return the figures."""
    oracle, pool = case.load(arguments)
    batch_size = arguments.batch_size or case.batch_size
    seconds = arguments.seconds or case.seconds
    window = 2 * math.ceil(batch_size / case.optimizer.samples)
    images = pool[np.arange(case.generations * window) % len(pool)]
    batch = np.ascontiguousarray(images[:batch_size])
    oracle.prepare(batch.shape[1:], batch_size)
    rate = time_bare(oracle, batch, 1.0)
    if case.is_free:
        rate = min(rate, 20_000.0)
    # Whole iterations, so that none is cut short by the cap.
    iterations = max(1, round(rate * seconds / len(images)) // case.optimizer.samples)
    max_queries = case.max_queries or case.optimizer.population + iterations * case.optimizer.samples

    static_rows = rows_of_batch(True, batch.shape[1:], batch_size, on_cpu=case.on_cpu) or batch_size
    sizes = {"model": batch_size, "model_static": static_rows}
    make = None if case.model is None else case.model(arguments)
    models = {} if make is None else {name: (make(rows), rows) for name, rows in sizes.items()}

    def time_models() -> dict[str, float]:
        return {name: time_call(call, rows, seconds / 8) for name, (call, rows) in models.items()}

    repeats: list[dict[str, Any]] = []
    for _ in range(arguments.repeats):
        models_before = time_models()
        before = time_bare(oracle, batch, seconds / 4)
        profile = dfa.run(
            oracle,
            images,
            epsilon=case.epsilon,
            targets=case.targets,
            optimizer=case.optimizer,
            max_queries=max_queries,
            batch_size=batch_size,
            threads=arguments.threads,
            progress=False,
        ).profile
        after = time_bare(oracle, batch, seconds / 4)
        models_after = time_models()
        all_rows = (profile.rows_sent + profile.clean + profile.verification) / profile.wall
        alone = {name: (rate + models_after[name]) / 2 for name, rate in models_before.items()}
        repeats.append(
            {
                "bare_before": before,
                "bare_after": after,
                "attack": profile.queries_per_second,
                "utilisation": profile.queries_per_second / ((before + after) / 2),
                **alone,
                **{f"over_{name}": profile.queries_per_second / rate for name, rate in alone.items()},
                **{f"all_over_{name}": all_rows / rate for name, rate in alone.items()},
                "profile": profile.as_dict(),
            }
        )
        print(f"{case.name}: bare {before:,.0f}/s, attack {profile.queries_per_second:,.0f}/s, bare {after:,.0f}/s")

    def middle(figure: Callable[[dict[str, Any]], float]) -> float:
        return median(figure(repeat) for repeat in repeats)

    def share(part: str) -> float:
        return middle(lambda repeat: repeat["profile"][part] / repeat["profile"]["wall"])

    return {
        "case": case.name,
        "is_free": case.is_free,
        "images": len(images),
        "batch_size": batch_size,
        "max_queries": max_queries,
        "bare": middle(lambda r: (r["bare_before"] + r["bare_after"]) / 2),
        "attack": middle(lambda r: r["attack"]),
        "utilisation": middle(lambda r: r["utilisation"]),
        "occupancy": middle(lambda r: r["profile"]["occupancy"]),
        "wall": middle(lambda r: r["profile"]["wall"]),
        "shares": {part: share(part) for part in (*_PARTS, "oracle")},
        "bar": _BARS.get(case.name),
        "models": {
            f"{what}{name}": median(repeat[f"{what}{name}"] for repeat in repeats)
            for what in ("", "over_", "all_over_")
            for name in models
        },
        "static_rows": static_rows,
        "repeats": repeats,
    }


def print_results(results: list[dict[str, Any]]) -> None:
    """Print the tables, and what is said of the bars."""
    print_table(
        ["queries/s", "bare", "attack", "utilisation", "occupancy", "batch", "images", "cap", "seconds"],
        (
            [
                r["case"],
                "-" if r["is_free"] else f"{r['bare']:,.0f}",
                f"{r['attack']:,.0f}",
                "-" if r["is_free"] else f"{r['utilisation']:.3f}",
                f"{r['occupancy']:.3f}",
                r["batch_size"],
                r["images"],
                r["max_queries"],
                f"{r['wall']:.1f}",
            ]
            for r in results
        ),
    )
    print(
        "\nShares of the attack's wall time; the main thread's sum to 1, and the oracle works beside it, or in it if "
        "it is a torch module on a CPU."
    )
    print_table(
        ["main thread", *_PARTS, "oracle"],
        ([r["case"], *(f"{r['shares'][part]:.3f}" for part in (*_PARTS, "oracle"))] for r in results),
    )
    with_model = [r for r in results if r["models"]]
    if with_model:
        print(
            "\nThe bare model, without dfa: in batches of the run's size, and in those that the adapter makes of them."
        )
        print_table(
            [
                "images/s",
                "batch",
                "model",
                "attack over it",
                "all over it",
                "adapter's batch",
                "model",
                "attack over it",
                "all over it",
            ],
            (
                [
                    r["case"],
                    r["batch_size"],
                    f"{r['models']['model']:,.0f}",
                    f"{r['models']['over_model']:.3f}",
                    f"{r['models']['all_over_model']:.3f}",
                    r["static_rows"],
                    f"{r['models']['model_static']:,.0f}",
                    f"{r['models']['over_model_static']:.3f}",
                    f"{r['models']['all_over_model_static']:.3f}",
                ]
                for r in with_model
            ),
        )
    for result in with_model:
        ratio = result["models"]["over_model"]
        print(
            f"bar: {result['case']}: attack over the model at the same batch size at least {_MODEL_BAR}: {ratio:.3f}, "
            f"{verdict(ratio >= _MODEL_BAR)}"
        )
    for result in results:
        if result["bar"] is not None:
            utilisation, bar = result["utilisation"], result["bar"]
            print(
                f"bar: {result['case']}: utilisation at least {bar}: {utilisation:.3f}, {verdict(utilisation >= bar)}"
            )


def main() -> None:
    """Measure every case and print the table."""
    parser = make_parser("throughput", __doc__, repeats=5)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--seconds", type=float, help="that one attack should last, instead of each case's own")
    parser.add_argument("--batch-size", type=int, help="rows of a batch, instead of each case's own")
    parser.add_argument("--threads", type=int, help="of the core; by default what dfa.run takes")
    arguments = parser.parse_args()
    results = [measure(case, arguments) for case in CASES if arguments.only in case.name]
    print(__doc__)
    print_results(results)
    write_results(arguments.out, arguments, results)


if __name__ == "__main__":
    main()
