"""Data sets of torch as they are: what is read, in which order, by which names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import dfa
from outcomes import outcomes
from torch_data_sets import (
    CLASSIFIER,
    DATA,
    FILES,
    GREY,
    IMAGES,
    LABELS,
    NAMES,
    PLAIN,
    TENSORS,
    DataLoader,
    Dataset,
    Files,
    Items,
    pictures,
    run,
    torch,
)

FORMS = {
    "pictures": pictures(),
    "tensors": list(TENSORS),
    "last": list(torch.from_numpy(IMAGES)),
    "arrays": list(IMAGES),
}


@pytest.mark.parametrize("form", FORMS)
def test_pairs_are_images_with_labels(form):
    assert outcomes(run(Items(list(zip(FORMS[form], LABELS, strict=True))))) == outcomes(PLAIN)


@pytest.mark.parametrize("form", FORMS)
def test_a_data_set_of_images_alone_has_no_labels(form):
    assert outcomes(run(Items(FORMS[form]))) == outcomes(run(IMAGES))


def test_dicts_are_items_too():
    items = [{"label": label, "image": image} for image, label in zip(TENSORS, LABELS, strict=True)]
    assert outcomes(run(Items(items))) == outcomes(PLAIN)


@pytest.mark.parametrize("label", [torch.tensor, np.int32, lambda label: np.array([label]), int])
def test_labels_come_as_tensors_and_as_integers(label):
    assert outcomes(run(Items([(image, label(each)) for image, each in zip(TENSORS, LABELS, strict=True)]))) == (
        outcomes(PLAIN)
    )


def test_a_tensor_data_set():
    data = torch.utils.data.TensorDataset(TENSORS, torch.tensor(LABELS))
    assert outcomes(run(data)) == outcomes(PLAIN)
    assert outcomes(run(torch.utils.data.TensorDataset(TENSORS))) == outcomes(run(IMAGES))


def test_a_module_and_its_data_set():
    linear = torch.nn.Linear(168, 10)
    module = torch.nn.Sequential(torch.nn.Flatten(), linear).eval()
    with torch.inference_mode():
        labels = module(TENSORS / 255).argmax(dim=1)
    result = dfa.run(
        module, torch.utils.data.TensorDataset(TENSORS, labels), epsilon=80, max_queries=300, progress=False
    )
    assert [each.label for each in result.records] == labels.tolist()
    assert result.summary().attacked == 6


def test_grey_pictures_have_one_channel():
    assert dfa.data.as_images(Items(pictures(GREY)))[2].tolist() == GREY[2].tolist()
    assert dfa.data.as_images(Items(list(torch.from_numpy(GREY.transpose(0, 3, 1, 2)))))[2].tolist() == GREY[2].tolist()


def test_a_layout_that_is_said_goes_before_the_habit_of_torch():
    square = torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3)
    last, first = (dfa.data.as_images(Items([square]), layout=layout)[0] for layout in ("NHWC", "NCHW"))
    assert np.array_equal(last, square)
    assert np.array_equal(first, square.permute(1, 2, 0))
    for shape in [(3, 3, 3), (3, 8, 3), (3, 8, 1), (1, 8, 3)]:
        with pytest.raises(dfa.InvalidInputError, match=r"may be \(C, H, W\) or \(H, W, C\); pass layout='NCHW' or"):
            run(Items([torch.zeros(shape, dtype=torch.uint8)]))
    assert np.array_equal(dfa.data.as_images(Items([TENSORS[0]]), layout="NHWC")[0], TENSORS[0])
    arrays = Items(list(TENSORS.numpy()))  # whose habit is the other
    with pytest.raises(dfa.InvalidInputError, match="looks like"):
        run(arrays)
    assert outcomes(run(arrays, LABELS, layout="NCHW")) == outcomes(PLAIN)
    assert outcomes(run(Items(pictures()), LABELS, layout="NCHW")) == outcomes(PLAIN)


def test_nothing_is_read_but_what_is_needed():
    data = Items(list(zip(TENSORS, LABELS, strict=True)))
    images = dfa.data.as_images(data)
    assert data.num_read == 0
    assert len(run(images.without_labels()).records) == 6
    without = data.num_read
    run(images)
    assert data.num_read == 2 * without + 7  # the first once more, to see whether it has a label
    data.num_read = 0
    run(data, LABELS)
    assert data.num_read == without


def test_an_item_that_cannot_be_read_is_an_error_of_its_own():
    items = list(zip(TENSORS, LABELS, strict=True))
    items[0] = OSError("the disk is tired")
    items[3] = (PIL.Image.fromarray(IMAGES[3]).convert("CMYK"), 1)
    result = run(Items(items))
    statuses = [each.status is dfa.Status.ERROR for each in result.records]
    assert statuses == [True, False, False, True, False, False]
    assert result.records[0].reason == "image 0 cannot be read: OSError: the disk is tired"
    assert result.records[0].label is None
    assert "must be of mode L or RGB, and is of mode CMYK" in result.records[3].reason
    assert [each.label for each in result.records[1:]] == [*LABELS[1:3], 1, *LABELS[4:]]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (TENSORS[0] / 255, r"torch\.float32 of shape \(3, 8, 7\) with values in .*as ToTensor makes them; give the "
         r"data set transform=torchvision\.transforms\.PILToTensor\(\) in place of ToTensor.*\(image \* 255\)\.round"),
        ((TENSORS[0] / 255 - 0.5) / 0.2, r"as Normalize makes them; drop Normalize, and ToTensor for .*mean=, std="),
        (TENSORS[0].float(), r"convert with image\.round\(\)\.to\(torch\.uint8\) if they lie in \[0, 255\]"),
        (TENSORS[0].bfloat16(), r"is torch\.bfloat16"),
        (TENSORS[0].int(), r"must be uint8 of shape \(H, W, C\), got int32"),
        (pictures()[0].convert("RGBA"), r"must be of mode L or RGB, and is of mode RGBA; convert it"),
        (PIL.Image.fromarray(GREY[0].squeeze().astype(np.uint16)), r"of mode I;16 with more than 8 bits"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_pair", [True, False])
def test_what_is_no_8_bit_image_is_refused_with_what_makes_one(image, message, is_pair):
    with pytest.raises(dfa.InvalidInputError, match=message):
        run(Items([(image, 1) if is_pair else image] * 2))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((TENSORS[0], 0.5), r"image 0: its label must be an integer class id, got 0\.5; pass labels=, or leave"),
        ((TENSORS[0], torch.zeros(10)), r"got float32 of shape \(10,\)"),
        ((TENSORS[0], {"boxes": 1}), r"got \{'boxes': 1\}"),
        (
            (TENSORS[0], 1, 2),
            r"must be an image, a pair \(image, label\), or a dict; it is a tuple of 3 \(Tensor, int, int",
        ),
        ({"jpg": TENSORS[0], "cls": 1}, r"a dict with one of image, images.*; it is a dict of 'jpg', 'cls'"),
    ],
)
def test_other_items_and_labels_are_refused(item, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        run(Items([item] * 2))


def test_what_can_be_gone_through_only_is_told_of_a_loader():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(zip(TENSORS, LABELS, strict=True))

    with pytest.raises(dfa.InvalidInputError, match=r"torch\.utils\.data\.DataLoader\(data, batch_size=None\)"):
        run(Stream())
    assert outcomes(run(DataLoader(Stream(), batch_size=None))) == outcomes(PLAIN)
    assert outcomes(run(DataLoader(Stream(), batch_size=4))) == outcomes(PLAIN)


class Another(Dataset):
    """Gives another image each time that it is asked, as a data set with a random transform does."""

    def __init__(self):
        self.num_read = 0

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        self.num_read += 1
        return np.roll(IMAGES[index], self.num_read, axis=1)


def test_what_was_attacked_is_kept_where_it_may_be_read_otherwise(tmp_path):
    result = run(Another(), epsilon=60)
    assert result.success.any()
    report = result.save(tmp_path)
    assert (report.refuted, report.verified) == ((), int(result.success.sum()))
    assert dfa.verify(tmp_path, CLASSIFIER).holds


def test_other_arrays_of_a_data_set_are_searched_too():
    rows = torch.arange(12.0).reshape(4, 3)
    space = dfa.Custom([-3] * 3, [3] * 3, lambda rows, x: rows + x)

    def oracle(rows):
        high = 1 / (1 + np.exp(-(rows.sum(axis=1) - 15)))
        return np.stack([1 - high, high], axis=1)

    kept = dfa.run(oracle, rows.numpy(), [0, 0, 1, 1], space=space, max_queries=60, progress=False)
    for data in (torch.utils.data.TensorDataset(rows, torch.tensor([0, 0, 1, 1])),):
        result = dfa.run(oracle, data, space=space, max_queries=60, progress=False)
        assert outcomes(result) == outcomes(kept)


# ---------------------------------------------------------------------------------------- what data sets know


def test_files_and_classes_are_known_and_labels_are_those_of_the_items():
    data = Files(list(zip(TENSORS, LABELS, strict=True)))
    result = run(data)
    assert [each.source for each in result.records] == FILES
    assert [each.label for each in result.records] == LABELS
    assert result.config["class_names"] == tuple(NAMES)
    part = run(torch.utils.data.Subset(data, [5, 2]))
    assert [each.source for each in part.records] == ["a/5.png", "b/2.png"]
    assert [each.label for each in part.records] == [LABELS[5], LABELS[2]]
    assert part.config["class_names"] == tuple(NAMES)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(NAMES[:1], None), ([0, 1], None), ("ab", None), ([("tench", "Tinca"), "goldfish"], ["tench, Tinca", "goldfish"])],
)
def test_other_things_that_are_called_classes(classes, expected):
    data = Items(TENSORS)
    data.classes = classes
    assert dfa.data.as_images(data).class_names == expected


@pytest.mark.parametrize("samples", [[], [(torch.zeros(1), 0)] * 6, ["a.png"] * 6, np.zeros(6), [("a.png",)] * 6])
def test_other_things_that_are_called_samples(samples):
    data = Files(DATA.items)
    data.samples = samples
    assert dfa.data.as_images(data).names is None


def test_files_of_a_reader_of_the_users_own_are_not_believed():
    class Turned(Files):
        def __getitem__(self, index):
            return super().__getitem__(5 - index)

    images = dfa.data.as_images(Turned(DATA.items))
    assert images.names is None
    assert images.labels.tolist() == LABELS[::-1]


def test_parts_that_are_put_together():
    data = torch.utils.data.ConcatDataset([Files(DATA.items), torch.utils.data.Subset(Files(DATA.items), [4, 1])])
    images = dfa.data.as_images(data)
    assert images.names == [*FILES, FILES[4], FILES[1]]
    assert images.labels.tolist() == [*LABELS, LABELS[4], LABELS[1]]
    assert images.class_names == NAMES
    other = Files(DATA.items)
    other.classes = NAMES[::-1]
    assert dfa.data.as_images(torch.utils.data.ConcatDataset([DATA, other])).class_names is None
    assert dfa.data.as_images(torch.utils.data.ConcatDataset([DATA, Items(DATA.items)])).names is None


def test_some_images_have_labels():
    part = torch.utils.data.TensorDataset
    without = [part(TENSORS[[0]].repeat(200, 1, 1, 1)), part(TENSORS, torch.tensor(LABELS))]
    for order in (without, without[::-1]):
        labels = dfa.data.as_images(torch.utils.data.ConcatDataset(order)).labels
        assert sorted(labels.tolist()) == [-1] * 200 + sorted(LABELS)
    one = part(TENSORS[:1], torch.tensor(LABELS[:1]))
    labels = dfa.data.as_images(torch.utils.data.ConcatDataset([without[0], one, without[0]])).labels
    assert labels.tolist() == [-1] * 200 + LABELS[:1] + [-1] * 200
    mixed = dfa.data.as_images(Items([TENSORS[0], *zip(TENSORS[1:], LABELS[1:], strict=True)]))
    assert mixed.labels.tolist() == [-1, *LABELS[1:]]


def test_an_image_whose_label_could_not_be_read_is_not_attacked_as_one_without():
    class Tired(Items):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            if index == 3 and self.num_read in range(4, 8):
                raise OSError("the disk is tired")
            return item

    data = Tired(DATA.items)
    result = run(data)
    assert data.num_read > 8
    assert [each.index for each in result.records if each.status is dfa.Status.ERROR] == [3]
    assert "image 3 cannot be read: OSError: the disk is tired" in result.records[3].reason
    assert [each.label for each in result.records] == [*LABELS[:3], None, *LABELS[4:]]


@pytest.mark.parametrize("indices", [[3, 99, 1], [3, "b", 1]])
def test_a_part_of_items_that_are_not_there_costs_no_other_its_result(indices):
    result = run(torch.utils.data.Subset(DATA, indices))
    assert [each.status is dfa.Status.ERROR for each in result.records] == [False, True, False]
    assert [each.label for each in result.records] == [LABELS[3], None, LABELS[1]]


def test_booleans_of_a_part_are_places_as_torch_reads_them():
    images = dfa.data.as_images(torch.utils.data.Subset(DATA, [True, False, True]))
    assert images.names == ["1.png", "0.png", "1.png"]
    assert images.labels.tolist() == [LABELS[1], LABELS[0], LABELS[1]]


class TestTorchvision:
    """Its data sets list their labels, and so not one image is read for them."""

    @pytest.fixture
    def folder(self, tmp_path, torchvision):
        for index, image in enumerate(IMAGES):
            place = tmp_path / "photos" / NAMES[LABELS[index]]
            place.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(image).save(place / f"{index}.png")
        return tmp_path / "photos"

    def test_an_image_folder_is_as_ours(self, folder, torchvision):
        theirs = dfa.data.as_images(torchvision.datasets.ImageFolder(folder))
        ours = dfa.data.image_folder(folder)
        assert (theirs.names, theirs.class_names) == (ours.names, ours.class_names)
        assert theirs.labels.tolist() == ours.labels.tolist()
        assert all(np.array_equal(one, other) for one, other in zip(theirs, ours, strict=True))

    def test_labels_are_listed(self, folder, torchvision):
        data = torchvision.datasets.ImageFolder(folder, loader=lambda path: 1 / 0)
        assert dfa.data.as_images(data).labels.tolist() == data.targets
        part = torch.utils.data.Subset(data, [4, 1])
        assert dfa.data.as_images(part).labels.tolist() == [data.targets[4], data.targets[1]]
        _, half = torch.utils.data.random_split(data, [4, 2])
        assert len(dfa.data.as_images(half).labels) == 2

    def test_labels_are_those_by_which_items_are_read(self, folder, torchvision):
        data = torchvision.datasets.ImageFolder(folder)
        data.samples[0], data.samples[-1] = data.samples[-1], data.samples[0]
        data.samples = [(path, 9 - label) for path, label in data.samples]
        images = dfa.data.as_images(data)
        assert images.labels.tolist() == [label for _, label in data]
        assert images.labels.tolist() != data.targets
        assert images.names[0] == os.path.relpath(data.samples[0][0], folder)

    def test_labels_that_are_transformed_are_read(self, folder, torchvision):
        data = torchvision.datasets.ImageFolder(folder, target_transform=lambda label: label + 4)
        assert dfa.data.as_images(data).labels.tolist() == [label + 4 for label in data.targets]

    def test_a_class_of_the_users_own_says_itself_what_its_labels_are(self, folder, torchvision):
        class Coarse(torchvision.datasets.ImageFolder):
            def __getitem__(self, index):
                image, label = super().__getitem__(index)
                return image, label // 2

        data = Coarse(folder)
        assert dfa.data.as_images(data).labels.tolist() == [label // 2 for label in data.targets]

    def test_a_part_of_the_users_own_likewise(self, folder, torchvision):
        class Shifted(torch.utils.data.Subset):
            def __getitem__(self, index):
                image, label = super().__getitem__(index)
                return image, label + 4

            def __getitems__(self, indices):
                return [self[index] for index in indices]

        data = torchvision.datasets.ImageFolder(folder)
        assert dfa.data.as_images(Shifted(data, [5, 0])).labels.tolist() == [data.targets[5] + 4, data.targets[0] + 4]

    def test_8_bit_tensors_of_its_transforms(self, folder, torchvision):
        data = torchvision.datasets.ImageFolder(folder, transform=torchvision.transforms.PILToTensor())
        order = [int(Path(name).stem) for name in dfa.data.as_images(data).names]
        assert np.array_equal(np.stack(list(dfa.data.as_images(data))), IMAGES[order])
        floats = torchvision.datasets.ImageFolder(folder, transform=torchvision.transforms.ToTensor())
        with pytest.raises(dfa.InvalidInputError, match="PILToTensor"):
            run(floats)

    def test_a_set_in_memory(self, tmp_path, torchvision):
        class Small(torchvision.datasets.MNIST):
            def _check_exists(self):
                return True

            def _load_data(self):
                return torch.from_numpy(GREY.squeeze(-1)), torch.arange(6)

        images = dfa.data.as_images(Small(tmp_path))
        assert np.array_equal(np.stack(list(images)), GREY)
        assert images.labels.tolist() == [0, 1, 2, 3, 4, 5]
        assert images.class_names[2] == "2 - two"
