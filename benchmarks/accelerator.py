"""Attack queries per second on an accelerator, over the images per second of the bare model: ResNet-50 at 224x224.

The model is torchvision's with random weights, which cost as much as trained ones, and the target is the least likely
class, so that no attack ends early and every batch is full. It is measured as `throughput.py` measures: the model alone
with its input on the device, the oracle alone with uint8 on the host, and the attack, in turns; each in float32 and
under autocast in bfloat16, in the paper's setting and in the default, with as many threads as dfa chooses.

On a CPU, `--device cpu --batch-sizes 4 --side 32 --model resnet18 --seconds 1 --repeats 1` goes the same way in
seconds.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from harness.arguments import make_parser, positive
from harness.results import write_results
from throughput import Case, MakeCall, measure, print_results, torch_calls

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_AUTOCAST = {"float32": None, "bf16": "bfloat16"}
_SETTINGS = {"paper's setting": dfa.Racos.paper(), "default": dfa.Racos()}


def cases(arguments: argparse.Namespace) -> list[Case]:
    """Return every dtype, batch size and setting that is asked for."""
    torch: Any = importlib.import_module("torch")
    module = importlib.import_module("systems.torch_models").untrained(arguments.model).to(arguments.device)
    side, device = arguments.side, arguments.device

    def load(dtype: str, _: argparse.Namespace) -> tuple[dfa.Oracle, NDArray[np.uint8]]:
        oracle = dfa.as_oracle(module, mean=_MEAN, std=_STD, autocast=_AUTOCAST[dtype])
        return oracle, np.random.default_rng(0).integers(0, 256, (256, side, side, 3), dtype=np.uint8)

    def model(dtype: str, _: argparse.Namespace) -> MakeCall:
        autocast = None if _AUTOCAST[dtype] is None else torch.bfloat16
        return torch_calls(module, (3, side, side), device, autocast)

    return [
        Case(
            f"{arguments.model}, {dtype}, batch {batch_size}, {setting}",
            partial(load, dtype),
            epsilon=8,
            optimizer=optimizer,
            batch_size=batch_size,
            generations=arguments.generations,
            seconds=10,
            targets=dfa.rank(1_000),
            on_cpu=device == "cpu",
            model=partial(model, dtype),
        )
        for dtype in arguments.dtypes
        for batch_size in arguments.batch_sizes
        for setting, optimizer in _SETTINGS.items()
    ]


def main() -> None:
    """Measure every case and print the tables."""
    parser = make_parser("accelerator", __doc__, repeats=3)
    parser.add_argument("--device", default="cuda", help="as torch calls it")
    parser.add_argument("--model", default="resnet50", help="of torchvision")
    parser.add_argument("--side", type=positive, default=224, help="pixels")
    parser.add_argument("--batch-sizes", nargs="+", type=positive, default=[256, 1_024])
    parser.add_argument("--dtypes", nargs="+", choices=list(_AUTOCAST), default=list(_AUTOCAST))
    parser.add_argument("--generations", type=positive, default=2, help="how many times the window fills and empties")
    parser.add_argument("--seconds", type=float, help="that one attack should last")
    parser.add_argument("--threads", type=int, help="of the core; by default dfa chooses")
    arguments = parser.parse_args()
    arguments.batch_size = None
    results = []
    for case in cases(arguments):
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        results.append(measure(case, arguments))
        write_results(arguments.out, arguments, results)
    print(__doc__)
    print_results(results)


if __name__ == "__main__":
    main()
