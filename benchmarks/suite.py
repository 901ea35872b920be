"""The standard settings of `dfa.suite`, for dfa and for Square Attack as `docs/how/7-your-own-optimizer.md` writes it.

Square has the share and the loss of its paper (a tenth, the margin), not ones that were chosen for the model.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dfa
from harness.arguments import make_parser, not_negative, positive
from harness.inputs import first_correct, load_images, load_model

_PAGE = Path(__file__).parents[1] / "docs" / "how" / "7-your-own-optimizer.md"
_IMPORTS = "import bisect, itertools, math\nfrom dataclasses import dataclass\nimport numpy as np\n"
_MODELS = {
    "lenet1": ("lenet1.keras", "mnist_test2000.npz"),
    "resnet20": ("cifar_resnet20.keras", "cifar10_correct500.npz"),
    "mobilenetv1": ("mobilenet_v1_160.keras", "imagenet100_160.npz"),
}


def square_attack() -> Any:
    """Return the page's Square Attack, with the margin for its loss."""
    blocks = re.findall(r"```python\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if "class SquareAttack" in block)
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(_IMPORTS + block.partition("\nsquare = ")[0], _PAGE, "exec", dont_inherit=True), names)
    return type("SquareAttack", (names["SquareAttack"],), {"objective": "log"})()


def main() -> None:
    """Run the suite on a model, and print its table."""
    parser = make_parser("suite", __doc__)
    parser.set_defaults(out=Path("runs/benchmarks/suite"))
    parser.add_argument("--model", choices=_MODELS, default="resnet20")
    parser.add_argument("--images", type=positive, default=100)
    parser.add_argument("--skip", type=not_negative, default=200, help="images before them")
    arguments = parser.parse_args()
    file, given = _MODELS[arguments.model]
    model = load_model(arguments.data, file)
    oracle = dfa.as_oracle(model)
    (images, labels), _ = first_correct(
        oracle, load_images(arguments.data, given), arguments.images, 256, skip=arguments.skip
    )
    report = dfa.suite(
        model, images, labels, optimizers={"square": square_attack()}, out=arguments.out / arguments.model, resume=True
    )
    print(report.table())


if __name__ == "__main__":
    main()
