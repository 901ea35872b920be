"""Files that are not what the run found: told of at once, and by everything that shows the run afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dfa
from command_line import attack, go_to_workplace
from dfa.runs import saving
from sample_results import by_first_value, make_result

TOLD = r"2 images refuted, .* \(image 1: still of class 0; image 4: still of class 0\); by the files TSR is"


def stubborn(batch):
    return np.tile([0.8, 0.1, 0.1], (len(batch), 1))


def benign(batch):
    """Answer as the oracle of the run, but for the image of class 2."""
    scores = by_first_value(batch)
    scores[scores.argmax(axis=1) == 2] = [0.8, 0.1, 0.1]
    return scores


@pytest.fixture
def refuted(tmp_path):
    """A folder in which one of two images does not hold, and the result that was saved there."""
    result = make_result()
    with pytest.warns(dfa.RefutedFilesWarning):
        result.save(tmp_path / "run", oracle=benign)
    return tmp_path / "run", result


def flip_a_pixel(monkeypatch, index):
    """Let one image's file be read otherwise than it was written."""
    read = saving.read_image

    def read_otherwise(folder, file, shape):
        image = read(folder, file, shape)
        if f"{index:06}" in file:
            image[-1, -1, 0] ^= 1
        return image

    monkeypatch.setattr(saving, "read_image", read_otherwise)


def test_saving_warns_where_files_do_not_hold(tmp_path):
    result = make_result()
    with pytest.warns(dfa.RefutedFilesWarning, match=TOLD + r" 0.0 %, not 66.7 %") as told:
        result.save(tmp_path / "run", oracle=stubborn)
    assert told[0].filename == __file__
    with pytest.raises(dfa.RefutedFilesWarning) as raised:
        result.save(tmp_path / "run", oracle=stubborn, overwrite=True)
    assert raised.value.result is result
    assert dfa.Result.load(tmp_path / "run").refuted == result.refuted
    result.save(tmp_path / "run", overwrite=True)
    assert result.refuted == dfa.Result.load(tmp_path / "run").refuted == {}


def test_a_summary_tells_what_holds_in_the_files(refuted):
    folder, result = refuted
    assert "TSR of the files" not in str(make_result().summary())
    for each in (result, dfa.Result.load(folder)):
        assert each.refuted == {4: "still of class 0"}
        summary = each.summary()
        # What the run itself found stays what it was.
        assert (summary.verified, summary.refuted, summary.TSR) == (2, 1, pytest.approx(2 / 3))
        assert summary.TSR_of_files == pytest.approx(1 / 3)
        lines = str(summary).splitlines()
        rows = [" ".join(line.split()) for line in lines]
        assert rows[rows.index("TSR 66.7 %") + 1] == (
            "TSR of the files 33.3 %: 1 of 2 refuted, read back from the files and asked again"
        )


def test_verification_knows_of_refuted_files_as_the_summary_does(refuted):
    folder, _ = refuted
    assert dfa.verify(folder, benign).failed("tables") == 0
    document = json.loads((folder / "results.json").read_text())
    assert document["summary"]["refuted"] == 1
    document["summary"]["refuted"] = 0
    (folder / "results.json").write_text(json.dumps(document))
    assert dfa.verify(folder, benign).failed("tables") == 1


def test_a_report_tells_of_refuted_files_at_the_top(refuted, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from dfa.views.report import write_report

    folder, result = refuted
    told = "1 refuted, read back from the files and asked again (image 4: still of class 0): by the files TSR is 33.3 %"
    page = write_report(folder, tmp_path / "page.html").read_text()
    assert told in page.partition("<h3>")[0]
    assert page.count("its file: still of class 0") == 1
    result.save(tmp_path / "good")
    both = write_report([folder, tmp_path / "good"], tmp_path / "both.html").read_text()
    assert both.count(told) == both.count("(of the files 33.3 %)") == 1


def test_a_run_that_is_kept_warns_and_tells(tmp_path, monkeypatch):
    images = np.zeros((3, 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = (90, 100, 110)

    def bright(batch):
        return np.where(batch[:, 0, 0] < 128, [[0.9, 0.1]], [[0.1, 0.9]])

    flip_a_pixel(monkeypatch, 1)
    words = {"epsilon": 60, "progress": False, "store": tmp_path / "run"}
    with pytest.warns(dfa.RefutedFilesWarning, match="image 1: the file differs from the image in memory") as told:
        result = dfa.run(bright, images, **words)
    assert told[0].filename == __file__
    assert (result.summary().verified, result.summary().refuted) == (3, 1)


def test_the_command_line_tells_of_refuted_files(tmp_path, monkeypatch, capsys):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    go_to_workplace(tmp_path, monkeypatch)
    attack(capsys, "--out", "good")
    found = dfa.Result.load("good").images.held()[0]
    flip_a_pixel(monkeypatch, found)
    _, document, err = attack(capsys, "--out", "run")
    assert f"1 image refuted, read back from the files and asked again (image {found}: the file differs" in err.replace(
        "\n", " "
    )
    assert "Warning" not in err
    assert document["summary"]["refuted"] == 1
