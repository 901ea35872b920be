"""The whole of dfa in one command, `dfa demo`, or `python -m dfa.demo --out runs/demo`.

Trains LeNet-1 on the handwritten digits that scikit-learn carries (seconds, cached), attacks test digits
untargeted and targeted, with the paper's setting and with the default, and writes a table, every adversarial
image, and one picture of what was changed.
"""

from __future__ import annotations

from dfa.cli.demo.classifier import Recipe, cache_file, load_digits, train_or_load

__all__ = ["Recipe", "cache_file", "load_digits", "train_or_load"]
