"""Arguments as people have them: data sets' items, NumPy's numbers, one-hot labels; and what no argument can be."""

from __future__ import annotations

import dataclasses
import inspect
import json

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.space import core_spaces
from oracles import LazyImages, LinearClassifier, Recorder, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(4, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)
VECTORS = IMAGES / 255


def ask_vectors(vectors):
    return CLASSIFIER(np.rint(vectors * 255))


def run(images=IMAGES, *arguments, **settings):
    return dfa.run(CLASSIFIER, images, *arguments, **{"max_queries": 20, "progress": False, **settings})


def refuse(match, call, *arguments, **settings):
    with pytest.raises(dfa.InvalidInputError, match=match):
        call(*arguments, **settings)


# ------------------------------------------------------------------------------------ items of data sets


class Dataset:
    """As torchvision's: items are pairs, made when they are asked for."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return self.make(IMAGES[index], int(CLASSES[index]))


@pytest.mark.parametrize(
    "make",
    [
        lambda image, label: (image, label),
        lambda image, label: [PIL.Image.fromarray(image), label],
        lambda image, label: (image.tolist(), np.int64(label)),
        lambda image, label: (image, np.eye(10)[label]),
        lambda image, label: (image / 255, "cat"),
    ],
    ids=["tuple", "pillow", "lists", "one-hot", "word"],
)
def test_pairs_of_image_and_label_are_told_how_to_take_them_apart(make):
    data = Dataset(make)
    image = r"(np\.asarray\(image\)|\(np\.asarray\(image\) \* 255\)\.round\(\)\.astype\('uint8'\))"
    cure = rf"pass images=\[{image} for image, _ in data\], labels=\[label for _, label in data\]"
    refuse(rf"image 0: it must be an array alone, and is a pair \(\w+, \w+\); {cure}", run, data)
    refuse(cure, dfa.audit, CLASSIFIER, data, VECTORS, claimed=[True] * 4)


def test_the_cure_of_pairs_mends_them():
    data = Dataset(lambda image, label: (PIL.Image.fromarray(image), label))
    mended = run([np.asarray(image) for image, _ in data], [label for _, label in data])
    assert [record.label for record in mended.records] == CLASSES.tolist()


def test_two_rows_of_pixels_are_no_pair():
    rows = [[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [1, 1, 1]]]]
    refuse("image 0 must be uint8", run, rows)


def test_dicts_are_told_how_to_take_them_apart():
    data = Dataset(lambda image, label: {"image": PIL.Image.fromarray(image), "label": label})
    cure = r"images=\[np\.asarray\(each\['image'\]\) for each in data\], labels=\[each\['label'\] for each in data\]"
    refuse(rf"is a dict of 'image', 'label'; pass {cure}", run, data)
    mended = run([np.asarray(each["image"]) for each in data], [each["label"] for each in data])
    assert [record.label for record in mended.records] == CLASSES.tolist()
    other = Dataset(lambda image, label: {"picture": image})
    refuse(
        r"is a dict of 'picture'; pass images=\[np\.asarray\(each\['picture'\]\) for each in data\](;|$)", run, other
    )
    refuse("is a dict of nothing", run, Dataset(lambda image, label: {}))


def test_a_dict_of_columns_is_told_its_column():
    refuse(r"are a dict of 'label', 'img'; pass data\['img'\]", run, {"label": CLASSES, "img": IMAGES})


def test_images_of_pillow_are_taken():
    assert len(run([PIL.Image.fromarray(image) for image in IMAGES]).records) == 4
    grey = [PIL.Image.fromarray(image[:, :, 0]) for image in IMAGES]
    refuse(r"image 0 must be uint8.*needs its channel, image\[\.\.\., None\]", run, grey)


def test_float_items_of_channels_first_are_told_both():
    items = LazyImages((IMAGES / 255).transpose(0, 3, 1, 2))
    refuse(r"transpose \(C, H, W\) with image\.transpose\(1, 2, 0\); convert with", run, items)


# ------------------------------------------------------------------------------------ labels and targets


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_])
def test_one_hot_labels_and_targets_are_told_of_argmax(dtype):
    one_hot = np.eye(10, dtype=dtype)[CLASSES]
    refuse(r"labels must be .*they look one-hot, so pass np\.asarray\(labels\)\.argmax\(1\)", run, IMAGES, one_hot)
    refuse(r"targets must be .*pass np\.asarray\(targets\)\.argmax\(1\)", run, targets=one_hot)
    refuse(r"argmax\(1\)", dfa.audit, CLASSIFIER, IMAGES, VECTORS, one_hot, claimed=[True] * 4)
    assert np.array_equal(np.asarray(one_hot).argmax(1), CLASSES)


def test_a_column_and_whole_floats_are_told_of_their_cure():
    refuse(r"take the one column, np\.asarray\(labels\)\[:, 0\]", run, IMAGES, CLASSES[:, None])
    refuse(r"pass np\.asarray\(labels\)\.astype\(int\)", run, IMAGES, CLASSES * 1.0)
    refuse(r"got float64 of shape \(4,\)$", run, IMAGES, CLASSES + 0.5)
    refuse(r"got int64 of shape \(4, 2\)$", run, IMAGES, np.zeros((4, 2), dtype=np.int64))


# -------------------------------------------------------------------------------------- NumPy's numbers


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"seed": np.uint64(2**64 - 1)}, {"seed": 2**64 - 1}),
        ({"max_queries": np.int32(30)}, {"max_queries": 30}),
        ({"max_seconds": np.float32(64)}, {"max_seconds": 64.0}),
        ({"max_seconds": np.int64(64)}, {"max_seconds": 64}),
        ({"batch_size": np.uint8(3)}, {"batch_size": 3}),
        ({"threads": np.int16(1)}, {"threads": 1}),
        ({"epsilon": np.int8(9)}, {"epsilon": 9}),
        ({"targets": np.int64(3)}, {"targets": 3}),
        ({"targets": dfa.rank(np.int64(3))}, {"targets": dfa.rank(3)}),
        ({"confirmations": np.int64(2)}, {"confirmations": 2}),
        ({"confirmations": dfa.Confirmation(np.int64(1), np.int64(2))}, {"confirmations": dfa.Confirmation(1, 2)}),
        ({"ids": np.arange(4, dtype=np.uint16)}, {"ids": [0, 1, 2, 3]}),
        ({"progress": np.bool_(False)}, {"progress": False}),
        ({"space": dfa.Pixels(np.int64(2))}, {"space": dfa.Pixels(2)}),
        ({"space": dfa.Rectangle(np.int64(2), np.int8(3), np.uint8(4))}, {"space": dfa.Rectangle(2, 3, 4)}),
        ({"space": dfa.TinyRectangles(np.int64(2), (np.int64(1), 2))}, {"space": dfa.TinyRectangles(2, (1, 2))}),
        ({"space": dfa.LinfBall(np.int64(5))}, {"space": dfa.LinfBall(5)}),
    ],
)
def test_numpy_numbers_are_taken_for_what_they_say(tmp_path, given, plain):
    for folder, settings in (("given", given), ("plain", plain)):
        run(store=tmp_path / folder, **settings)
    configs = [json.loads((tmp_path / each / "run.json").read_text())["config"] for each in ("given", "plain")]
    assert configs[0] == configs[1]
    results = [dfa.Result.load(tmp_path / each) for each in ("given", "plain")]
    assert [each.queries for each in results[0].records] == [each.queries for each in results[1].records]


def test_a_racos_of_numpy_numbers_equals_that_of_python():
    given = dfa.Racos(
        samples=np.int64(2),
        window_share=np.float64(0.25),
        window_halvings=np.array([5, 9]),
        rest_ratio=np.float32(0.5),
        improvements=np.int64(0),
        archive=np.bool_(False),
        shape=np.str_("window"),
        starts=np.int8(3),
    )
    plain = dfa.Racos(
        samples=2, window_share=0.25, window_halvings=(5, 9), rest_ratio=0.5, improvements=0, archive=False, starts=3
    )
    assert given == plain
    assert repr(given) == repr(plain)
    assert dfa.Racos.paper(coordinates=np.float32(0.5)).coordinates == 0.5
    assert len(run(optimizer=given).records) == 4


def test_an_audit_and_a_verification_take_numpy_numbers(tmp_path):
    report = dfa.audit(
        CLASSIFIER,
        IMAGES,
        VECTORS,
        vector_oracle=ask_vectors,
        epsilon=np.float32(8),
        seed=np.int64(1),
        batch_size=np.int64(3),
        threads=np.int64(1),
    )
    assert len(report.records) == 4
    run().save(tmp_path)
    assert dfa.verify(tmp_path, CLASSIFIER, batch_size=np.int64(3), epsilon=np.int64(10)).holds


# ----------------------------------------------------------------------------------- what is no argument

JUNK = [
    "x",
    b"x",
    1.5,
    float("nan"),
    -1,
    10**40,
    [[1], [2, 3]],
    {"a": 1},
    object(),
    np.array([1.5, 2]),
    np.array(3),
    np.array(None),
    np.datetime64("2020"),
    1j,
    {1},
    range(3),
    iter([1]),
    int,
]
RACOS = [each.name for each in dataclasses.fields(dfa.Racos)]
SPACES = [(kind, each.name) for kind in core_spaces().values() for each in dataclasses.fields(kind)]


def only_says_so(call):
    """Give junk to a call: it is taken, or refused in dfa's words; no other error comes of it."""
    refusals = 0
    for junk in JUNK:
        try:
            call(junk)
        except (dfa.InvalidInputError, dfa.StoreError):
            refusals += 1
    assert refusals >= 8


@pytest.mark.parametrize("name", sorted({*inspect.signature(dfa.run).parameters} - {"oracle", "objective", "progress"}))
def test_no_argument_of_a_run_ends_in_an_error_of_another_kind(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    only_says_so(lambda junk: run(**{"images": IMAGES, "optimizer": dfa.Racos(archive=False), name: junk}))


@pytest.mark.parametrize("name", RACOS)
def test_no_field_of_racos_ends_in_an_error_of_another_kind(name):
    only_says_so(lambda junk: dfa.Racos(**{name: junk}))


@pytest.mark.parametrize(("kind", "name"), SPACES)
def test_no_field_of_a_space_ends_in_an_error_of_another_kind(kind, name):
    only_says_so(lambda junk: run(space=kind(**{name: junk}), max_queries=110))


@pytest.mark.parametrize("name", ["low", "high", "render", "measure", "mask"])
def test_no_field_of_a_users_space_ends_in_an_error_of_another_kind(name):
    if name == "mask":
        only_says_so(lambda junk: dfa.LinfBall(5, junk).bind(4, SHAPE))
    else:
        fields = {"low": [-3] * 5, "high": [3] * 5, "render": lambda rows, x: rows + x}
        only_says_so(lambda junk: dfa.Custom(**{**fields, name: junk}).bind(4, (5,)))


@pytest.mark.parametrize("function", [dfa.audit, dfa.repair])
def test_no_argument_of_an_audit_ends_in_an_error_of_another_kind(function):
    names = {*inspect.signature(function).parameters} - {"oracle", "vector_oracle", "objective", "normalizer"}
    for name in sorted(names):
        more = {"max_queries": 2} if function is dfa.repair else {}
        given = {"originals": IMAGES, "vectors": VECTORS, "vector_oracle": ask_vectors, **more}
        only_says_so(lambda junk, given=given, name=name: function(CLASSIFIER, **{**given, name: junk}))


@pytest.mark.parametrize("name", ["folder", "originals", "epsilon", "confirmations", "batch_size"])
def test_no_argument_of_a_verification_ends_in_an_error_of_another_kind(tmp_path, name):
    run().save(tmp_path / "run")
    given = {"folder": tmp_path / "run", "oracle": CLASSIFIER}
    only_says_so(lambda junk: dfa.verify(**{**given, name: junk}))


@pytest.mark.parametrize("progress", ["no", 1, None, [], np.array([True, False])])
def test_progress_is_a_flag_or_a_function(progress):
    oracle = Recorder(CLASSIFIER)
    refuse("progress .*must be True or False, got", dfa.run, oracle, IMAGES, progress=progress)
    assert oracle.num_images == 0


@pytest.mark.parametrize("name", ["overwrite", "resume"])
def test_a_word_is_no_flag(tmp_path, name):
    refuse(f"{name} must be True or False, got 'no'", run, store=tmp_path, **{name: "no"})


def test_targets_of_an_attack_of_another_shape_are_refused():
    refuse(r"one per image, shape \(4,\)", dfa.audit_attack, None, CLASSIFIER, IMAGES, CLASSES, targets=[1, 2])
    refuse("must be class ids", dfa.audit_attack, None, CLASSIFIER, IMAGES, CLASSES, targets=dfa.rank(3))


# ------------------------------------------------------------------------------------ masked arrays


@pytest.mark.parametrize(
    "call",
    [
        lambda: run(np.ma.array(IMAGES, mask=IMAGES > 200)),
        lambda: run(list(np.ma.array(IMAGES, mask=IMAGES > 200))),
        lambda: run(labels=np.ma.array(CLASSES, mask=[0, 0, 0, 1])),
        lambda: run(targets=np.ma.array(CLASSES, mask=[0, 0, 0, 1])),
        lambda: run(ids=np.ma.array(CLASSES, mask=[0, 0, 0, 1])),
        lambda: run(epsilon=np.ma.array([8] * 4, mask=[0, 0, 0, 1])),
        lambda: run(space=dfa.LinfBall(8, mask=np.ma.array(np.ones(SHAPE, bool), mask=IMAGES[0] > 200))),
        lambda: dfa.repair(CLASSIFIER, IMAGES, VECTORS, epsilon=np.ma.array([8] * 4, mask=[0, 0, 0, 1])),
        lambda: dfa.audit(CLASSIFIER, IMAGES, np.ma.array(VECTORS, mask=VECTORS > 0.8), vector_oracle=ask_vectors),
        lambda: dfa.audit(CLASSIFIER, IMAGES, VECTORS, claimed=np.ma.array([True] * 4, mask=[0, 0, 0, 1])),
        lambda: dfa.audit(
            CLASSIFIER,
            IMAGES,
            VECTORS,
            vector_oracle=ask_vectors,
            normalizer=(lambda levels: np.ma.masked_greater(levels / 255, 0.8), lambda vectors: vectors * 255),
        ),
    ],
)
def test_masked_values_are_no_argument(call):
    refuse(r"must have no masked values, .*values\.filled\(0\)", call)


def test_masked_values_are_no_answer_about_vectors():
    def ask(vectors):
        return np.ma.masked_less(ask_vectors(vectors), 0.01)

    with pytest.raises(dfa.OracleError, match="masked array"):
        dfa.audit(CLASSIFIER, IMAGES, VECTORS, vector_oracle=ask)


@pytest.mark.parametrize(
    ("size", "share"), [((99, 300, 3), 0.1), ((300, 99, 3), 0.1), ((100, 100, 1), 0.05), ((1, 40_000, 2), 0.1)], ids=str
)
def test_windows_begin_smaller_on_large_images(size, share):
    assert dfa.Racos().first_windows(size) == share
    assert dfa.Racos(window_share=0.2).first_windows(size) == 0.2
    moving = dataclasses.replace(dfa.Pixels(3).optimizer(), window_share=None)
    assert moving.first_windows(size) == 0.1
