"""What a notebook and a terminal show of a result."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dfa
from dfa.runs.documents import RunDocument
from dfa.space import core_spaces
from dfa.views.verdict import allowed, words_of
from oracles import LinearClassifier, random_images

SHAPE = (6, 5, 3)
IMAGES = random_images(12, SHAPE)
HOSTILE = "<script>alert(1)</script>\n&\"'"
EPSILON = 10


@pytest.fixture(scope="module")
def result():
    return dfa.run(
        LinearClassifier(SHAPE),
        IMAGES,
        epsilon=EPSILON,
        max_queries=60,
        progress=False,
        names=[HOSTILE] * len(IMAGES),
        class_names=[f"{HOSTILE}{number}" for number in range(10)],
    )


@pytest.mark.parametrize("kind", core_spaces())
def test_there_are_words_for_what_each_space_allows(kind):
    bound = core_spaces()[kind]().bind(2, (16, 16, 3))
    words = allowed(bound.describe())
    assert re.fullmatch(r"(changes|an?|one|\d+|other|tiles|shifts) [\w ,()]+", words)
    assert core_spaces()[kind].__name__ not in words


@pytest.mark.parametrize(
    ("epsilon", "words"),
    [
        (1, "changes of at most 1 grey level"),
        ([3, 5], "changes of at most 3 to 5 grey levels"),
        (None, "changes"),
        ({"dtype": "uint8"}, "changes of at most an epsilon given per image"),
    ],
)
def test_there_are_words_for_any_epsilon(epsilon, words):
    assert allowed({"epsilon": epsilon}) == words


def test_a_target_is_said_to_be_one():
    result = dfa.run(LinearClassifier(SHAPE), IMAGES, targets=dfa.rank(2), epsilon=40, max_queries=99, progress=False)
    told = words_of(result, result.summary()).verdict
    assert re.match(r"\d+ of 12 images were taken for the class aimed at, by changes of at most 40 grey levels ", told)


def test_a_data_set_is_called_as_its_folder_is():
    result = dfa.run(
        LinearClassifier(SHAPE),
        IMAGES[:2],
        max_queries=9,
        progress=False,
        names=["a/animals/cat/1.png", "a/animals/2.png"],
    )
    assert words_of(result, result.summary()).data == "animals"
    about = RunDocument({}, command={"images": "/data/photos.npz"}, created="2026-02-03T04:05:06+00:00")
    words = words_of(result, result.summary(), about)
    assert (words.data, words.date) == ("photos", "3 February 2026")
    assert " 2 images of photos fell" in words.verdict
    of_its_own_name = RunDocument({}, command={"images": "images.npz"}, created="2026-02-03T04:05:06+00:00")
    assert " 2 images fell" in words_of(result, result.summary(), of_its_own_name).verdict


def test_a_notebook_shows_the_verdict_figures_and_six_pictures(result):
    html = result._repr_html_()
    number = int(result.success.sum())
    assert 6 < number < 12
    assert f"<b>{number} of 12 images of &lt;script&gt;alert(1)&lt; fell to changes of at most 10 grey levels " in html
    assert "12 of 12, untargeted</td>" in html
    assert html.count('<img src="data:image/png;base64,') == 6
    assert html.count("&lt;script&gt;alert(1)") == 1 + 4 * 6
    assert not set(re.findall(r"<(\w+)", html)) - {"div", "p", "b", "table", "tr", "td", "figure", "img", "figcaption"}
    assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', "", html))


def test_a_notebook_shows_a_result_of_which_nothing_is_left():
    result = dfa.run(LinearClassifier(SHAPE), IMAGES[:2], max_queries=2, epsilon=1, progress=False)
    result.originals = None
    assert "<b>None of 2 images fell to changes of at most 1 grey level within 2 queries: 0.0 %" in result._repr_html_()


def test_one_image_is_shown_as_it_was_as_it_became_and_what_differs(result):
    index = int(np.flatnonzero(result.success)[0])
    picture = np.asarray(result.show(index))
    scale = 224 // 6
    height, width = 6 * scale, 5 * scale
    top = 16 + 22
    differs = np.clip(128 + 12 * (result.images[index].astype(int) - IMAGES[index]), 0, 255)
    for place, expected in enumerate((IMAGES[index], result.images[index], differs)):
        left = 16 + place * (224 + 12) + (224 - width) // 2
        shown = picture[top : top + height, left : left + width]
        np.testing.assert_array_equal(shown, expected.repeat(scale, axis=0).repeat(scale, axis=1))
    # The words under them.
    assert (picture[top + height + 5 :] < 128).any()


def test_an_image_that_did_not_fall_is_shown_with_an_empty_frame(result):
    index = int(np.flatnonzero(~result.success)[0])
    picture = np.asarray(result.show(index - len(IMAGES)))
    np.testing.assert_array_equal(picture, np.asarray(result.show(index)))
    inside = picture[60:200, 16 + 236 + 30 : 16 + 236 + 190]
    assert (inside == 255).all()


def test_what_cannot_be_shown_is_refused(result, tmp_path):
    with pytest.raises(IndexError):
        result.show(12)
    result.save(tmp_path)
    with pytest.raises(dfa.InvalidInputError, match=r"the original of image .* must be at hand"):
        dfa.Result.load(tmp_path).show(int(np.flatnonzero(~result.success)[0]))


def test_a_record_is_printed_in_five_lines(result):
    record = result.records[int(np.flatnonzero(result.success)[0])]
    lines = str(record).splitlines()
    assert len(lines) == 5
    assert lines[0] == f"image {record.index} ({HOSTILE!r}): success"
    share = f"{100 * record.probability_before:.1f} %"
    assert lines[1].startswith(f"class {record.class_before} ({share}) became {record.class_after} (")
    assert lines[2] == f"queries: {record.queries} to the first hit, {record.queries_sent} sent"
    assert lines[3] == f"changed: {record.l0} values, by at most {record.linf}; L2 {record.l2:.1f}"
    assert lines[4].endswith("s of the run; confirmed by 1 of 1 answers")
    assert repr(record).startswith("Record(index=")
    failure = str(result.records[int(np.flatnonzero(~result.success)[0])]).splitlines()
    assert len(failure) == 5
    assert failure[0].endswith("failure, query budget")
    assert failure[3] == "changed: nothing was found"


def test_a_report_of_10_000_images_is_below_30_megabytes(tmp_path):
    """A row of each image, and of its pictures no more than there is room for: noise, which no file makes smaller."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    noise = random_images(8, (64, 64, 3))
    result = dfa.run(
        LinearClassifier((64, 64, 3)),
        noise,
        epsilon=40,
        max_queries=60,
        progress=False,
        names=["photographs/1234.jpg"] * 8,
    )
    assert result.success.all()
    sizes = [len(result.report(tmp_path / "r.html", gallery=number).read_bytes()) for number in (0, 7, 8)]
    text = (tmp_path / "r.html").read_text()
    rows = re.search(r'class="sortable".*?<tbody>(.*?)</tbody>', text, re.DOTALL).group(1)
    of_each, of_picture = len(rows) / 8, sizes[2] - sizes[1]
    assert of_each > 300
    assert of_picture > 30_000
    assert sizes[0] + 10_000 * of_each + (240 + 6) * of_picture < 30e6
