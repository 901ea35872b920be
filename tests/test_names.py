"""What images and classes are called goes with them: into records, tables, run folders and reports, as text."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.search.class_names import class_id, parse_class_names
from oracles import LazyImages, LinearClassifier, Until, raising, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(6, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)
FILES = [f"photo {index}.jpg" for index in range(6)]
ANIMALS = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]
HOSTILE = '<script>alert("1")</script>&\'"$x^{2$\n\x07'
NOT_A_CLASS = '$x^{2$\x07<script>&"'
BYTES = "caf\udce9.png"
"""As Python calls a file whose name is no UTF-8."""

ENTITIES = ("amp", "lt", "gt", "#39", "#34")


def run(images=IMAGES, *arguments, **settings):
    settings = {"max_queries": 60, "epsilon": 12, "progress": False, **settings}
    return dfa.run(CLASSIFIER, images, *arguments, **settings)


def sources(result):
    return [record.source for record in result.records]


# ------------------------------------------------------------------------------------------------ images


def test_names_are_on_the_records_in_the_files_and_read_back(tmp_path):
    result = run(names=FILES)
    assert sources(result) == FILES
    result.save(tmp_path)
    assert sources(dfa.Result.load(tmp_path)) == FILES
    with (tmp_path / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == FILES
    document = json.loads((tmp_path / "results.json").read_text())
    assert [row["source"] for row in document["records"]] == FILES


def test_without_names_there_are_none():
    assert sources(run()) == [None] * 6


def test_paths_are_names_and_bytes_that_are_no_text_are_written_out(tmp_path):
    result = run(names=[Path("a") / "b.png", BYTES, *FILES[2:]], store=tmp_path)
    assert sources(result)[:2] == [str(Path("a") / "b.png"), r"caf\udce9.png"]
    assert sources(dfa.Result.load(tmp_path)) == sources(result)


def test_a_sequence_that_has_names_need_not_be_told():
    images = LazyImages(IMAGES)
    images.names = FILES
    assert sources(run(images)) == FILES
    assert sources(run(images, names=FILES[::-1])) == FILES[::-1]
    for other in (tuple(FILES), FILES[:3], [1] * 6, "abcdef"):
        images.names = other
        assert sources(run(images)) == [None] * 6


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (FILES[:5], "names must be None or a list of 6 strings or paths, one per image, got 5 of type list"),
        ("abcdef", "got 6 of type str"),
        (3, "got 3"),
        (dict.fromkeys(FILES), "got 6 of type dict"),
        ([*FILES[:5], None], "names must be strings or paths, got None for image 5"),
    ],
)
def test_names_that_are_none_are_refused(names, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        run(names=names)


def test_every_record_has_its_name_however_it_ended():
    def gone():
        raise OSError("gone")

    with pytest.raises(dfa.OracleError) as caught:
        dfa.run(
            Until(12, CLASSIFIER, raising(RuntimeError("dead"))),
            LazyImages(IMAGES, {1: gone}),
            np.where(np.arange(6) == 2, (CLASSES + 1) % 10, CLASSES),
            names=FILES,
            batch_size=2,
            progress=False,
            max_queries=60,
        )
    result = caught.value.result
    assert sources(result) == FILES
    assert {each.value for each in result.status} >= {"error", "skipped", "unfinished"}


def test_images_that_were_not_even_read_have_their_names():
    with pytest.raises(dfa.OracleError) as caught:
        dfa.run(Until(3, CLASSIFIER, raising(RuntimeError("dead"))), IMAGES, names=FILES, batch_size=1, progress=False)
    result = caught.value.result
    assert sources(result) == FILES
    assert result.records[-1].class_before is None


def stop_early(folder, **settings):
    with pytest.raises(dfa.OracleError):
        dfa.run(
            Until(30, CLASSIFIER, raising(RuntimeError("dead"))),
            IMAGES,
            store=dfa.Storage(folder, interval=8),
            batch_size=2,
            epsilon=12,
            progress=False,
            max_queries=60,
            **settings,
        )


def test_a_resumed_run_keeps_its_names_and_wants_the_same(tmp_path):
    stop_early(tmp_path, names=FILES, class_names=ANIMALS)
    (tmp_path / "results.json").unlink()
    young = dfa.Result.load(tmp_path)
    assert sources(young) == FILES
    assert "unfinished" in {each.value for each in young.status}
    again = {"store": dfa.Storage(tmp_path, interval=8, resume=True), "batch_size": 2}
    with pytest.raises(dfa.StoreError, match=r"inputs\.names was .*photo 0.*, and is null"):
        run(**again, class_names=ANIMALS)
    with pytest.raises(dfa.StoreError, match=r"config\.class_names was .*ant"):
        run(**again, names=FILES)
    result = run(**again, names=FILES, class_names=ANIMALS)
    assert sources(result) == FILES
    assert sources(dfa.Result.load(tmp_path)) == FILES
    assert dfa.Result.load(tmp_path).class_name(2) == "cat"


def test_names_of_a_folder_that_are_none_are_left_out(tmp_path):
    stop_early(tmp_path, names=FILES)
    (tmp_path / "results.json").unlink()
    about = json.loads((tmp_path / "run.json").read_text())
    for names in (FILES[:3], [1] * 6, {"a": 1}, "abcdef", None):
        about["inputs"]["names"] = names
        (tmp_path / "run.json").write_text(json.dumps(about))
        result = dfa.Result.load(tmp_path)
        unfinished = [record.source for record in result.records if record.status is dfa.Status.UNFINISHED]
        assert unfinished
        assert set(unfinished) == {None}


def test_a_table_of_pandas_has_them():
    pytest.importorskip("pandas")
    assert run(names=FILES).to_pandas()["source"].tolist() == FILES


# ----------------------------------------------------------------------------------------------- classes


def test_labels_and_targets_by_name_are_those_by_id():
    named = run(IMAGES, [ANIMALS[each] for each in CLASSES], class_names=ANIMALS, targets="gnu")
    by_id = run(IMAGES, CLASSES, targets=6)
    assert [record.label for record in named.records] == CLASSES.tolist()
    assert [(each.target, each.queries) for each in named.records] == [
        (each.target, each.queries) for each in by_id.records
    ]
    one_each = np.array([ANIMALS[(each + 1) % 10] for each in CLASSES], dtype=object)
    assert [each.target for each in run(targets=one_each, class_names=ANIMALS).records] == ((CLASSES + 1) % 10).tolist()
    assert [named.class_name(each) for each in (0, 9, None)] == ["ant", "jay", ""]
    assert by_id.class_name(3) == "3"


NAME_COLUMNS = ["label_name", "target_name", "class_before_name", "class_after_name"]


def test_tables_have_classes_by_their_names(tmp_path):
    pytest.importorskip("pandas")
    formulas = [f"={name}" for name in ANIMALS]
    for folder, names in (("run", ANIMALS), ("formulas", formulas)):
        result = run(IMAGES, CLASSES, class_names=names, epsilon=4, max_queries=3)
        assert 0 < result.success.sum() < 6
        result.save(tmp_path / folder)
        frame = dfa.Result.load(tmp_path / folder).to_pandas()
        assert frame["label_name"].tolist() == frame["class_before_name"].tolist() == [names[each] for each in CLASSES]
        assert frame["target_name"].tolist() == [None] * 6
        after = [None if record.class_after is None else names[record.class_after] for record in result.records]
        assert frame["class_after_name"].tolist() == after
        with (tmp_path / folder / "records.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        mark = "" if names is ANIMALS else "'"
        assert [row["label_name"] for row in rows] == [mark + names[each] for each in CLASSES]
        assert [row["class_after_name"] for row in rows] == ["" if each is None else mark + each for each in after]
        assert dfa.verify(tmp_path / folder, CLASSIFIER).holds
    table = (tmp_path / "run" / "records.csv").read_text()
    (tmp_path / "run" / "records.csv").write_text(table.replace(ANIMALS[CLASSES[0]], "cow"))
    assert dfa.verify(tmp_path / "run", CLASSIFIER).failed("tables")


def test_without_names_tables_have_ids_alone(tmp_path):
    pytest.importorskip("pandas")
    result = run(IMAGES, CLASSES)
    result.save(tmp_path / "run")
    assert not set(NAME_COLUMNS) & set(result.to_pandas().columns)
    assert "_name" not in (tmp_path / "run" / "records.csv").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ["cat"] * 6}, "labels by name need class_names=, the oracle's classes in their order"),
        ({"targets": "cat"}, "targets by name need class_names="),
        ({"labels": ["cta"] * 6, "class_names": ANIMALS}, "'cta' is none of class_names; did you mean 'cat'"),
        ({"targets": "zebra", "class_names": ANIMALS}, "'zebra' is none of class_names$"),
        ({"class_names": ANIMALS[:9]}, "class_names must be one per class, 10 for this oracle, got 9"),
        ({"class_names": "ant"}, "class_names must be None or a list of strings"),
        ({"class_names": [*ANIMALS[:9], 9]}, "class_names must be None or a list of strings"),
        ({"class_names": dict(enumerate(ANIMALS))}, "class_names must be None or a list of strings"),
    ],
)
def test_names_that_name_no_class_are_refused(settings, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        run(**settings)


def test_a_word_is_a_name_or_an_id_and_never_both():
    assert [class_id(word, ANIMALS) for word in ("cat", " cat ", "7", "0")] == [2, 2, 7, 0]
    assert class_id("3", ["0", "1", "2", "3"]) == 3
    assert class_id("12", ["12", "13"]) == 0
    with pytest.raises(dfa.InvalidInputError, match="'1' is an id, and the name of class 0 too"):
        class_id("1", ["1", "2", "3"])
    with pytest.raises(dfa.InvalidInputError, match="'crane' stands for classes 1, 2"):
        class_id("crane", ["ant", "crane", "crane"])
    assert parse_class_names(np.array(["a", "b"])) == ("a", "b")


# ------------------------------------------------------------------------------------------- the report


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from dfa.views.report import write_report

    folder = tmp_path_factory.mktemp("names") / "run"
    names = [HOSTILE, *FILES[1:]]
    run(store=folder, names=names, class_names=[f"{NOT_A_CLASS}{each}" for each in range(10)])
    return write_report(folder).read_text()


def shown(name):
    """A name as it stands in HTML: what does not print is an escape."""
    entities = {ord(each): f"&{code};" for each, code in zip("&<>'\"", ENTITIES, strict=True)}
    return name.translate(entities | {ord("\x07"): r"\x07"})


def test_a_report_shows_names_as_text(page):
    body = re.search(r'class="sortable".*?<tbody>(.*?)</tbody>', page, re.DOTALL).group(1)
    assert f'<td class="text wide">{shown(HOSTILE)}</td>' in body
    assert f'<td class="name">{shown(NOT_A_CLASS)}{CLASSES[1]}</td>' in body
    assert f"<b>{shown(NOT_A_CLASS)}" in page
    assert all(f'<td class="text wide">{file}</td>' in body for file in FILES[1:])
    assert '<th class="text wide">source</th>' in page
    assert f"original, class {shown(NOT_A_CLASS)}" in page


def test_no_name_becomes_markup_or_a_formula(page):
    assert page.count("<script>") == 1
    svg = re.search(r"<svg[^>]*queries of each image.*?</svg>", page, re.DOTALL).group(0)
    # A character that no SVG may hold is a space.
    words = re.findall(r"<text[^>]*>([^<]*script[^<]*)<", svg)
    assert words
    assert {re.sub(r"^\d+: |\d*$", "", each) for each in words} == {'$x^{2$ &lt;script&gt;&amp;"'}


def test_a_report_without_names_has_no_column_for_them(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from dfa.views.report import write_report

    run(store=tmp_path)
    assert ">source<" not in write_report(tmp_path).read_text()


# -------------------------------------------------------------------------------------- the command line


@pytest.fixture
def here(tmp_path, monkeypatch):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from command_line import go_to_workplace

    folder = go_to_workplace(tmp_path, monkeypatch)
    (folder / "animals.txt").write_text("\ufeff" + "\n".join(ANIMALS) + "\n", encoding="utf-8")
    return folder


def attack(capsys, *words):
    from command_line import dfa_says

    more = ("--out", "run", "--max-queries", 60, "--allow-missing", 1, "--json")
    return dfa_says(capsys, "attack", "model.py:classify", *words, *more)


def test_a_command_keeps_the_files_names_and_its_resumption_too(here, capsys):
    assert attack(capsys, "photos", "--class-names", "animals.txt")[0] == 0
    files = [f"p{index}.jpg" for index in range(10)]
    result = dfa.Result.load("run")
    assert sources(result) == files
    assert result.class_name(3) == "dog"
    from command_line import dfa_says

    assert dfa_says(capsys, "resume", "run", "--trust", "--json")[0] == 0
    assert sources(dfa.Result.load("run")) == files


def test_files_of_one_name_in_several_folders_are_told_apart(here, capsys):
    for folder in ("a", "b"):
        (here / "tree" / folder).mkdir(parents=True)
        image = random_images(1, SHAPE, seed=ord(folder))[0]
        PIL.Image.fromarray(image).save(here / "tree" / folder / "x.png")
    (here / "labels.csv").write_text("file,label\nx.png,1\n")
    status, _, err = attack(capsys, "tree/**/*.png", "--labels", "labels.csv")
    assert status == 2
    assert "must name files as they lie in the folder, such as a/x.png" in err
    (here / "labels.csv").write_text("file,label\nb/x.png,1\na/x.png,2\n")
    assert attack(capsys, "tree/**/*.png", "--labels", "labels.csv")[0] == 0
    records = dfa.Result.load("run").records
    assert [(record.source, record.label) for record in records] == [("a/x.png", 2), ("b/x.png", 1)]


def test_tables_and_targets_may_hold_names(here, capsys):
    rows = "".join(f"p{index}.jpg,{ANIMALS[index]},{ANIMALS[(index + 1) % 10]}\n" for index in range(10))
    (here / "labels.csv").write_text(f"file,label,target\n{rows}")
    words = ("--labels", "labels.csv", "--target", "labels.csv")
    status, _, err = attack(capsys, "photos", *words)
    assert status == 2
    assert "row 1 holds" in err
    assert "names need --class-names" in err
    assert attack(capsys, "photos", *words, "--class-names", "animals.txt")[0] == 0
    records = dfa.Result.load("run").records
    assert [record.label for record in records] == list(range(10))
    status = attack(capsys, "photos", "--target", "class:cat", "--class-names", "animals.txt", "--overwrite")[0]
    assert status == 0
    assert {record.target for record in dfa.Result.load("run").records} == {2}
    np.save(here / "labels.npy", np.array(ANIMALS))
    words = ("--labels", "labels.npy", "--class-names", "animals.txt", "--overwrite")
    assert attack(capsys, "photos", *words)[0] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ant\n\nbee\n", "must hold a class name in every line, and line 2 is empty"),
        (b"", "must hold a class name in every line, and line 1 is empty"),
        (b"caf\xe9\n", "is not UTF-8 text"),
        (b"ant\nbee\n", "--class-names must be one per class, 10 for this oracle, got 2"),
    ],
)
def test_a_file_of_class_names_that_is_none_is_told_of(here, capsys, content, message):
    (here / "names.txt").write_bytes(content)
    status, _, err = attack(capsys, "photos", "--class-names", "names.txt")
    assert status == 2
    assert message in err


@pytest.mark.skipif(not hasattr(__import__("os"), "mkfifo"), reason="file names of bytes")
def test_a_file_whose_name_is_no_text_is_attacked_like_any_other(here, capsys):
    try:
        (here / "photos" / BYTES).write_bytes((here / "photos" / "p0.jpg").read_bytes())
    except OSError:
        pytest.skip("this file system takes text alone")
    assert attack(capsys, "photos")[0] == 0
    assert sources(dfa.Result.load("run"))[0] == r"caf\udce9.png"
