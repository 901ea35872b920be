"""Run folders that lie with one voice: what `verify` asks and measures itself, and what it says that it believes."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import dfa
from dfa.runs import measuring
from dfa.runs import questions as questions_module
from dfa.runs.image_files import encode_image
from dfa.runs.journal import Picture, digest_of_row
from oracles import LinearClassifier, Recorder, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(8, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)
SETTINGS = {"epsilon": 20, "max_queries": 400, "progress": False}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beliefs") / "run"
    result = dfa.run(CLASSIFIER, IMAGES, store=folder, **SETTINGS)
    assert result.success.all()
    return folder


@pytest.fixture
def run(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "run"))


def edit(run, config=None, row=None):
    """Change the settings in both files, and every record by a function."""
    for name in ("run.json", "results.json"):
        if not (run / name).exists():
            continue
        document = json.loads((run / name).read_text())
        document["config"].update(config or {})
        for each in document.get("records", []) if row is not None else []:
            each.update(row(each))
        (run / name).write_text(json.dumps(document))


def check(run, oracle=CLASSIFIER, **settings):
    verification = dfa.verify(run, oracle, **{"originals": IMAGES, "epsilon": 20, **settings})
    assert not verification.holds, str(verification)
    assert "everything holds" not in str(verification)
    return {each.check for each in verification.findings}


def put_originals_back(run, row):
    """Let the run's images be its originals, and the records say so."""
    for path in (run / "images").iterdir():
        shutil.copy(run / "originals" / path.name, path)
    unchanged = {"l0": 0, "l2": 0.0, "linf": 0}
    edit(run, row=lambda each: {**unchanged, "class_after": int(CLASSES[each["index"]]), **row(each)})


def unfinished(run):
    """Take away what was written when the run ended; its journal stays."""
    (run / "results.json").unlink()
    return contextlib.closing(sqlite3.connect(run / "journal.sqlite"))


def keep(journal, index, image, original):
    form, *arrays = Picture(image, original).row
    digest = digest_of_row(index, form.encode(), *arrays)
    journal.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)", (index, form, *arrays, digest))
    journal.commit()


# What is asked


@pytest.mark.parametrize("confirmations", [{"needed": 1, "of": 2}, {"needed": 1, "of": 1}])
def test_originals_with_another_class_on_record_are_not_adversarial(run, confirmations):
    put_originals_back(run, lambda row: {"class_before": int(CLASSES[row["index"]] + 1) % 10})
    edit(run, {"confirmations": confirmations})
    assert {"before", "adversarial"} <= check(run)


def test_an_original_is_asked_as_often_as_its_image(run):
    edit(run, {"confirmations": {"needed": 1, "of": 3}}, lambda row: {"answers": 3, "agreeing": 3})
    oracle = Recorder(CLASSIFIER)
    verification = dfa.verify(run, oracle, originals=IMAGES, epsilon=20)
    assert not [each for each in verification.findings if each.check != "tables"]
    assert verification.checked["before"] == len(IMAGES)
    asked = [image.tobytes() for batch in oracle.batches for image in batch]
    assert {asked.count(image.tobytes()) for image in IMAGES} == {3}
    assert verification.queries == oracle.num_images == 6 * len(IMAGES)


def test_the_mean_answer_tells_the_class_of_an_original(run):
    """As it does in the run: an oracle that is wrong about an original now and then does not find the record false."""
    edit(run, {"confirmations": {"needed": 2, "of": 3}})
    calls = []

    def wavering(images):
        calls.append(len(images))
        scores = np.eye(10)[CLASSIFIER.classes(images)]
        return np.roll(scores, 1, axis=1) if len(calls) == 1 else scores

    assert dfa.verify(run, wavering, originals=IMAGES, epsilon=20).failed("before") == 0


def test_answers_that_a_folder_asks_for_are_bounded(run):
    edit(run, {"confirmations": {"needed": 90, "of": 101}})
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match=r"asks for 101 answers about each image.*pass confirmations"):
        dfa.verify(run, oracle)
    assert oracle.num_images == 0
    verification = dfa.verify(run, oracle, confirmations="2/3")
    assert verification.queries == 6 * len(IMAGES)
    assert "confirmations" not in verification.believed
    with pytest.raises(dfa.InvalidInputError):
        dfa.verify(run, oracle, confirmations="x")


@pytest.mark.parametrize("targets", [CLASSES.tolist(), {"j": 3}, {"dtype": "int64", "shape": [8], "sha256": "0"}])
def test_the_class_that_an_original_has_is_no_target(run, targets):
    put_originals_back(run, lambda row: {"target": int(CLASSES[row["index"]])})
    edit(run, {"targets": targets})
    assert "target" in check(run)
    # Also where the record has another class of the original.
    edit(run, row=lambda row: {"class_before": int(CLASSES[row["index"]] + 1) % 10})
    assert "target" in check(run)


def test_a_target_must_have_the_rank_that_the_run_asks_for(tmp_path):
    dfa.run(CLASSIFIER, IMAGES, targets=dfa.rank(2), store=tmp_path, **{**SETTINGS, "epsilon": 60})
    verification = dfa.verify(tmp_path, CLASSIFIER, originals=IMAGES, epsilon=60)
    assert verification.holds, str(verification)
    assert verification.checked["target"] == len(IMAGES)
    edit(tmp_path, {"targets": {"j": 5}})
    findings = dfa.verify(tmp_path, CLASSIFIER, originals=IMAGES, epsilon=60).findings
    assert {each.check for each in findings} == {"target"}
    assert "must be the class of rank 5 of the original, and is of rank 2" in findings[0].problem
    first_two = dfa.top_k(CLASSIFIER, 2, num_classes=10)
    findings = dfa.verify(tmp_path, first_two, originals=IMAGES, epsilon=60).findings
    assert "cannot be told, since the oracle's answers rank 2" in findings[0].problem


def test_a_label_that_the_original_does_not_have_means_that_it_should_have_been_skipped(run):
    edit(run, row=lambda row: {"label": row["class_after"]})
    assert "record" in check(run)


@pytest.mark.parametrize("label", [None, "own", "other"])
def test_skipped_images_are_asked_whether_they_were_rightly_skipped(run, label):
    def skip(row):
        own = int(CLASSES[row["index"]])
        before = own if label != "other" else (own + 1) % 10
        fields = dict.fromkeys(("file", "class_after", "l0", "l2", "linf", "probability_after"))
        skipped = {"status": "skipped", "reason": "misclassified", "found": False, "verified": False}
        return {**fields, **skipped, "label": None if label is None else own, "class_before": before}

    edit(run, row=lambda row: {} if row["index"] == 0 else skip(row))
    for place in ("images", "originals"):
        for path in (run / place).iterdir():
            if path.stem != "000000":
                path.unlink()
    assert ("before" if label == "other" else "record") in check(run)
    believed = dfa.verify(run, CLASSIFIER).believed
    assert "7 images were rightly skipped" in believed["skipped"]


def test_images_that_were_rightly_skipped_hold(tmp_path):
    labels = CLASSES.copy()
    labels[:3] = (labels[:3] + 1) % 10
    dfa.run(CLASSIFIER, IMAGES, labels, store=tmp_path, **SETTINGS)
    oracle = Recorder(CLASSIFIER)
    verification = dfa.verify(tmp_path, oracle, originals=IMAGES, epsilon=20)
    assert verification.holds, str(verification)
    assert verification.checked["before"] == len(IMAGES)
    assert {image.tobytes() for image in IMAGES} <= {image.tobytes() for batch in oracle.batches for image in batch}


@pytest.mark.parametrize("fields", [{"probability_after": 1.0}, {"probability_before": 0.5}])
def test_probabilities_are_held_against_the_answers(run, fields):
    edit(run, row=lambda row: fields)
    assert "probability" in check(run)


def test_that_an_oracle_shows_something_else_is_said(run):
    edit(run, {"oracle": {"returns": "label"}}, lambda row: {"probability_after": 1.0})
    verification = dfa.verify(run, CLASSIFIER)
    assert "probability" not in verification.checked
    assert "the probabilities on record are not compared" in str(verification)


@pytest.mark.parametrize("number", [-0.1, 7.0])
def test_a_probability_lies_between_0_and_1(run, number):
    edit(run, row=lambda row: {"probability_before": number})
    assert "record" in check(run)


# What is measured


def test_floats_are_not_cut_to_the_integers_of_their_originals(tmp_path):
    """The settings of 8-bit images say that they are arrays, whose files hold what lies beyond epsilon."""
    dfa.run(CLASSIFIER, IMAGES, **SETTINGS).save(tmp_path)
    shutil.rmtree(tmp_path / "images")
    (tmp_path / "images").mkdir()
    space = {"kind": "Custom", "form": "arrays"}
    edit(tmp_path, {"epsilon": None, "space": space}, lambda row: {"file": f"images/{row['index']:06d}.npy"})
    for index, image in enumerate(IMAGES):
        changed = image + 0.999
        changed[0, 0, 0] = -1e300
        np.save(tmp_path / "images" / f"{index:06d}.npy", changed)
    assert "original" in check(tmp_path)


def arrays(folder, original, changed):
    """A run of one array, saved in a folder, and what its files hold then."""
    original, changed = np.array(original), np.array(changed)
    shape = original.shape

    def above(rows):
        sums = np.asarray(rows).astype(np.float64).reshape(len(rows), -1).sum(axis=1)
        return np.stack([sums <= 10.5, sums > 10.5], axis=1).astype(np.float64)

    rows = np.stack([original] * len(shape) * 2).astype(original.dtype)
    space = dfa.Custom([0] * shape[0], [9] * shape[0], lambda given, x: given + x.astype(given.dtype))
    dfa.run(above, rows, space=space, max_queries=200, progress=False).save(folder)
    for path in (folder / "images").iterdir():
        np.save(path, changed)
    distance = [abs(int(a) - int(b)) for a, b in zip(changed.tolist(), original.tolist(), strict=True)]
    l2 = float(np.linalg.norm(np.array(distance, dtype=np.float64)))
    edit(folder, None, lambda row: {"l0": sum(map(bool, distance)), "l2": l2, "linf": min(max(distance), 2**63 - 1)})
    return above, list(rows)


def test_large_integers_do_not_wrap(tmp_path):
    original = np.array([5, 3, 0], np.uint64)
    oracle, originals = arrays(tmp_path, original, np.array([5, 3, 2**64 - 1], np.uint64))
    edit(tmp_path, None, lambda row: {"l0": 1, "l2": 1.0, "linf": 1})
    assert {"epsilon", "distance"} <= check(tmp_path, oracle, originals=originals, epsilon=1)


def test_an_epsilon_is_per_image_or_per_coordinate_as_its_shape_tells(tmp_path):
    oracle, originals = arrays(tmp_path, [5, 3, 2], [5, 3, 9])
    assert len(originals) == 2
    assert "epsilon" in check(tmp_path, oracle, originals=originals, epsilon=np.array([7, 7, 0]))
    held = dfa.verify(tmp_path, oracle, originals=originals, epsilon=np.array([0, 0, 7]))
    assert held.failed("epsilon") == 0 < held.checked["epsilon"]
    assert "epsilon" in check(tmp_path, oracle, originals=originals, epsilon=np.array([7, 6]))
    with pytest.raises(dfa.InvalidInputError, match=r"one per image \(2,\), one per coordinate \(3,\)"):
        dfa.verify(tmp_path, oracle, epsilon=np.array([2**64 - 1] * 3, np.uint64))


@pytest.mark.parametrize("part", [1, 18, 40, 10**6])
def test_an_image_is_measured_as_a_whole_in_whatever_parts(monkeypatch, part):
    monkeypatch.setattr(measuring, "_PART", part)
    image = IMAGES[1].copy()
    image[1:5, 2, 1] += 9
    image[5, 5, 2] += 3
    found = measuring.measure(image, IMAGES[1], np.full(SHAPE, 8))
    assert (found.l0, found.l2, found.linf, found.num_beyond) == (5, np.sqrt(4 * 81 + 9), 9, 4)
    assert found.first_beyond == "at (1, 2, 1), 9 grey levels away, where 8 are allowed"
    allowed = np.full(SHAPE, 9)
    allowed[3] = 8
    assert measuring.measure(image, IMAGES[1], allowed).num_beyond == 1


@pytest.mark.parametrize("factor", [0, -1])
def test_a_space_that_makes_no_sense_promises_nothing(run, factor):
    edit(run, {"epsilon": None, "space": {"kind": "Tiled", "base": 20, "factor": factor}})
    assert "space" in check(run)


def test_an_epsilon_that_may_be_either_is_refused(tmp_path):
    oracle, originals = arrays(tmp_path, [5, 3], [5, 9])
    assert len(originals) == 2
    with pytest.raises(dfa.InvalidInputError, match="integers of 0 or more"):
        dfa.verify(tmp_path, oracle, epsilon=-1)
    with pytest.raises(dfa.InvalidInputError, match="may be one per image or one per coordinate"):
        dfa.verify(tmp_path, oracle, epsilon=np.array([7, 0]))
    assert "epsilon" in check(tmp_path, oracle, originals=originals, epsilon=np.array([[7, 0], [7, 0]]))


def test_a_batch_takes_no_more_memory_than_is_its_share(run, monkeypatch):
    monkeypatch.setattr(questions_module, "MOST_BYTES", 3 * IMAGES[0].nbytes)
    oracle = Recorder(CLASSIFIER)
    assert dfa.verify(run, oracle, originals=IMAGES).holds
    assert max(map(len, oracle.batches)) == 3
    monkeypatch.setattr(questions_module, "MOST_BYTES", 1)
    oracle = Recorder(CLASSIFIER)
    assert dfa.verify(run, oracle, originals=IMAGES).holds
    assert max(map(len, oracle.batches)) == 1


# What the folder tells in two places


def test_copies_of_the_originals_are_those_that_were_given(run):
    path = run / "originals" / "000003.png"
    path.write_bytes(encode_image(np.full(SHAPE, 255, np.uint8)))
    assert check(run) == {"copy"}
    path.write_bytes(b"")
    assert check(run) == {"copy"}


def test_a_copy_of_another_dtype_is_another(tmp_path):
    oracle, originals = arrays(tmp_path, [5, 3, 2], [5, 3, 4])
    path = sorted((tmp_path / "originals").iterdir())[0]
    assert dfa.verify(tmp_path, oracle, originals=originals).failed("copy") == 0
    np.save(path, np.load(path).astype(np.float64))
    assert dfa.verify(tmp_path, oracle, originals=originals).failed("copy") == 1


@pytest.mark.parametrize(
    ("where", "fields"),
    [
        ("summary", {"TSR": 0.5}),
        ("summary", {"attacked": 9999}),
        ("summary", {"fresh_interval": [0.0, 1.0]}),
        ("saved", {"verified": 9999}),
        ("saved", {"refuted": 1}),
        ("saved", {"TSR": 0.25}),
    ],
)
def test_a_summary_that_is_not_that_of_the_records_is_found(run, where, fields):
    document = json.loads((run / "results.json").read_text())
    document[where].update(fields)
    (run / "results.json").write_text(json.dumps(document))
    assert check(run) == {"tables"}
    del document[where]["TSR"]
    (run / "results.json").write_text(json.dumps(document))
    assert check(run) == {"tables"}


def test_a_table_that_is_not_that_of_the_records_is_found(run):
    table = (run / "records.csv").read_text()
    for other in (
        "index,status\n0,failure\n",
        table.replace("success", "failure", 1),
        "".join(table.splitlines(keepends=True)[:-1]),
        table + table.splitlines()[-1] + "\n",
        table.rstrip("\n") + ",more\n",
        "\0",
    ):
        (run / "records.csv").write_text(other)
        assert check(run) == {"tables"}
    # Text that a spreadsheet might take for a formula may be marked as text.
    edit(run, row=lambda row: {"reason": "=1+1"})
    lines = [line.split(",") for line in table.splitlines()]
    reason = lines[0].index("reason")
    for line in lines[1:]:
        line[reason] = "'=1+1"
    (run / "records.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    verification = dfa.verify(run, CLASSIFIER)
    assert verification.holds, str(verification)


@pytest.mark.parametrize(
    "name",
    [
        "images/000000.PNG",
        "images/000007.jpg",
        "images/000009.png.gz",
        "images/x.webp",
        "images/²².png",
        "originals/000099.png",
    ],
)
def test_any_file_that_no_record_names_is_found(run, name):
    (run / name).write_bytes(b"anything")
    assert check(run) == {"stray"}


def test_half_a_file_that_a_kill_left_is_no_stray(run):
    (run / "images" / ".000002.png.4711.tmp").write_bytes(b"half")
    assert dfa.verify(run, CLASSIFIER).holds


def test_files_of_an_unfinished_run_are_looked_at_beside_its_journal(run):
    with unfinished(run) as journal:
        keep(journal, 2, dfa.Result.load(run).images[2], IMAGES[2])
    verification = dfa.verify(run, CLASSIFIER, originals=IMAGES, epsilon=20)
    assert verification.holds, str(verification)
    path = run / "images" / "000002.png"
    content = path.read_bytes()
    path.write_bytes((run / "originals" / "000002.png").read_bytes())
    assert check(run) == {"file"}
    path.write_bytes(content)
    (run / "originals" / "000002.png").write_bytes(content)
    assert check(run) == {"file"}
    shutil.copy(run / "originals" / "000001.png", run / "originals" / "000002.png")
    assert check(run) == {"file"}
    for name in ("images/000002.png", "originals/000002.png"):
        (run / name).unlink()
    assert dfa.verify(run, CLASSIFIER).holds
    (run / "images" / "000070.png").write_bytes(b"anything")
    assert check(run) == {"stray"}


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: image.astype(np.float64) + 0.4,
        lambda image: np.where(image > 100, np.nan, image.astype(np.float64)),
        lambda image: image.astype(np.uint64),
        lambda image: image.astype(np.int8),
    ],
)
def test_a_journal_holds_pictures_of_the_runs_form_only(run, changed):
    image = dfa.Result.load(run).images[2]
    with unfinished(run) as journal:
        keep(journal, 2, changed(image), IMAGES[2].astype(changed(image).dtype))
    for act in (lambda: dfa.verify(run, CLASSIFIER), lambda: dfa.Result.load(run)):
        with pytest.raises(dfa.StoreError, match="image 2 must be uint8 of shape"):
            act()


# What is said


def test_a_folder_without_a_record_does_not_hold(run):
    with unfinished(run) as journal:
        journal.execute("DELETE FROM records")
        journal.commit()
    for place in ("images", "originals"):
        shutil.rmtree(run / place)
    verification = dfa.verify(run, CLASSIFIER, originals=IMAGES, epsilon=20)
    assert not verification.findings
    assert not verification.holds
    assert "nothing to verify" in str(verification)
    assert verification.as_dict()["holds"] is False


def test_a_run_that_found_nothing_says_so_in_other_words(tmp_path):
    dfa.run(CLASSIFIER, IMAGES, store=tmp_path, max_queries=2, epsilon=1, progress=False)
    verification = dfa.verify(tmp_path, CLASSIFIER, originals=IMAGES, epsilon=1)
    assert verification.holds
    assert verification.images == 0
    assert "everything holds" not in str(verification)
    assert "0 adversarial images" in str(verification)
    assert "none to verify" in verification.as_dict()["verdict"]


def test_what_is_believed_is_said(run):
    verification = dfa.verify(run, CLASSIFIER)
    assert verification.believed["epsilon"] == "20 grey levels"
    assert verification.believed["targets"] == "none, so that any class counts but the original's"
    assert verification.believed["confirmations"] == "1 of 1 answers must agree"
    assert verification.believed["originals"] == "the copies in the folder"
    assert "believed of the folder: epsilon: 20 grey levels" in str(verification)
    assert verification.as_dict()["believed"] == verification.believed
    given = dfa.verify(run, CLASSIFIER, originals=IMAGES, epsilon=20, confirmations=1).believed
    assert set(given) == {"targets", "costs"}


@pytest.mark.parametrize("space", [{"kind": "Pixels", "number": 10**9}, {"kind": "Shift", "rows": 1, "columns": 1}])
def test_a_space_that_allows_anything_is_named(run, space):
    edit(run, {"epsilon": None, "space": space})
    verification = dfa.verify(run, CLASSIFIER, originals=IMAGES)
    assert json.dumps(space) in verification.believed["space"]
    assert "epsilon" not in verification.believed
    assert ("promises nothing" in verification.believed["space"]) == (space["kind"] == "Shift")


def test_targets_are_named(run):
    for targets, words in (({"j": 3}, '{"j": 3}'), (7, "7"), ({"sha256": "0"}, "those of the records")):
        edit(run, {"targets": targets})
        assert words in dfa.verify(run, CLASSIFIER).believed["targets"]
