"""What `verify` sees in the files of a run, and what it would miss."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.runs.verification import CHECKS
from oracles import LinearClassifier, Recorder, raising, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(12, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "run"
    dfa.run(CLASSIFIER, IMAGES, epsilon=8, max_queries=150, progress=False, store=folder)
    return folder


@pytest.fixture
def run(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "run"))


def first_success(run):
    rows = json.loads((run / "results.json").read_text())["records"]
    return next(row for row in rows if row["status"] == "success")


def change_record(run, index, **fields):
    document = json.loads((run / "results.json").read_text())
    document["records"][index].update(fields)
    (run / "results.json").write_text(json.dumps(document))


def change_pixels(path, change):
    pixels = np.array(PIL.Image.open(path))
    change(pixels)
    PIL.Image.fromarray(pixels).save(path)


def broken(verification):
    """What does not hold, but for the summary and records.csv, which a test that changes records leaves alone."""
    return {finding.check for finding in verification.findings} - {"tables"}


def test_a_run_holds(run):
    oracle = Recorder(CLASSIFIER)
    verification = dfa.verify(run, oracle, batch_size=5)
    assert verification.holds, str(verification)
    result = dfa.Result.load(run)
    number = int(result.success.sum())
    assert 3 < number < len(IMAGES)
    assert verification.images == number
    # A ball promises epsilon, no original was given, and there is no target.
    assert set(verification.checked) == set(CHECKS) - {"space", "copy", "target"}
    assert verification.checked["record"] == len(IMAGES)
    assert verification.checked["settings"] == verification.checked["tables"] == 1
    assert verification.checked["stray"] == 2 * number
    others = ("settings", "tables", "record", "stray")
    assert {made for name, made in verification.checked.items() if name not in others} == {number}
    assert verification.queries == oracle.num_images == 3 * number
    # Each alone, and all in batches; what was asked is what the files hold.
    singles = np.concatenate([batch for batch in oracle.batches if len(batch) == 1])
    assert len(singles) >= number
    assert max(map(len, oracle.batches)) == 5
    assert "everything holds" in str(verification)
    assert verification.as_dict()["checks"]["alone"] == {"what": CHECKS["alone"], "checked": number, "failed": 0}
    json.dumps(verification.as_dict())


def test_a_value_beyond_epsilon_is_found(run):
    row = first_success(run)

    def push(pixels):
        pixels[2, 3, 1] = np.clip(int(IMAGES[row["index"], 2, 3, 1]) + 9, 0, 255)

    change_pixels(run / row["file"], push)
    verification = dfa.verify(run, CLASSIFIER)
    (finding,) = [each for each in verification.findings if each.check == "epsilon"]
    assert finding.index == row["index"]
    assert "1 values lie beyond epsilon; the first, at (2, 3, 1), 9 grey levels away, where 8 are" in finding.problem
    assert not verification.holds


def test_one_grey_level_of_one_value_is_found(run):
    row = first_success(run)

    def nudge(pixels):
        pixels[0, 0, 0] = (int(pixels[0, 0, 0]) + int(IMAGES[row["index"], 0, 0, 0]) + 1) // 2

    change_pixels(run / row["file"], nudge)
    assert "distance" in broken(dfa.verify(run, CLASSIFIER))


def test_a_record_of_another_class_is_found(run):
    row = first_success(run)
    change_record(run, row["index"], class_after=(row["class_after"] + 1) % 10)
    assert broken(dfa.verify(run, CLASSIFIER)) == {"alone", "batch"}
    change_record(run, row["index"], class_after=row["class_after"], class_before=(row["class_before"] + 1) % 10)
    assert broken(dfa.verify(run, CLASSIFIER)) == {"before"}


def test_an_image_that_is_still_its_original_is_found(run):
    row = first_success(run)
    shutil.copy(run / "originals" / Path(row["file"]).name, run / row["file"])
    assert {"adversarial", "distance", "alone", "batch"} <= broken(dfa.verify(run, CLASSIFIER))


def test_an_oracle_that_depends_on_the_batch_is_found(run):
    def other_alone(images):
        return np.roll(CLASSIFIER(images), 3, axis=1) if len(images) == 1 else CLASSIFIER(images)

    def other_together(images):
        return CLASSIFIER(images) if len(images) == 1 else np.roll(CLASSIFIER(images), 3, axis=1)

    assert broken(dfa.verify(run, other_alone)) == {"alone"}
    assert "batch" in broken(dfa.verify(run, other_together))
    assert "alone" not in broken(dfa.verify(run, other_together))


def test_a_target_must_be_reached(tmp_path):
    dfa.run(CLASSIFIER, IMAGES, targets=dfa.rank(2), epsilon=20, progress=False, max_queries=400, store=tmp_path)
    assert dfa.verify(tmp_path, CLASSIFIER).holds
    row = first_success(tmp_path)
    change_record(tmp_path, row["index"], target=row["class_before"])
    assert broken(dfa.verify(tmp_path, CLASSIFIER)) == {"record", "target", "adversarial"}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "is not a PNG that dfa writes"),
        (lambda path: path.write_bytes(b""), "must be an 8-bit PNG, and is none"),
        (
            lambda path: PIL.Image.open(path).convert("P").save(path),
            "must be an 8-bit PNG of grey, .* colour type 3",
        ),
        (lambda path: PIL.Image.open(path).save(path, format="jpeg"), "must be an 8-bit PNG, and is none"),
        (lambda path: PIL.Image.open(path).convert("L").save(path), r"run's shape \(6, 6, 3\), and has \(6, 6, 1\)"),
        (lambda path: PIL.Image.open(path).crop((0, 0, 5, 6)).save(path), r"shape \(6, 6, 3\), and has \(6, 5, 3\)"),
    ],
    ids=["missing", "truncated", "empty", "palette", "jpeg", "grey", "cropped"],
)
def test_a_file_that_is_not_the_image_is_found_and_costs_the_others_nothing(run, spoil, problem):
    row = first_success(run)
    spoil(run / row["file"])
    verification = dfa.verify(run, CLASSIFIER)
    (finding,) = verification.findings
    assert (finding.index, finding.check) == (row["index"], "file")
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(finding.problem)
    assert verification.checked["alone"] == verification.images - 1


def test_an_original_that_is_missing_or_another_is_found(run):
    row = first_success(run)
    original = run / "originals" / Path(row["file"]).name
    kept = original.read_bytes()
    original.unlink()
    assert broken(dfa.verify(run, CLASSIFIER)) == {"original"}
    PIL.Image.fromarray(255 - IMAGES[row["index"]]).save(original)
    assert "epsilon" in broken(dfa.verify(run, CLASSIFIER))
    original.write_bytes(kept)
    assert dfa.verify(run, CLASSIFIER).holds


def test_originals_may_be_given_and_are_then_believed_instead(run):
    row = first_success(run)
    shutil.rmtree(run / "originals")
    assert dfa.verify(run, CLASSIFIER, originals=IMAGES).holds
    others = IMAGES.copy()
    others[row["index"]] = 255 - others[row["index"]]
    assert "epsilon" in broken(dfa.verify(run, CLASSIFIER, originals=others))
    with pytest.raises(dfa.InvalidInputError, match="must be the 12 images of the run"):
        dfa.verify(run, CLASSIFIER, originals=IMAGES[:5])


def test_a_success_without_a_file_and_a_file_without_a_record_are_found(run):
    row = first_success(run)
    change_record(run, row["index"], file=None)
    verification = dfa.verify(run, CLASSIFIER)
    assert broken(verification) == {"record", "stray"}
    assert "a success without a file" in str(verification)
    assert f"no record names {row['file']}" in str(verification)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"verified": False}, "its status is success and verified is False"),
        ({"queries": 140, "queries_sent": 139}, "counts 140 queries, of 139 that were sent"),
        ({"queries_sent": 151}, "151 queries were sent, of a budget of 150"),
        ({"found": False}, "names a file, and nothing was found"),
    ],
)
def test_a_record_that_contradicts_itself_is_found(run, fields, problem):
    change_record(run, first_success(run)["index"], **fields)
    verification = dfa.verify(run, CLASSIFIER)
    assert broken(verification) == {"record"}
    assert problem in str(verification)


def test_epsilon_per_image_and_coordinate_is_kept_and_checked(tmp_path):
    epsilon = np.random.default_rng(0).integers(0, 12, IMAGES.shape)
    dfa.run(CLASSIFIER, IMAGES, epsilon=epsilon, progress=False, max_queries=300, store=tmp_path)
    assert dfa.verify(tmp_path, CLASSIFIER).holds
    row = first_success(tmp_path)
    tighter = epsilon.copy()
    tighter[row["index"]] = 0
    assert broken(dfa.verify(tmp_path, CLASSIFIER, epsilon=tighter)) == {"epsilon"}
    with pytest.raises(dfa.InvalidInputError, match=r"of shape \(3,\)"):
        dfa.verify(tmp_path, CLASSIFIER, epsilon=[1, 2, 3])


def test_images_without_a_png_are_verified_from_their_arrays(tmp_path):
    shape = (5, 4, 2)
    classifier = LinearClassifier(shape)
    dfa.run(classifier, random_images(6, shape), progress=False, epsilon=20, max_queries=300).save(tmp_path)
    verification = dfa.verify(tmp_path, classifier)
    assert verification.holds
    assert verification.images > 0
    row = first_success(tmp_path)
    np.save(tmp_path / row["file"], np.zeros(shape, dtype=np.uint16))
    assert "must be uint8 of shape (H, W, C), got uint16" in str(dfa.verify(tmp_path, classifier))


@pytest.mark.parametrize("keep", [True, False])
def test_a_run_with_a_prior_or_at_rest_holds(tmp_path, keep):
    kept = {"store": tmp_path} if keep else {}
    prior = lambda images, goals: np.ones(images.shape)  # noqa: E731
    result = dfa.run(
        CLASSIFIER, IMAGES, epsilon=1, max_queries=90, give_up_after=20, prior=prior, progress=False, **kept
    )
    assert result.summary().at_rest > 0
    if not keep:
        result.save(tmp_path)
    assert dfa.verify(tmp_path, CLASSIFIER).holds


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(dfa.StoreError, match="must be a saved result"):
        dfa.verify(tmp_path, CLASSIFIER)


def test_an_oracle_that_fails_is_told_of(run):
    with pytest.raises(dfa.OracleError, match="the line is dead"):
        dfa.verify(run, raising(OSError("the line is dead")))


def test_it_does_not_read_the_table_for_people(run):
    with (run / "records.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(IMAGES)
    (run / "records.csv").unlink()
    assert dfa.verify(run, CLASSIFIER).holds
