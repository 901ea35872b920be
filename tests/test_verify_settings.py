"""What `verify` does not believe of a folder: settings that its files tell differently, and checks left out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import dfa
from oracles import LinearClassifier, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(12, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
LEVELS = np.random.default_rng(0).integers(1, 14, SHAPE)


def attack(folder, **settings):
    return dfa.run(CLASSIFIER, IMAGES, max_queries=150, progress=False, store=folder, **settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("settings")
    attack(folder / "number", epsilon=8)
    attack(folder / "array", epsilon=LEVELS)
    attack(folder / "targeted", epsilon=30, targets=3)
    attack(folder / "repeated", epsilon=8, confirmations=2)
    attack(folder / "shift", space=dfa.Shift(2, 2))
    attack(folder / "pixels", space=dfa.Pixels(5))
    return folder


@pytest.fixture
def run(saved, tmp_path):
    def copied(name):
        return Path(shutil.copytree(saved / name, tmp_path / name))

    return copied


def change(folder, *files, **config):
    for file in files or ("run.json", "results.json"):
        document = json.loads((folder / file).read_text())
        document["config"].update(config)
        (folder / file).write_text(json.dumps(document))


def change_records(folder, **fields):
    document = json.loads((folder / "results.json").read_text())
    for row in document["records"]:
        if row["status"] == "success":
            row.update(fields)
    (folder / "results.json").write_text(json.dumps(document))


def problems(folder, check="settings", **settings):
    verification = dfa.verify(folder, CLASSIFIER, **settings)
    # The summary and records.csv are left alone by tests that change a record.
    findings = [each for each in verification.findings if each.check != "tables"]
    assert {each.check for each in findings} <= {check}, str(verification)
    return "; ".join(each.problem for each in findings)


@pytest.mark.parametrize("name", ["number", "array", "targeted", "repeated", "shift", "pixels"])
def test_what_a_run_wrote_holds(run, name):
    verification = dfa.verify(run(name), CLASSIFIER)
    assert verification.holds, str(verification)
    assert verification.images > 0
    assert ("cannot be told" in str(verification)) == (name == "shift")


def test_an_array_of_epsilon_is_believed_only_where_the_settings_tell_the_same(run):
    folder = run("array")
    for content in (b"", b"garbage", b"\x93NUMPY\x01\x00\x76\x00{'descr': 3}", (folder / "run.json").read_bytes()):
        (folder / "epsilon.npy").write_bytes(content)
        assert "epsilon.npy cannot be read" in problems(folder)
    for array in (np.full(SHAPE, 255, np.uint8), np.uint8(255), np.full((12, *SHAPE), 255, np.uint8)):
        np.save(folder / "epsilon.npy", array)
        assert "epsilon.npy must hold the epsilon of run.json" in problems(folder)
    # What the settings tell is what the images are held to.
    change(folder, epsilon=np.minimum(LEVELS, 1).tolist())
    verification = dfa.verify(folder, CLASSIFIER)
    assert {"settings", "epsilon"} == {each.check for each in verification.findings}
    # The user's own epsilon is what counts.
    assert problems(folder, epsilon=14) == ""


def test_only_a_file_of_the_folder_is_read(run, tmp_path):
    folder = run("array")
    (folder / "epsilon.npy").rename(tmp_path / "elsewhere.npy")
    (folder / "epsilon.npy").symlink_to(tmp_path / "elsewhere.npy")
    assert "must be a regular file" in problems(folder)
    (folder / "epsilon.npy").unlink()
    os.mkfifo(folder / "epsilon.npy")
    assert "must be a regular file" in problems(folder)


def test_a_file_of_another_shape_is_not_read_into_memory(run):
    folder = run("array")
    header = np.lib.format.header_data_from_array_1_0(np.zeros(0, np.uint8)) | {"shape": (2**40,)}
    with (folder / "epsilon.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2**40)
    assert "is a sparse file: 1,099,511,627,904 bytes" in problems(folder)


@pytest.mark.parametrize("content", [b"garbage", None])
def test_a_file_that_stands_beside_a_number_is_a_contradiction(run, content):
    folder = run("number")
    np.save(folder / "epsilon.npy", np.full(SHAPE, 255, np.uint8))
    if content is not None:
        (folder / "epsilon.npy").write_bytes(content)
    assert "epsilon.npy" in problems(folder)


def test_a_large_array_is_known_by_its_digest(tmp_path):
    shape = (160, 160, 3)
    classifier = LinearClassifier(shape)
    levels = np.full(shape, 40)
    dfa.run(classifier, random_images(2, shape), epsilon=levels, max_queries=60, progress=False, store=tmp_path)
    verification = dfa.verify(tmp_path, classifier)
    assert verification.holds
    assert verification.checked["epsilon"] == verification.images > 0
    np.save(tmp_path / "epsilon.npy", np.full(shape, 255, np.uint8))
    assert "whose digest is on record" in str(dfa.verify(tmp_path, classifier))
    (tmp_path / "epsilon.npy").unlink()
    verification = dfa.verify(tmp_path, classifier)
    assert "epsilon.npy is missing" in str(verification)
    assert not verification.holds
    assert dfa.verify(tmp_path, classifier, epsilon=levels).holds
    np.save(tmp_path / "epsilon.npy", levels.astype(np.uint8))
    for digest in ({}, {"dtype": "nonsense", "shape": list(shape), "sha256": ""}, {"dtype": "O", "shape": 3}):
        change(tmp_path, epsilon=digest)
        assert "whose digest is on record" in str(dfa.verify(tmp_path, classifier))


@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (None, "not on record as grey levels"),
        ("8", "not on record as grey levels"),
        (True, "not on record as grey levels"),
        (8.5, "not on record as grey levels"),
        ([1, [2]], "ragged"),
        ([1.5] * 12, "is on record as float64"),
        ([3, 4], "fits no run"),
        (0, "at most 255, and is on record as 0..0"),
        (256, "at most 255, and is on record as 256..256"),
    ],
)
def test_an_epsilon_that_no_run_has_is_found(run, epsilon, message):
    folder = run("number")
    change(folder, epsilon=epsilon)
    assert message in problems(folder)
    assert problems(folder, epsilon=8) == ""


def test_files_that_tell_different_settings_are_found(run):
    for settings in ({"epsilon": 255}, {"max_queries": 10_000}, {"confirmations": {"needed": 1, "of": 2}}):
        folder = run("number")
        change(folder, "results.json", **settings)
        assert "run.json and results.json must tell the same, and config." in problems(folder)
        shutil.rmtree(folder)
    folder = run("number")
    change(folder, space={"kind": "Shift", "rows": 2, "columns": 2})
    assert "and the run's search space has none" in problems(folder)


def test_records_that_were_taken_out_are_found(run):
    folder = run("number")
    document = json.loads((folder / "results.json").read_text())
    document["records"] = [row for row in document["records"] if row["status"] != "failure"]
    (folder / "results.json").write_text(json.dumps(document))
    with pytest.raises(dfa.StoreError, match="there must be a record for each of 12 images, and there are"):
        dfa.verify(folder, CLASSIFIER)
    change(folder, num_images=len(document["records"]))
    with pytest.raises(dfa.StoreError, match=r"the record at place \d+ is of image"):
        dfa.verify(folder, CLASSIFIER)


def test_a_budget_that_is_not_told_is_found(run):
    folder = run("number")
    change(folder, max_queries=None)
    assert "max_queries must be an integer, and is None" in problems(folder)


@pytest.mark.parametrize("field", ["l0", "l2", "linf", "class_before", "class_after"])
def test_what_a_record_leaves_out_is_found(run, field):
    folder = run("number")
    change_records(folder, **{field: None})
    assert f"it does not tell {field}" in problems(folder, "record")


@pytest.mark.parametrize("fields", [{"target": 10}, {"target": -1}, {"class_before": 10}])
def test_a_class_that_the_oracle_has_not_is_found(run, fields):
    folder = run("targeted" if "target" in fields else "number")
    change_records(folder, **fields)
    assert not dfa.verify(folder, CLASSIFIER).holds


def test_a_target_that_is_not_the_runs_is_found(run):
    folder = run("targeted")
    change_records(folder, target=None)
    assert "its target is None, and the run's targets are 3" in problems(folder, "record")
    folder = run("number")
    change_records(folder, target=4)
    assert "its target is 4, and the run's targets are None" in str(dfa.verify(folder, CLASSIFIER))


def test_every_image_has_the_target_that_was_given_for_it(tmp_path):
    targets = [index % 10 for index in range(len(IMAGES))]
    attack(tmp_path, epsilon=30, targets=targets)
    assert problems(tmp_path) == ""
    change(tmp_path, targets=[*targets[1:], 0])
    assert "and the run's target for it" in problems(tmp_path, "record")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"kind": "Nonsense"}, "the space 'Nonsense', which is not known"),
        ({"kind": "Pixels"}, "KeyError: 'number'"),
        ({"kind": "Pixels", "number": "5"}, "TypeError"),
    ],
)
def test_a_promise_that_cannot_be_checked_is_not_kept(run, space, message):
    folder = run("pixels")
    change(folder, space=space)
    assert message in problems(folder, "space")


@pytest.mark.parametrize(
    "config",
    [
        {"space": {"form": "stones"}},
        {"space": 3},
        {"confirmations": "many"},
        {"space": {"kind": ["Pixels"]}},
        {"space": {}},
    ],
)
def test_settings_that_are_none_are_refused(run, config):
    folder = run("pixels")
    change(folder, **config)
    with pytest.raises(dfa.StoreError, match="must be as it was saved, and is not"):
        dfa.verify(folder, CLASSIFIER)


def test_an_oracle_that_is_asked_otherwise_than_the_runs_is_told_of_at_the_top(run):
    folder = run("number")
    same = dfa.verify(folder, CLASSIFIER)
    assert same.asked_otherwise == ()
    assert "asked otherwise" not in str(same)

    def logits(batch):
        return np.log(np.maximum(CLASSIFIER(batch), 1e-30))

    other = dfa.verify(folder, dfa.as_oracle(logits, returns="logits", preprocess=np.flip))
    assert other.asked_otherwise == (
        'preprocess was null, and is "flip"',
        'returns was "probabilities", and is "logits"',
    )
    assert str(other).splitlines()[0] == (
        'the oracle is asked otherwise than the run\'s was: preprocess was null, and is "flip"'
    )
    assert other.as_dict()["asked_otherwise"] == list(other.asked_otherwise)
    # One of another kind is asked in its own way.
    another = dfa.as_oracle(logits, returns="logits")
    another.kind = "another"
    assert dfa.verify(folder, another).asked_otherwise == ()
