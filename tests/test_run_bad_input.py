"""Bad input to `dfa.run` gets an error that says what was wanted and what was given, before the oracle is asked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import dfa
from oracles import LazyImages, LinearClassifier, Recorder, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(4, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)


def refuse(match, images=IMAGES, *arguments, asked=0, **settings):
    """Check that a run is refused with a message, having asked the oracle for a number of images."""
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.InvalidInputError, match=match) as caught:
        dfa.run(oracle, images, *arguments, **{"max_queries": 20, **settings})
    assert isinstance(caught.value, ValueError)
    assert oracle.num_images == asked


# ---------------------------------------------------------------------------------------------- images


def test_float_images_are_refused_with_the_way_to_convert_them():
    wanted = r"images must be uint8 of shape \(N, H, W, C\), got float64 of shape \(4, 6, 6, 3\)"
    refuse(wanted + r".*\(images \* 255\)\.round\(\)\.astype\('uint8'\) if they lie in \[0, 1\]", IMAGES / 255)
    refuse(wanted + r".*images\.round\(\)\.astype\('uint8'\) if they lie in \[0, 255\]", IMAGES * 1.0)
    refuse(r"got float32 of shape", IMAGES.astype(np.float32))
    # The conversions that the messages give do what they should.
    assert ((IMAGES / 255 * 255).round().astype("uint8") == IMAGES).all()


def test_a_pair_of_images_and_labels_is_refused():
    for labels in (CLASSES, CLASSES.tolist(), np.eye(10)[CLASSES]):
        refuse("must be the images alone, got a pair of images and their labels", (IMAGES, labels))
    # Two images are no such pair.
    assert len(dfa.run(CLASSIFIER, (IMAGES[0], IMAGES[1]), max_queries=9, progress=False).records) == 2


NO_OPTIMIZER = (
    r"optimizer must be None, a dfa\.Racos, or an object with a method begin\(task\), as dfa\.Optimizer says, got"
)


@pytest.mark.parametrize("mean", [0.3, 0.9])
def test_normalised_images_are_not_to_be_rounded(mean):
    normalised = ((IMAGES / 255 - mean) / 0.25).astype(np.float32)
    low, high = normalised.min(), normalised.max()
    wanted = (
        rf"values in {low:.3g}\.\.{high:.3g} are normalised, .*drop Normalize.*dfa\.as_oracle\(model, mean=, std=\)$"
    )
    refuse(wanted, normalised)
    refuse(rf"image 0 must be.*float32.*{wanted[-40:]}", [normalised[0]])


def test_integers_are_refused_with_the_way_to_convert_them():
    refuse(r"got int64 of shape \(4, 6, 6, 3\); convert with images\.astype\('uint8'\)$", IMAGES.astype(np.int64))
    refuse(r"image 0 must be.*got int64 .*; convert with images\.astype\('uint8'\);", list(IMAGES.astype(np.int64)))
    refuse(r"; values in -\d+\.\.\d+ are no 8-bit pixels", IMAGES.astype(np.int64) - 99)


@pytest.mark.parametrize("form", ["float32", "bfloat16", "normalised", "int64"])
def test_a_tensor_of_images_is_refused_with_what_makes_images_of_all_of_it(form):
    torch = pytest.importorskip("torch")
    scaled = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2) / np.float32(255))
    tensor, cure = {
        "float32": (scaled, r"convert with \(images \* 255\)\.round\(\)\.to\(torch\.uint8\)"),
        "bfloat16": (scaled.bfloat16(), r"convert with \(images \* 255\)"),
        "normalised": ((scaled - 0.5) / 0.25, r"are normalised"),
        "int64": ((scaled * 255).round().long(), r"convert with images\.to\(torch\.uint8\)"),
    }[form]
    got = rf"images must be uint8 of shape \(N, H, W, C\), got {'int64' if form == 'int64' else 'float32'}"
    refuse(got + rf" of shape \(4, 3, 6, 6\); they look like \(N, C, H, W\), so pass layout='NCHW'; .*{cure}", tensor)
    refuse(got + rf" of shape \(4, 6, 6, 3\); .*{cure}", tensor, layout="NCHW")
    as_told = (scaled * 255).round().to(torch.uint8)
    kept, turned = (
        dfa.run(CLASSIFIER, images, layout=layout, max_queries=20, progress=False)
        for images, layout in ((IMAGES, None), (as_told, "NCHW"))
    )
    assert turned.class_before.tolist() == kept.class_before.tolist()


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, np.bool_, np.object_])
def test_images_of_another_type_are_refused(dtype):
    refuse(rf"images must be uint8 of shape \(N, H, W, C\), got {np.dtype(dtype)} of shape", IMAGES.astype(dtype))


def test_grey_images_without_a_channel_are_refused_with_the_way_to_add_one():
    refuse(r"got uint8 of shape \(4, 6, 6\); pass images\[\.\.\., None\] for grey images", IMAGES[..., 0])
    refuse(r"images\[None\] for one image \(H, W, C\)", IMAGES[0])


@pytest.mark.parametrize("shape", [(108,), (4, 108), (2, 2, 6, 6, 3)])
def test_images_of_another_number_of_dimensions_are_refused(shape):
    refuse(r"images must be uint8 of shape \(N, H, W, C\), got uint8 of shape", np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("images", [IMAGES[:0], [], (), LazyImages([])], ids=["array", "list", "tuple", "lazy"])
def test_no_images_are_refused(images):
    refuse("images must hold at least one image, got none", images)


def test_images_without_pixels_are_refused():
    refuse(r"image 0 must be uint8 of shape \(H, W, C\), got uint8 of shape \(0, 6, 3\)", IMAGES[:, :0])


@pytest.mark.parametrize("images", [None, 3, iter(IMAGES), {0, 1}], ids=["None", "number", "iterator", "set"])
def test_what_is_no_sequence_is_refused(images):
    refuse("or a sequence of uint8 images with __len__ and __getitem__, got", images)


def test_a_sequence_whose_first_image_is_none_is_refused():
    refuse(r"image 0 must be uint8.*got float64 .*astype\('uint8'\)", list(IMAGES / 255))
    refuse(r"image 0 must be uint8 of shape \(H, W, C\), got uint8 of shape \(6, 6\)", list(IMAGES[..., 0]))
    refuse(r"images must be arrays, and 'folder/of/images' is a name; read the files", "folder/of/images")
    refuse(r"images must be arrays, and 'folder' is a name; read the files", Path("folder"))
    refuse(r"image 0: it must be an array, and 'a.png' is a name; read the files", ["a.png", "b.png"])
    refuse(r"image 0: it must be an array, and 'a.png' is a name; read the files", [Path("a.png")])

    def gone():
        raise FileNotFoundError("0.png")

    unread = LazyImages(IMAGES, dict.fromkeys(range(len(IMAGES)), gone))
    refuse(r"image 0 cannot be read: FileNotFoundError: 0\.png; nor can any other of the first \d+ images", unread)


class Tensor:
    """What is seen of a tensor of torch."""

    def __init__(self, array):
        self._array = array

    def permute(self, *axes):
        return Tensor(self._array.transpose(axes))

    def __array__(self, dtype=None, copy=None):
        return self._array


class Loader:
    """What is seen of a loader of torch."""

    dataset = ()

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 1


def test_what_is_gone_through_is_to_become_a_list():
    refuse(r"got generator; make a list of it: images=list\(images\)", (image for image in IMAGES))
    refuse(r"got Loader; pass its dataset, or a list: images=\[image for batch, _ in loader", Loader())


def test_tensors_are_told_of_as_torch_spells_it():
    first = [Tensor(image.transpose(2, 0, 1) / np.float32(255)) for image in IMAGES]
    match = r"transpose \(C, H, W\) with image\.permute\(1, 2, 0\).*\(images \* 255\)\.round\(\)\.to\(torch\.uint8\)"
    refuse(match, first)


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("is_pair", [True, False])
def test_the_way_to_take_a_data_set_apart_is_the_whole_way(scale, is_pair):
    arrays = [(image.transpose(2, 0, 1) / np.float32(scale)).astype(np.float32) for image in IMAGES]
    data = [(each, 1) if is_pair else {"image": each, "label": 1} for each in arrays]
    with pytest.raises(dfa.InvalidInputError) as caught:
        dfa.run(CLASSIFIER, data, epsilon=3, progress=False)
    cure = re.search(r"pass images=(\[.*?data\])", str(caught.value))[1]
    images = eval(cure, {"np": np, "data": data})
    assert np.array_equal(np.stack(images), IMAGES)


def test_a_first_image_that_cannot_be_attacked_is_an_error_like_any_other():
    for place in (0, 2):
        images = list(IMAGES)
        images[place] = IMAGES[place] / 255
        result = dfa.run(CLASSIFIER, images, epsilon=3, max_queries=30, progress=False)
        wrong = [record.index for record in result.records if record.status is dfa.Status.ERROR]
        assert wrong == [place]
        assert "must be uint8" in result.records[place].reason


# --------------------------------------------------------------------------------------------- epsilon


@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (0, r"one integer of 1\.\.255.*got values of 0\.\.0"),
        (256, r"one integer of 1\.\.255.*got values of 256\.\.256"),
        (-3, r"got values of -3\.\.-3"),
        (0.03, r"in grey levels.*got 0\.03 \(did you mean 8, for 8/255\?\)"),
        (8 / 255, r"did you mean 8, for 8/255\?"),
        (0.001, r"did you mean 1, for 1/255\?"),
        (np.float32(16 / 255), r"did you mean 16, for 16/255\?"),
        (8.0, r"got 8\.0 \(pass 8\)"),
        (8.5, r"got 8\.5$"),
        (float("nan"), "got nan$"),
        (True, "got True$"),
        ("8", "got '8'$"),
        (None, "got None$"),
        ([8.0] * 4, r"got dtype float64 of shape \(4,\)"),
        (np.ones(SHAPE, dtype=bool), r"got dtype bool of shape \(6, 6, 3\)"),
        ([8, 8, 8], r"one per image \(4,\).*got shape \(3,\)"),
        ([[8, 8, 8, 8]], r"got shape \(1, 4\)"),
        (np.full((6, 6), 8), r"one per coordinate \(6, 6, 3\).*got shape \(6, 6\)"),
        (np.full((6, 6, 1), 8), r"got shape \(6, 6, 1\)"),
        (np.full((3, *SHAPE), 8), r"or both \(4, 6, 6, 3\).*got shape \(3, 6, 6, 3\)"),
        ([8, 0, 8, 8], r"got values of 0\.\.8"),
        ([8, 8, 300, 8], r"got values of 8\.\.300"),
        (np.full(SHAPE, -1), r"got values of -1\.\.-1"),
        (np.zeros(SHAPE, dtype=int), "at least one coordinate of every image to change, got only 0"),
        (
            np.ones((4, *SHAPE), dtype=int) * np.array([1, 1, 0, 1])[:, None, None, None],
            "at least one coordinate of every image to change, got only 0",
        ),
        (10**30, "epsilon must be in grey levels"),
        ([[8], [8, 8]], "epsilon must be in grey levels"),
    ],
)
def test_an_epsilon_that_makes_no_sense_is_refused(epsilon, message):
    refuse(message, epsilon=epsilon)
    refuse(message, space=dfa.LinfBall(epsilon))


@pytest.mark.parametrize("epsilon", [1, 255, np.uint8(8), np.full(4, 8, dtype=np.uint8), [1, 2, 3, 4]])
def test_an_epsilon_that_makes_sense_is_not_refused(epsilon):
    assert len(dfa.run(CLASSIFIER, IMAGES, epsilon=epsilon, max_queries=5).records) == 4


def test_what_is_no_space_is_refused():
    refuse(r"space must be None or a search space such as dfa\.LinfBall\(\), got 8", space=8)


@pytest.mark.parametrize("epsilon", [8, 0.5, [10, 10, 10, 10]])
def test_an_epsilon_that_the_space_would_ignore_is_refused(epsilon):
    refuse("epsilon and space were both given", epsilon=epsilon, space=dfa.Pixels())


# ----------------------------------------------------------------------------------- labels and targets


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], r"labels must be None or integer class ids of shape \(4,\), got int64 of shape \(3,\)"),
        (3, r"of shape \(4,\), got int64 of shape \(\)"),
        ([[0], [1], [2], [3]], r"got int64 of shape \(4, 1\)"),
        ([0.0, 1.0, 2.0, 3.0], r"got float64 of shape \(4,\)"),
        ([True, False, True, True], r"got bool of shape \(4,\)"),
        (["cat"] * 4, r"labels must be None or integer class ids"),
        ([0, 1, -1, 2], "labels must be class ids of 0 or more, got -1"),
        (np.eye(4), r"got float64 of shape \(4, 4\)"),
        ([[0], [1, 2], 3, 4], "labels must be None or integer class ids"),
    ],
)
def test_labels_that_make_no_sense_are_refused(labels, message):
    refuse(message, IMAGES, labels)


@pytest.mark.parametrize("label", [10, 10**6])
def test_a_label_beyond_the_classes_is_refused_once_they_are_known(label):
    message = rf"labels must be class ids 0\.\.9, since the oracle knows 10 classes, got {label} for image 3"
    refuse(message, IMAGES, [*CLASSES[:3], label], asked=4)


@pytest.mark.parametrize("label", [2**63, 2**64 - 1])
def test_a_label_beyond_every_integer_type_does_not_become_another_one(label):
    refuse(f"labels must be class ids .*got {label}", IMAGES, np.array([*CLASSES[:3], label], dtype=np.uint64))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, 1, 2], r"targets must be one class id or one per image, shape \(4,\), got shape \(3,\)"),
        ([[0, 1, 2, 3]], r"got shape \(1, 4\)"),
        (-1, "targets must be class ids of 0 or more, got -1"),
        ([0, -2, 1, 1], "targets must be class ids of 0 or more, got -2 for image 1"),
        (1.0, r"one integer class id, or one per image, got 1\.0"),
        ([1.0, 2.0, 3.0, 4.0], r"got dtype float64 of shape \(4,\)"),
        (True, "got True"),
        ("cat", "targets must be None, dfa.rank"),
        (2**64 - 1, "targets must be class ids of 0 or more"),
    ],
)
def test_targets_that_make_no_sense_are_refused(targets, message):
    refuse(message, targets=targets)


def test_a_target_equal_to_the_label_given_for_the_image_is_refused():
    targets = (CLASSES + 1) % 10
    targets[2] = CLASSES[2]
    refuse(f"the target of image 2 is its own label, {CLASSES[2]}", IMAGES, CLASSES, targets=targets)


@pytest.mark.parametrize("targets", [10, [0, 1, 2, 10]])
def test_a_target_beyond_the_classes_is_refused_once_they_are_known(targets):
    row = 0 if targets == 10 else 3
    message = rf"targets must be class ids 0\.\.9, since the oracle knows 10 classes, got 10 for image {row}"
    refuse(message, targets=targets, asked=4)


def test_a_rank_beyond_the_classes_is_refused_once_they_are_known():
    refuse("rank 11 does not exist: the oracle knows 10 classes", targets=dfa.rank(11), asked=4)
    assert dfa.run(CLASSIFIER, IMAGES, targets=dfa.rank(10), max_queries=20).records[0].target is not None


def test_the_first_rank_is_refused():
    with pytest.raises(dfa.InvalidInputError, match="1 is the class the image already has"):
        dfa.rank(1)


def test_a_bad_class_of_the_last_image_shows_at_the_first_batch():
    labels = CLASSES.copy()
    labels[3] = 10
    refuse("got 10 for image 3", IMAGES, labels, asked=1, batch_size=1)
    refuse("got 10 for image 3", targets=[0, 1, 2, 10], asked=1, batch_size=1)


# -------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_queries": 1}, r"max_queries must be at least the population of 2 \(samples \+ positives\).*got 1"),
        (
            {"max_queries": 4, "optimizer": dfa.Racos.paper()},
            r"max_queries must be at least the population of 5 \(samples \+ positives\).*got 4",
        ),
        ({"max_queries": 11, "optimizer": dfa.Racos.paper(targeted=True)}, "the population of 12"),
        ({"max_queries": 0}, "max_queries must be an integer .*got 0"),
        ({"max_queries": -5}, "max_queries must be an integer .*got -5"),
        ({"max_queries": 100.0}, r"max_queries must be an integer .*got 100\.0"),
        ({"max_queries": True}, "max_queries must be an integer .*got True"),
        ({"max_queries": None}, "max_queries must be an integer .*got None"),
        ({"max_queries": float("inf")}, "max_queries must be an integer .*got inf"),
        ({"max_queries": 10**30}, "max_queries must be an integer"),
        ({"max_seconds": 0}, "max_seconds must be None or a number above 0, got 0"),
        ({"max_seconds": -1.5}, r"max_seconds must be None or a number above 0, got -1\.5"),
        ({"max_seconds": float("nan")}, "max_seconds must be None or a number above 0, got nan"),
        ({"max_seconds": "1"}, "max_seconds must be None or a number above 0, got '1'"),
        ({"max_seconds": True}, "max_seconds must be None or a number above 0, got True"),
        ({"give_up_after": 1}, r"give_up_after \(unless None\) must be an integer of at least 2, got 1"),
        ({"give_up_after": 3}, "give_up_after must be at least 4, twice what the first iteration asks.* got 3; raise"),
        (
            {"give_up_after": 9, "optimizer": dfa.Racos.paper()},
            "give_up_after must be at least 10, twice what the first iteration asks.* got 9; raise",
        ),
        ({"give_up_after": 2.5}, r"give_up_after \(unless None\) must be an integer of at least 2, got 2\.5"),
        ({"give_up_after": 2**32}, r"give_up_after \(unless None\) must be an integer in 2\.\.4294967295"),
        (
            {"give_up_after": 101, "max_queries": 100},
            "give_up_after must be at most max_queries, 100, which ends an image before it, got 101; lower it",
        ),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 2.0}, r"batch_size must be an integer of at least 1, got 2\.0"),
        ({"batch_size": None}, "batch_size must be an integer of at least 1, got None"),
        ({"seed": -1}, r"seed must be an integer in 0\.\.18446744073709551615, got -1"),
        ({"seed": 2**64}, r"seed must be an integer in 0\.\.18446744073709551615, got 18446744073709551616"),
        ({"seed": 0.5}, r"seed must be an integer .*got 0\.5"),
        ({"seed": None}, "seed must be an integer .*got None"),
        ({"threads": 0}, r"threads must be an integer in 1\.\.1024, got 0"),
        ({"threads": -2}, "threads must be an integer .*got -2"),
        ({"threads": 10**9}, "threads must be an integer .*got 1000000000"),
        ({"threads": 1.5}, r"threads must be an integer .*got 1\.5"),
        (
            {"objective": "loss"},
            "objective must be an Objective, 'paper', 'paper-code', 'log', 'odds', or a function .*got 'loss'",
        ),
        ({"objective": 3}, "objective must be an Objective, .*got 3 of type int"),
        (
            {"optimizer": "racos"},
            NO_OPTIMIZER + " 'racos'",
        ),
        (
            {"optimizer": dfa.Racos},
            NO_OPTIMIZER + " <class",
        ),
        ({"ids": [1, 2, 3]}, r"ids must be integers of shape \(4,\), got int64 of shape \(3,\)"),
        ({"ids": [0.0, 1.0, 2.0, 3.0]}, r"ids must be integers of shape \(4,\), got float64"),
        ({"ids": [0, 1, 2, -3]}, r"ids must be in 0\.\.2\*\*32 - 1, got -3\.\.2"),
        ({"ids": [0, 1, 2, 2**32]}, r"ids must be in 0\.\.2\*\*32 - 1, got 0\.\.4294967296"),
        ({"ids": [[1], [2, 3], 4, 5]}, "ids must be integers"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(f"{k}={v}"[:30] for k, v in value.items()),
)
def test_a_setting_that_makes_no_sense_is_refused(settings, message):
    refuse(message, **settings)


def test_the_smallest_settings_that_make_sense_are_not_refused():
    result = dfa.run(
        CLASSIFIER,
        IMAGES,
        max_queries=2,
        batch_size=1,
        seed=np.uint64(2**64 - 1),
        threads=np.int64(1),
        max_seconds=1e-9,
    )
    assert (result.queries_sent == 2).all()
    dfa.run(CLASSIFIER, IMAGES, optimizer=dfa.Racos.paper(targeted=True), max_queries=12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples must be an integer of at least 1, got 0"),
        ({"positives": 1.0}, r"positives must be an integer of at least 1, got 1\.0"),
        ({"coordinates": 1.5}, r"coordinates .*got 1\.5"),
        ({"coordinates": 0}, "coordinates .*got 0"),
        ({"window_share": 0.0}, r"window_share must be None or in \(0, 1\], got 0\.0"),
        ({"window_halvings": (50, 10)}, "window_halvings must ascend"),
        ({"region": "sorted"}, "region must be one of 'none', 'ordered', 'per_coordinate', got 'sorted'"),
        ({"max_iterations": 0}, "max_iterations must be an integer of at least 1, got 0"),
        ({"objective": "log"}, r"objective must be a dfa\.Objective here, got 'log'"),
    ],
)
def test_an_optimizer_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        dfa.Racos(**changes)


def test_an_optimizer_that_the_core_cannot_run_is_refused_as_such():
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.InvalidInputError, match="samples must be"):
        dfa.run(oracle, IMAGES, optimizer=dfa.Racos(samples=2**20 + 1), max_queries=2**30)
    assert oracle.num_images == 0


# ---------------------------------------------------------------------------------------------- oracle


class Model:
    """A stand-in for a class of models."""

    def __call__(self, images):
        raise AssertionError("never asked")


def test_a_class_in_place_of_a_model_is_refused():
    with pytest.raises(dfa.InvalidInputError, match="got the class Model; pass an instance of it"):
        dfa.run(Model, IMAGES)


@pytest.mark.parametrize("oracle", [None, "resnet50", IMAGES, 3])
def test_what_is_no_oracle_is_refused(oracle):
    with pytest.raises(
        dfa.InvalidInputError, match=r"needs an Oracle, a model of torch, Keras, .* or a function from uint8"
    ):
        dfa.run(oracle, IMAGES)


def test_oracles_and_images_are_given_by_place_and_settings_by_name():
    with pytest.raises(TypeError, match="positional argument"):
        dfa.run(CLASSIFIER, IMAGES, None, 3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'eps'"):
        dfa.run(CLASSIFIER, IMAGES, eps=3)


@pytest.mark.parametrize("store", [5, b"runs", object()])
def test_what_is_no_folder_is_refused(store):
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.InvalidInputError, match="store must be a path, got"):
        dfa.run(oracle, IMAGES, store=store)
    assert oracle.num_images == 0
