"""The demo: its parts on stand-ins, and the whole of it once, on little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import dfa.cli.demo.main
from dfa.cli.demo import classifier
from dfa.cli.demo.attacks import attacks
from dfa.cli.demo.classifier import SIDE, Recipe, cache_file, load_digits
from dfa.cli.demo.contact_sheet import choose_examples, draw_contact_sheet, section_title
from dfa.cli.demo.main import main
from dfa.cli.demo.table import HEADINGS, format_table
from dfa.errors import MissingDependencyError
from dfa.results.images import AdversarialImages
from dfa.results.profile import Profile
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.search.goals import rank
from dfa.search.racos import Racos

SMALL = Recipe(epochs=2)


def make_result(outcomes: list[bool | None], queries: int = 40) -> Result:
    """Return a run in which an image was broken (True), was not (False), or was skipped (None)."""
    images = AdversarialImages(len(outcomes))
    records = []
    for index, outcome in enumerate(outcomes):
        if outcome:
            images.put(index, np.full((28, 28, 1), 7 * index, dtype=np.uint8))
            record = Record(
                index,
                index,
                Status.SUCCESS,
                class_before=1,
                class_after=2,
                probability_before=0.9,
                probability_after=0.6,
                found=True,
                verified=True,
                queries=queries,
                queries_sent=queries,
            )
        elif outcome is None:
            record = Record(index, index, Status.SKIPPED, "misclassified")
        else:
            record = Record(index, index, Status.FAILURE, class_before=1, probability_before=0.9, queries=100)
        records.append(record)
    profile = Profile(wall=2.0, oracle=1.5, rows_sent=5000, rows_capacity=5000, batches=20)
    return Result(records, images, profile, {"max_queries": 1000})


@pytest.fixture
def sklearn() -> None:
    pytest.importorskip("sklearn", reason="the demo's digits are scikit-learn's")


@pytest.fixture
def keras() -> None:
    pytest.importorskip("sklearn", reason="the demo's digits are scikit-learn's")
    pytest.importorskip("tensorflow", reason="the demo trains with Keras")


def test_the_attacks_are_the_papers_and_the_default_untargeted_and_at_the_fourth_class() -> None:
    paper, default, paper_targeted, default_targeted = attacks()
    assert paper.optimizer == Racos.paper()
    assert paper_targeted.optimizer == Racos.paper(targeted=True)
    assert default.optimizer == default_targeted.optimizer == Racos()
    assert [attack.targets for attack in attacks()] == [None, None, rank(4), rank(4)]


class TestTable:
    def test_every_attack_is_a_line_with_its_figures(self) -> None:
        rows = [(attack, make_result([True, True, False, True, None])) for attack in attacks()]
        lines = format_table(rows).splitlines()
        assert lines[0].split() == list(HEADINGS)
        assert lines[2].split() == [
            *("paper", "untargeted", "1,000", "75.0", "%", "40.0", "40.0"),
            # (3 * 40 + 1000) / 4 queries, 2 s for the 4 attacked images, 5000 queries in 2 s, 1.5 s of 2 in the oracle
            *("280.0", "0.5000", "2,500", "75", "%"),
        ]
        assert [line.split()[:2] for line in lines[2:6]] == [
            ["paper", "untargeted"],
            ["default", "untargeted"],
            ["paper", "targeted"],
            ["default", "targeted"],
        ]
        assert len({len(line) for line in lines[:6]}) == 1

    def test_a_run_without_a_success_has_a_line(self) -> None:
        assert "0.0 %" in format_table([(attacks()[0], make_result([False]))])


class TestExamples:
    def test_as_many_classes_as_possible_are_shown(self) -> None:
        labels = np.array([3, 3, 3, 1, 0])
        assert choose_examples(labels, [make_result([True] * 5)], 3) == [4, 3, 0]

    def test_a_digit_that_more_attacks_broke_stands_for_its_class(self) -> None:
        labels = np.array([3, 3, 1])
        results = [make_result([True, True, True]), make_result([False, True, False])]
        assert choose_examples(labels, results, 2) == [2, 1]

    def test_classes_repeat_only_when_there_are_no_others(self) -> None:
        labels = np.array([3, 3, 1])
        assert choose_examples(labels, [make_result([True] * 3)], 3) == [2, 0, 1]
        assert choose_examples(np.array([0, 0, 3, 1]), [make_result([True] * 4)], 3) == [0, 3, 2]

    def test_they_are_ordered_by_class(self) -> None:
        assert choose_examples(np.array([0, 0, 1]), [make_result([True] * 3)], 3) == [0, 1, 2]

    def test_what_no_attack_broke_is_not_shown(self) -> None:
        labels = np.array([3, 1, 0])
        assert choose_examples(labels, [make_result([False, True, False])], 3) == [1]


class TestContactSheet:
    ORIGINALS = np.zeros((4, 28, 28, 1), dtype=np.uint8)

    def test_it_grows_by_two_rows_per_attack(self) -> None:
        rows = [(attack, make_result([True, False, True, True])) for attack in attacks()]
        heights = [draw_contact_sheet(self.ORIGINALS, rows[:n], [0, 1]).height for n in (1, 2, 3)]
        assert heights[2] - heights[1] == heights[1] - heights[0] > 2 * 4 * SIDE

    def test_it_shows_the_amplified_difference(self) -> None:
        rows = [(attacks()[0], make_result([True, True, True, True]))]
        picture = np.asarray(draw_contact_sheet(self.ORIGINALS, rows, [3]))
        area = (4 * SIDE) ** 2
        for grey in (0, 21, 128 + 2 * 21):  # the original, the adversarial image, the difference
            assert (picture == grey).all(axis=2).sum() >= area

    def test_an_attack_is_named_with_its_figures(self) -> None:
        paper, _, _, default_targeted = attacks()
        result = make_result([True, False, None])
        assert section_title(paper, result) == ("Untargeted, the paper's setting: 50 % of 2 digits, median 40 queries")
        assert section_title(default_targeted, make_result([False])) == (
            "Targeted at the 4th likeliest class, the default: 0 % of 1 digits"
        )

    def test_it_can_be_drawn_when_nothing_was_found(self) -> None:
        rows = [(attack, make_result([False] * 4)) for attack in attacks()]
        assert draw_contact_sheet(self.ORIGINALS, rows, []).height > 0
        assert draw_contact_sheet(self.ORIGINALS, rows, [1]).height > 0


@pytest.mark.usefixtures("sklearn")
class TestDigits:
    def test_digits_are_as_mnist_has_them(self) -> None:
        datasets = pytest.importorskip("sklearn.datasets", reason="the demo's digits are scikit-learn's")
        digits = load_digits(Recipe())
        assert digits.train_images.shape == (1297, 28, 28, 1)
        assert digits.test_images.shape == (500, 28, 28, 1)
        assert digits.test_images.dtype == np.uint8
        assert (digits.test_images.min(), digits.test_images.max()) == (0, 255)
        # As bright as the originals, whose full ink is 16.
        images = np.concatenate([digits.train_images, digits.test_images])
        assert abs(images.mean() - datasets.load_digits().images.mean() * 255 / 16) < 2
        assert set(digits.test_labels.tolist()) == set(range(10))

    def test_no_digit_is_trained_and_tested_on(self) -> None:
        digits = load_digits(Recipe())

        def rows(images: NDArray[np.uint8]) -> set[bytes]:
            return {image.tobytes() for image in images}

        assert not rows(digits.train_images) & rows(digits.test_images)

    def test_the_split_is_fixed_by_the_seed(self) -> None:
        first, again, other = load_digits(Recipe()), load_digits(Recipe()), load_digits(Recipe(seed=1))
        np.testing.assert_array_equal(first.test_images, again.test_images)
        assert not np.array_equal(first.test_images, other.test_images)

    def test_without_scikit_learn_the_error_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
        with pytest.raises(MissingDependencyError, match=r"scikit-learn .*pip install .*\[demo\]"):
            load_digits(Recipe())


@pytest.mark.usefixtures("keras")
class TestClassifier:
    def test_it_is_lenet1_with_its_normaliser_inside(self) -> None:
        model = classifier.build_lenet1()
        assert model.count_params() == 7206
        assert model.layers[0].name.startswith("rescaling")

    def test_another_recipe_is_kept_in_another_file(self, tmp_path: Path) -> None:
        assert cache_file(Recipe(), tmp_path) == cache_file(Recipe(), tmp_path)
        assert cache_file(Recipe(), tmp_path) != cache_file(Recipe(epochs=3), tmp_path)

    def test_another_way_of_training_is_kept_in_another_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = cache_file(Recipe(), tmp_path)
        monkeypatch.setattr(classifier, "train", classifier.build_lenet1)
        assert cache_file(Recipe(), tmp_path) != before


# Keras itself, when it saves a model's variables.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.usefixtures("keras")
def test_the_whole_demo_runs_and_a_second_time_from_the_cache(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs" / "demo"
    arguments = ["--out", str(out), "--images", "6", "--max-queries", "60"]
    assert main(arguments, SMALL) == 0
    said = capfd.readouterr().out
    assert "LeNet-1: training" in said
    assert "% of the test digits right" in said
    assert "default  untargeted" in said
    kept = list((tmp_path / "runs" / "demo-cache").iterdir())
    assert [file.suffix for file in kept] == [".keras"]

    document = json.loads((out / "demo.json").read_text())
    assert document["images"] == 6
    assert 0.5 < document["classifier"]["test_accuracy"] < 1
    assert {"dfa", "keras", "numpy", "pillow", "python", "scikit-learn"} <= set(document["versions"])
    assert [attack["name"] for attack in document["attacks"]] == [attack.name for attack in attacks()]
    for attack in document["attacks"]:
        assert attack["summary"]["max_queries"] == 60
        assert attack["files"]["verified"] == attack["summary"]["verified"]
        assert Result.load(out / attack["name"]).summary().total == 6
    assert document["attacks"][1]["summary"]["verified"] > 0
    paper, targeted = Result.load(out / "paper-targeted"), Result.load(out / "default-targeted")
    assert paper.config["optimizer"]["samples"] == 10
    assert targeted.config["optimizer"]["samples"] == Racos().samples
    assert all(record.target is not None for record in targeted.records if record.status is not Status.SKIPPED)
    assert (out / "contact-sheet.png").stat().st_size > 1000

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("trained again")

    monkeypatch.setattr(sys.modules["keras"].Model, "fit", refuse)
    assert main(arguments, SMALL) == 0
    assert "kept from an earlier run" in capfd.readouterr().out


def test_a_folder_that_cannot_be_written_ends_the_demo_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file" / "demo")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "dfa demo: cannot write" in captured.err


def test_an_interrupt_ends_the_demo_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Recipe) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dfa.cli.demo.main, "load_digits", interrupt)
    assert main(["--out", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_senseless_options_are_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--images", value])
    assert "--images" in capsys.readouterr().err


def test_chatter_is_left_out_and_errors_are_passed_on() -> None:
    lines = [
        b"I0000 00:00:1795457655.057006   10706 port.cc:153] oneDNN custom operations are on.",
        b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        b"E0000 00:00:1795457659.017480   10706 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)",
        b"E0000 00:00:1795457659.017480   10706 some.cc:1] this matters",
        b"Traceback (most recent call last):",
    ]
    text = b"".join(line + b"\n" for line in lines)
    program = (
        "import os, sys\n"
        "from dfa.cli.chatter import without_chatter\n"
        f"text = {text!r}\n"
        "try:\n"
        "    with without_chatter():\n"
        "        os.write(2, text)\n"
        "        raise KeyError\n"
        "except KeyError:\n"
        "    os.write(2, b'after\\n')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env=dict(os.environ), timeout=60
    )
    assert answer.stderr.splitlines() == [lines[3], lines[4], b"after"]
