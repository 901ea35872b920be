"""A run that has ended and is read back has the originals, as it had when it ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import dfa
from oracles import never
from small_problem import CLASSIFIER, IMAGES


def test_a_run_read_back_has_the_originals_of_images_that_did_not_fall(tmp_path: Path) -> None:
    for name, oracle in (("none", never), ("some", CLASSIFIER)):
        settings = {"epsilon": 2, "max_queries": 40, "store": tmp_path / name, "resume": True, "progress": False}
        fresh = dfa.run(oracle, IMAGES[:6], **settings)
        assert not fresh.success.all()
        again = dfa.run(oracle, IMAGES[:6], **settings)
        assert again.status == fresh.status
        assert np.array_equal(again.adversarial(), fresh.adversarial())
