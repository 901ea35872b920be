"""The paper's tables: what was measured is not lost, and not taken for what was asked with other images or settings."""

from __future__ import annotations

import random
import sys
from functools import cached_property

import numpy as np
import pytest

import dfa

torch = pytest.importorskip("torch")


def _figures(images, reason="", **rest):
    return {"images": images, "reason": reason, **rest}


def test_figures_are_not_lost_to_a_reason_or_to_fewer_images():
    from systems.measuring import is_better

    assert is_better(_figures(1), None)
    assert is_better(_figures(1), _figures(0, "stopped after 3 s"))
    assert is_better(_figures(0, "failed: X"), _figures(0, "stopped after 3 s"))
    assert is_better(_figures(20), _figures(20))
    assert not is_better(_figures(19), _figures(20))
    assert not is_better(_figures(0, "stopped after 3 s"), _figures(1))


def test_what_failed_or_was_stopped_is_run_again_where_that_can_help():
    from systems.measuring import is_unfinished
    from systems.rows import Row

    whole, parts = (Row("8", "X", "Y", dict, in_parts=is_cut) for is_cut in (False, True))
    for row in (whole, parts):
        assert is_unfinished(_figures(0, "failed: OSError: no", limit=300), row, 300, 20)
        assert is_unfinished(_figures(0, "stopped after 300 s", limit=300), row, 301, 20)
        assert not is_unfinished(_figures(0, "X is not installed", limit=300), row, 301, 20)
        assert not is_unfinished(_figures(20), row, 300, 20)
    assert not is_unfinished(_figures(0, "stopped after 300 s", limit=300), whole, 300, 20)
    assert is_unfinished(_figures(0, "stopped after 300 s", limit=300), parts, 300, 20)
    assert not is_unfinished(_figures(19), whole, 300, 20)
    assert is_unfinished(_figures(19), parts, 300, 20)


def test_a_models_loading_is_none_of_its_rows_time():
    import time

    from systems.measuring import measure
    from systems.rows import Row

    class Slow:
        @cached_property
        def lenet(self):
            time.sleep(0.6)
            return 1

    def measured(run):
        return measure(Row("4", "X", "LeNet-1", run), Slow(), 0.3)

    found = measured(lambda context: {"images": context.lenet})
    assert (found["reason"], found["images"]) == ("", 1)
    assert found["seconds"] < 0.3
    # The clock runs for all else.
    assert measured(lambda _: {"images": Slow().lenet})["reason"].startswith("stopped")


def test_kept_vectors_are_of_the_images_and_settings_asked_for(tmp_path):
    from systems.context import Context

    context, made = Context(tmp_path, 1, 1, folder=tmp_path / "vectors"), []

    def kept(*made_of):
        def make():
            made.append(made_of)
            return np.full(2, len(made))

        return context.kept("lenet-X-0", make, *made_of)[0].tolist()

    five, six = np.arange(5), np.arange(6)
    assert kept(five, "9 steps") == [1, 1]
    assert kept(five, "9 steps") == [1, 1]
    assert kept(six, "9 steps") == [2, 2]
    assert kept(five, "8 steps") == [3, 3]
    assert len(made) == 3
    # What was cut while it was written is made again.
    for path in context.folder.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    assert kept(five, "9 steps") == [4, 4]
    context = Context(tmp_path, 1, 1, folder=tmp_path / "vectors", again=True)
    assert kept(five, "9 steps") == [5, 5]
    # Once: rows that share vectors share them.
    assert kept(five, "9 steps") == [5, 5]


@pytest.mark.parametrize("text", ["", '{"im', "[]", "{}", '{"images": 2, "SR": 1, "TSR": 1, "GAP": 0}'])
def test_a_part_that_is_damaged_or_of_other_images_is_measured_again(tmp_path, text):
    from types import SimpleNamespace

    from systems.parts import _kept

    part, asked = SimpleNamespace(images=[0]), []
    figures = {"images": 1, "SR": 1.0, "TSR": 1.0, "GAP": 0.0, "ATC": 1.0, "queries": None, "note": "N"}

    def run(context, part):
        asked.append(part)
        return figures

    path = tmp_path / "0-1.json"
    path.write_text(text, encoding="utf-8")
    assert _kept(path, None, part, run) == figures
    assert _kept(path, None, part, run) == figures
    assert len(asked) == 1
    path.write_text(path.read_text(encoding="utf-8").replace('"images": 1', '"images": 2'), encoding="utf-8")
    assert _kept(path, None, part, run) == figures
    assert len(asked) == 2


def test_vectors_do_not_depend_on_what_was_drawn_before(tmp_path):
    from systems.context import Context

    def drawn(folder):
        context = Context(tmp_path, 1, 1, folder=folder)
        return context.kept("X", lambda: np.array([random.random(), np.random.random(), float(torch.rand(1))]))[0]

    first = drawn(tmp_path / "a")
    random.random(), np.random.random(), torch.rand(3)
    assert drawn(tmp_path / "b").tolist() == first.tolist()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--only", "nosuchrow"), "no row has one of nosuchrow"),
        (("--check", "nothing.md"), "nothing.md is not there"),
        (("--witnesses", "nowhere"), "nowhere is not there"),
        (("--row-seconds", "0"), "--row-seconds"),
        (("--lenet-images", "-1"), "--lenet-images"),
    ],
    ids=lambda each: each if isinstance(each, str) else each[0],
)
def test_what_cannot_be_is_refused_before_anything_is_run(tmp_path, monkeypatch, capsys, arguments, told):
    import tables

    monkeypatch.setattr(tables, "measure", None)
    monkeypatch.setattr(sys, "argv", ["tables.py", "--out", str(tmp_path), *arguments])
    with pytest.raises(SystemExit) as caught:
        tables.main()
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"results": []}', '{"results": {"a": 1}}', "{}", "[", ""])
def test_a_file_that_holds_no_row_is_named(tmp_path, text):
    from tables import ROWS, kept

    path = tmp_path / f"{ROWS[0].key}.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=ROWS[0].key):
        kept(tmp_path)


def test_a_check_of_nothing_or_of_what_failed_is_no_success(tmp_path, capsys):
    from tables import _compared, markdown

    told = {"table": "4", "system": "X", "model": "A", "reason": "", "note": "", "remark": "", "paper": {}}
    row = told | {"images": 9, "SR": 1.0, "TSR": 1.0, "GAP": 0.0, "ATC": 1.0, "queries": None}
    path = tmp_path / "TABLES.md"
    path.write_text("hello", encoding="utf-8")
    assert _compared([row], path) == 1
    assert "nothing to compare" in capsys.readouterr().out
    path.write_text("\n".join(markdown([row, row | {"system": "Y"}])), encoding="utf-8")
    assert _compared([row], path) == 0
    assert "of 1 rows" in capsys.readouterr().out
    assert _compared([row, row | {"system": "Y", "reason": "failed: OSError: no"}], path) == 1
    assert "Y (A): failed: OSError: no" in capsys.readouterr().out


def test_where_no_image_is_attacked_a_row_says_so():
    from systems.counting import audit, figures_of
    from systems.rows import CannotRunError

    images = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    with pytest.warns(dfa.MostSkippedWarning):
        audited = audit(lambda x: np.tile([0.0, 1.0], (len(x), 1)), images, images / 255, np.zeros(1, np.int64))
    with pytest.raises(CannotRunError, match="no image"):
        figures_of(audited, 1.0)
