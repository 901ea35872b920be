"""Image files and trees of folders as data: order, names, labels, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import PIL.Image
import pytest

import dfa
from command_line import dfa_says, go_to_workplace
from dfa.data import folders
from dfa.data.folders import open_folder
from oracles import LinearClassifier, random_images

SHAPE = (8, 7, 3)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = np.array([3, 3, 7, 0, 0, 0])
FILES = ["bee/0/z.png", "bee/1.png", "cat/2.png", "dog/3.png", "dog/4.png", "dog/5.png"]
LABELS = [3, 3, 2, 0, 0, 0]
"""By their folders, as the classifier's classes are called; image 2 lies in another folder than it looks like."""
NAMES = ["dog", "ant", "cat", "bee", "eel", "fox", "gnu", "hen", "ibis", "jay"]


def of_classes(classes):
    """Images that the classifier finds to be of these classes."""
    many = random_images(1_000, SHAPE)
    found = CLASSIFIER.classes(many)
    places = [np.flatnonzero(found == each)[index] for index, each in enumerate(classes)]
    return many[places]


IMAGES = of_classes(CLASSES)


def run(images, **settings):
    settings = {"max_queries": 60, "epsilon": 12, "progress": False, **settings}
    return dfa.run(CLASSIFIER, images, **settings)


@pytest.fixture
def tree(tmp_path):
    """A folder for each of three classes."""
    top = tmp_path / "photos"
    for name, image in zip(FILES, IMAGES, strict=True):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(image).save(top / name)
    (top / "dog" / "notes.txt").write_text("no image")
    (top / "readme.txt").write_text("no class")
    (top / ".cache").mkdir()
    (top / "dog" / ".hidden").mkdir()
    PIL.Image.fromarray(IMAGES[0]).save(top / "dog" / ".hidden" / "0.png")
    return top


def test_a_tree_is_its_images_with_labels_and_names(tree):
    images = dfa.data.image_folder(tree)
    assert images.names == FILES
    assert images.labels.tolist() == [0, 0, 1, 2, 2, 2]
    assert images.class_names == ["bee", "cat", "dog"]
    assert [images[index].tolist() for index in range(len(images))] == IMAGES.tolist()


def test_folders_are_called_as_the_model_calls_its_classes_or_by_an_id(tree):
    assert dfa.data.image_folder(tree, NAMES).labels.tolist() == LABELS
    (tree / "cat").rename(tree / "9")
    assert dfa.data.image_folder(tree, class_names=NAMES).labels.tolist() == [9, 3, 3, 0, 0, 0]


def test_every_folder_that_is_no_class_is_told_of(tree):
    with pytest.raises(dfa.InvalidInputError, match=r"these are not: 'cat', 'dog'; .*did you mean 'cats'\?"):
        dfa.data.image_folder(tree, class_names=["bee", "cats"])
    (tree / "cat").rename(tree / "10")
    with pytest.raises(dfa.InvalidInputError, match=r"these are not: '10'; there are 10 classes, and no class 10"):
        dfa.data.image_folder(tree, class_names=NAMES)


def test_what_is_no_tree_of_classes_is_refused(tree, tmp_path):
    told = r"such as cat/cat/1\.png, and has no folder, but 1 image; put each image into .*: dfa\.data\.image_files"
    with pytest.raises(dfa.InvalidInputError, match=told):
        dfa.data.image_folder(tree / "cat")
    with pytest.raises(dfa.InvalidInputError, match="No such file"):
        dfa.data.image_folder(tmp_path / "nowhere")
    (tree / "alone" / "cat").mkdir(parents=True)
    PIL.Image.fromarray(IMAGES[0]).save(tree / "alone" / "cat" / "0.png")
    with pytest.raises(dfa.InvalidInputError, match="has only 'cat'; pass class_names="):
        dfa.data.image_folder(tree / "alone")
    assert dfa.data.image_folder(tree / "alone", NAMES).names == ["cat/0.png"]
    shutil.rmtree(tree / "alone")
    (tree / "eel").mkdir()
    with pytest.raises(dfa.InvalidInputError, match="none are in 'eel'"):
        dfa.data.image_folder(tree)
    assert len(dfa.data.image_folder(tree, NAMES)) == 6  # no other class has its id because of it
    PIL.Image.fromarray(IMAGES[0]).save(tree / "loose.png")
    with pytest.raises(dfa.InvalidInputError, match=r"beside the folders lie 'loose\.png'"):
        dfa.data.image_folder(tree)


def test_files_are_resized_and_turned_grey(tree):
    assert dfa.data.image_folder(tree, channels="grey", size=(4, 5))[0].shape == (4, 5, 1)
    assert dfa.data.image_files(tree / "dog", channels="grey", size=(4, 5))[0].shape == (4, 5, 1)


def test_a_folder_and_a_glob_are_images_without_labels(tree):
    images = dfa.data.image_files(tree / "dog")
    assert (images.names, images.labels, images.class_names) == (["3.png", "4.png", "5.png"], None, None)
    assert dfa.data.image_files(str(tree / "**" / "*.png")).names == FILES
    assert np.array_equal(images[1], IMAGES[4])


def test_what_the_images_know_is_on_the_records(tree):
    result = run(dfa.data.image_folder(tree, NAMES))
    assert [each.source for each in result.records] == FILES
    assert [each.label for each in result.records] == LABELS
    assert result.config["class_names"] == tuple(NAMES)
    assert [each.reason for each in result.records] == ["", "", "misclassified", "", "", ""]


def test_arguments_that_are_given_win(tree):
    result = run(dfa.data.image_folder(tree, NAMES), labels=CLASSES, names=list("abcdef"), class_names=NAMES[::-1])
    assert [each.source for each in result.records] == list("abcdef")
    assert [each.label for each in result.records] == CLASSES.tolist()
    assert result.config["class_names"] == tuple(NAMES[::-1])


def test_labels_can_be_left_out(tree):
    result = run(dfa.data.image_folder(tree).without_labels())
    assert [each.label for each in result.records] == [None] * 6
    assert [each.source for each in result.records] == FILES
    assert result.config["class_names"] is None


def test_labels_of_other_classes_are_refused_with_the_ways_out(tree):
    with pytest.raises(
        dfa.InvalidInputError, match=r"10 for this oracle, got 3; these came with the images.*without_la"
    ):
        run(dfa.data.image_folder(tree))
    with pytest.raises(dfa.InvalidInputError, match=r"10 for this oracle, got 3$"):
        run(dfa.data.image_folder(tree), class_names=["a", "b", "c"])


class TestLabelsInOtherNames:
    """Labels of the data become ids of `class_names` by their names, where these are the same names elsewhere."""

    def labels(self, own, class_names, labels=(0, 1, 2, 2)):
        images = dfa.data.ImageSet(IMAGES[:4], labels=labels, class_names=own)
        found = images.labels_in(class_names)
        assert images.labels.tolist() == list(labels)
        return found.tolist()

    def test_in_another_order(self):
        assert self.labels(["bee", "cat", "dog"], NAMES) == [3, 2, 0, 0]
        assert self.labels(["bee", "cat", "dog"], NAMES, [-1, 1, -1, 0]) == [-1, 2, -1, 3]

    def test_a_class_without_images_need_not_be_there(self):
        assert self.labels(["bee", "cat", "dog", "yak"], NAMES) == [3, 2, 0, 0]

    def test_in_other_words(self):
        words = [f"n{index}" for index in range(10)]
        assert self.labels(words, NAMES) == [0, 1, 2, 2]
        assert self.labels(["n0", "n1", "cat", *words[3:]], NAMES) == [0, 1, 2, 2]

    @pytest.mark.parametrize("own", [["bee", "yak", "dog"], ["dog", "yak", "cat"], ["bee", "yak", "dog", *NAMES[3:]]])
    def test_some_elsewhere_or_fewer_and_one_nowhere(self, own):
        with pytest.raises(dfa.InvalidInputError, match=r"class_names has other .* and lacks 'yak'; pass labels="):
            self.labels(own, NAMES)

    def test_a_name_of_two_classes_is_nowhere(self):
        with pytest.raises(dfa.InvalidInputError, match="lacks 'crane'"):
            self.labels(["crane", "x", "b"], ["x", "crane", "b", "crane"])

    def test_through_a_run(self, tree):
        result = run(dfa.data.image_folder(tree), class_names=NAMES)
        assert [each.label for each in result.records] == LABELS


@pytest.mark.parametrize("labels", [[0.5] * 6, [0] * 5, [0, 0, 0, 0, 0, -2], ["a"] * 6])
def test_labels_that_are_no_class_ids_are_refused(labels):
    with pytest.raises(
        dfa.InvalidInputError, match=r"own labels must be integer class ids of shape \(6,\).*without_lab"
    ):
        run(dfa.data.ImageSet(IMAGES, labels=labels))
    assert len(run(dfa.data.ImageSet(IMAGES, labels=labels).without_labels()).records) == 6


def test_the_layout_of_a_set_is_told_where_it_is_made():
    with pytest.raises(dfa.InvalidInputError, match=r"dfa\.data\.as_images\(data, layout='NCHW'\)"):
        run(dfa.data.ImageSet(IMAGES), layout="NCHW")
    turned = dfa.data.as_images(IMAGES.transpose(0, 3, 1, 2), layout="NCHW")
    assert np.array_equal(turned.images, IMAGES)
    assert len(run(turned).records) == 6


def test_a_run_of_a_tree_is_resumed(tree, tmp_path):
    whole = run(dfa.data.image_folder(tree, NAMES), store=tmp_path / "run")
    again = run(dfa.data.image_folder(tree, NAMES), store=tmp_path / "run", resume=True)
    assert [each.source for each in again.records] == [each.source for each in whole.records] == FILES
    PIL.Image.fromarray(IMAGES[0]).save(tree / "dog" / "4.png")
    with pytest.raises(dfa.StoreError, match="image 4"):
        run(dfa.data.image_folder(tree, NAMES), store=tmp_path / "run", resume=True)


# ------------------------------------------------------------------------------------------------ command line


@pytest.fixture
def place(tree, tmp_path, monkeypatch):
    """A folder to be in, with a model, the tree, and a file of the model's classes."""
    pytest.importorskip("click")
    pytest.importorskip("rich")
    photos = tree.rename(tmp_path / "tree")
    here = go_to_workplace(tmp_path, monkeypatch)
    photos.rename(here / "classes")
    (here / "names.txt").write_text("\n".join(NAMES))
    return here


WORDS = ("model.py:classify", "classes", "--labels", "folders", "--max-queries", "60", "--out", "run")


def test_the_command_line_takes_folders_as_labels(place, capsys):
    words = ("--class-names", "names.txt", "--allow-missing", "1", "--json")
    status, out, _ = dfa_says(capsys, "attack", *WORDS, *words)
    assert status == 0
    result = dfa.Result.load(place / "run")
    assert [each.source for each in result.records] == FILES
    assert [each.label for each in result.records] == LABELS
    assert result.config["class_names"] == NAMES
    assert json.loads(out)["summary"]["total"] == 6
    words = ("resume", "run", "--model", "model.py:classify", "--images", "classes", "--trust", "--json")
    assert dfa_says(capsys, *words)[0] in (0, 5)


def test_the_command_line_says_what_folders_need(place, capsys):
    status, _, err = dfa_says(capsys, "attack", *WORDS)
    assert (status, "pass the oracle's --class-names, or leave out --labels folders" in err) == (2, True)
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "classes/*/*.png", "--labels", "folders")
    assert (status, "--labels folders needs a folder with a folder for each class" in err) == (2, True)
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "classes", "--out", "other")
    assert (status, "where each is a class, dfa attack --labels folders takes them" in err) == (2, True)
    (place / "names.txt").write_text("bee\ncat")
    status, _, err = dfa_says(capsys, "attack", *WORDS, "--class-names", "names.txt")
    assert (status, "these are not: 'dog'" in err) == (2, True)


def test_the_words_of_the_model_go_before_those_of_the_folders(place, capsys):
    (place / "named.py").write_text(
        "import dfa\nfrom test_data_folders import CLASSIFIER, NAMES\n"
        "oracle = dfa.as_oracle(CLASSIFIER)\noracle.class_names = tuple(NAMES)\n"
    )
    words = ("--target", "class:bee", "--json")
    status, _, _ = dfa_says(capsys, "attack", "named.py:oracle", *WORDS[1:], *words)
    result = dfa.Result.load(place / "run")
    assert [each.label for each in result.records] == LABELS
    assert [each.target for each in result.records] == [3] * 6
    assert status == 0


def test_a_target_may_be_called_as_a_folder(place, capsys):
    status, _, err = dfa_says(capsys, "attack", *WORDS, "--target", "class:yak")
    assert (status, "'yak' is none of --class-names" in err) == (2, True)


def test_an_audit_takes_folders_as_labels(place, capsys):
    np.save(place / "vectors.npy", IMAGES / 255)
    (place / "ours.py").write_text(
        "from test_data_folders import CLASSIFIER\n\n\ndef floats(v):\n    return CLASSIFIER(v * 255)\n"
    )
    words = ("--vector-model", "ours.py:floats", "--labels", "folders", "--class-names", "names.txt", "--json")
    status, out, _ = dfa_says(capsys, "audit", "ours.py:CLASSIFIER", "classes", "vectors.npy", *words)
    assert (status, json.loads(out)["audits"][0]["attacked"]) == (0, 5)  # all but image 2


def test_a_run_folder_cannot_make_a_whole_disk_be_searched(tree, monkeypatch):
    assert len(open_folder(tree, most=6)) == 6
    with pytest.raises(dfa.InvalidInputError, match="must hold the 5 images of the run, and holds more"):
        open_folder(tree, most=5)
    monkeypatch.setattr(folders, "MOST_OTHERS", 1)  # a folder and a text lie among the images
    with pytest.raises(dfa.InvalidInputError, match="holds more"):
        open_folder(tree, most=6)
