"""Data sets of Hugging Face as they are: the image column, labels, class names and files."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

import dfa
from oracles import LinearClassifier, random_images
from outcomes import outcomes

datasets = pytest.importorskip("datasets")

SHAPE = (8, 7, 3)
IMAGES = random_images(6, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
LABELS = CLASSIFIER.classes(IMAGES).tolist()
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]
CLASSES = datasets.ClassLabel(names=NAMES)


def run(images, *arguments, **settings):
    settings = {"max_queries": 60, "epsilon": 12, "progress": False, **settings}
    return dfa.run(CLASSIFIER, images, *arguments, **settings)


PLAIN = run(IMAGES, LABELS)


def encoded(image, name=None, **settings):
    picture = image if isinstance(image, PIL.Image.Image) else PIL.Image.fromarray(image)
    file = io.BytesIO()
    picture.save(file, settings.pop("format", "PNG"), **settings)
    return {"bytes": file.getvalue(), "path": name}


def data_set(images=IMAGES, labels=LABELS, names=None, column="image", kind=CLASSES):
    names = [None] * len(images) if names is None else names
    rows = [
        each if isinstance(each, dict | None) else encoded(each, name) for each, name in zip(images, names, strict=True)
    ]
    features = datasets.Features({"number": datasets.Value("int64"), column: datasets.Image(), "label": kind})
    columns = {"number": list(range(len(rows))), column: rows, "label": labels}
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.mark.parametrize("kind", [None, "torch", "numpy", "arrow", "columns"])
@pytest.mark.parametrize("column", ["image", "jpg"])
def test_images_labels_and_class_names_whatever_the_format(kind, column):
    data = data_set(column=column)
    if kind == "torch":
        pytest.importorskip("torch")
    data = data.with_format("numpy", columns=["number"]) if kind == "columns" else data.with_format(kind)
    result = run(data)
    assert outcomes(result) == outcomes(PLAIN)
    assert result.config["class_names"] == tuple(NAMES)
    assert [each.source for each in result.records] == [None] * 6


def test_rows_in_another_order():
    order = [4, 1, 5]
    names = [f"{index}.png" for index in range(6)]
    for data in (data_set(names=names).select(order), data_set(names=names).shuffle(seed=1)):
        result = run(data)
        places = data["number"][:]
        assert [each.source for each in result.records] == [names[place] for place in places]
        assert [each.label for each in result.records] == [LABELS[place] for place in places]
        named = [names[place] for place in places]
        assert outcomes(result) == outcomes(run(IMAGES[places], np.array(LABELS)[places], names=named))


def test_files_are_called_by_where_they_lie(tmp_path):
    paths = []
    for index, image in enumerate(IMAGES):
        paths.append(tmp_path / "ab"[index % 2] / f"{index}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(image).save(paths[-1])
    features = datasets.Features({"image": datasets.Image()})
    data = datasets.Dataset.from_dict({"image": list(map(str, paths))}, features=features)
    images = dfa.data.as_images(data)
    assert images.names == ["a/0.png", "b/1.png", "a/2.png", "b/3.png", "a/4.png", "b/5.png"]
    assert (images.labels, images.class_names) == (None, None)
    assert all(np.array_equal(image, original) for image, original in zip(images, IMAGES, strict=True))
    paths[2].unlink()
    assert "cannot read" in run(data).records[2].reason


def test_more_rows_than_are_looked_at_for_files_at_once():
    images = np.repeat(IMAGES, 50, axis=0)
    data = data_set(images, [0] * 300, [f"{index}.png" for index in range(300)])
    assert dfa.data.as_images(data).names[299] == "299.png"
    assert dfa.data.as_images(data_set(IMAGES[:2], [0, 0], ["a.png", None])).names is None


def test_a_transform_makes_what_is_attacked():
    def grey(rows):
        return {"image": [each.convert("L") for each in rows["image"]], "label": rows["label"]}

    images = dfa.data.as_images(data_set().with_transform(grey))
    assert images[3].shape == (8, 7, 1)
    assert images.labels.tolist() == LABELS
    other = data_set().with_transform(
        lambda rows: {"image": rows["image"], "label": [9 - each for each in rows["label"]]}
    )
    assert dfa.data.as_images(other).labels.tolist() == [9 - each for each in LABELS]
    alone = data_set().with_transform(lambda rows: {"image": rows["image"]})
    assert dfa.data.as_images(alone).labels.tolist() == LABELS


def test_a_row_without_an_image_is_an_error_of_its_own():
    images = data_set([IMAGES[0], None, IMAGES[2]], LABELS[:3])
    result = run(images)
    assert [each.status is dfa.Status.ERROR for each in result.records] == [False, True, False]
    assert "the column 'image' must hold an image, and holds None" in result.records[1].reason


def test_files_of_a_part_that_torch_makes_of_it():
    torch = pytest.importorskip("torch")
    data = data_set(names=[f"photos/{index}.png" for index in range(6)])
    assert dfa.data.as_images(torch.utils.data.Subset(data, [4, 1])).names == ["4.png", "1.png"]


@pytest.mark.parametrize("kind", ["int64", "uint8"])
def test_integers_that_are_called_labels_are_labels(kind):
    images = dfa.data.as_images(data_set(kind=datasets.Value(kind)))
    assert (images.labels.tolist(), images.class_names) == (LABELS, None)
    texts = data_set(labels=["a"] * 6, kind=datasets.Value("string"))
    with pytest.raises(
        dfa.InvalidInputError, match=r"column 'label' must hold integer .*string; .*class_encode_column"
    ):
        run(texts)
    assert outcomes(run(texts, LABELS)) == outcomes(PLAIN)
    texts = texts.add_column("target", [str(label) for label in LABELS]).add_column("y", LABELS)
    assert dfa.data.as_images(texts).labels.tolist() == LABELS


def test_an_image_without_a_label():
    images = dfa.data.as_images(data_set(labels=[1, None, -1, 2, 3, 4]))
    assert images.labels.tolist() == [1, -1, -1, 2, 3, 4]
    assert dfa.data.as_images(data_set(labels=[-1] * 6)).labels is None


def test_labels_are_the_classes_of_their_names():
    order = NAMES[::-1]
    model = dfa.as_oracle(lambda images: CLASSIFIER(images)[:, ::-1])
    result = dfa.run(model, data_set(), class_names=order, max_queries=60, progress=False)
    assert [each.label for each in result.records] == [9 - label for label in LABELS]
    assert "misclassified" not in {each.reason for each in result.records}


def test_of_several_columns_the_usual_one():
    one = data_set()
    other = datasets.Features({**one.features, "coarse": CLASSES, "thumbnail": datasets.Image()})
    rows = [{**row, "coarse": 0, "thumbnail": encoded(IMAGES[0])} for row in one]
    several = datasets.Dataset.from_list(rows, features=other)
    images = dfa.data.as_images(several)
    assert images.labels.tolist() == LABELS
    assert np.array_equal(images[2], IMAGES[2])
    with pytest.raises(
        dfa.InvalidInputError, match="several columns of type ClassLabel: a, coarse; leave the others out"
    ):
        run(several.rename_column("label", "a"))
    with pytest.raises(dfa.InvalidInputError, match="several columns of type Image: a, thumbnail"):
        run(several.rename_column("image", "a"))


def test_grey_images_and_others():
    assert dfa.data.as_images(data_set([IMAGES[0, :, :, 0]], [0]))[0].shape == (8, 7, 1)
    deep = np.arange(56, dtype=np.uint16).reshape(8, 7)
    with pytest.raises(dfa.InvalidInputError, match="must have 8 bits per channel, and has 16"):
        run(data_set([deep] * 2, [0, 0], ["a.png", "b.png"]))
    images = [IMAGES[0], PIL.Image.fromarray(IMAGES[1]).convert("P"), IMAGES[2]]
    result = run(data_set(images, LABELS[:3]))
    assert [each.status is dfa.Status.ERROR for each in result.records] == [False, True, False]
    assert "must be of mode L or RGB, and is of mode P" in result.records[1].reason


def test_more_bits_are_seen_that_pillow_does_not_tell_of():
    """Of a PNG of three channels with 16 bits each Pillow makes 8 without a word."""
    import struct
    import zlib

    def chunk(kind, content):
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(b"\0" + b"\x12\x34" * 21 for _ in range(8))
    header = struct.pack(">IIBBBBB", 7, 8, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert PIL.Image.open(io.BytesIO(png)).mode == "RGB"
    result = run(data_set([IMAGES[0], {"bytes": png, "path": None}], [LABELS[0], 0]))
    assert result.records[1].reason.endswith(
        "the image must have 8 bits per channel, and has 16; convert it first, and the converted pixels are attacked"
    )


def test_images_are_turned_as_the_data_set_turns_them():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    data = data_set([encoded(IMAGES[0], exif=exif)], [0])
    assert np.array_equal(dfa.data.as_images(data)[0], np.asarray(data[0]["image"]))
    assert dfa.data.as_images(data)[0].shape == (7, 8, 3)


def test_a_column_that_says_its_mode():
    data = data_set().cast_column("image", datasets.Image(mode="L"))
    assert dfa.data.as_images(data)[1].shape == (8, 7, 1)
    kept = data_set().cast_column("image", datasets.Image(decode=False))
    assert np.array_equal(dfa.data.as_images(kept)[1], IMAGES[1])


def test_what_is_no_data_set_of_images_is_refused_with_what_is():
    data = data_set()
    with pytest.raises(dfa.InvalidInputError, match=r"are the splits 'train', 'test'; pass one .* images\['test'\]"):
        run(datasets.DatasetDict(train=data, test=data))
    with pytest.raises(dfa.InvalidInputError, match=r"is a stream; .*Dataset\.from_list\(list\(images\.take\(1000\)\)"):
        run(data.to_iterable_dataset())
    with pytest.raises(dfa.InvalidInputError, match=r"has number \(Value\), label \(ClassLabel\); files become images"):
        run(data.remove_columns(["image"]))
    taken = datasets.Dataset.from_list(list(data.to_iterable_dataset().take(1000)), features=data.features)
    assert outcomes(run(taken)) == outcomes(PLAIN)


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_a_loader_of_it(kind):
    loader = pytest.importorskip("torch").utils.data.DataLoader(data_set().with_format(kind), batch_size=4)
    result = run(loader)
    assert outcomes(result) == outcomes(PLAIN)
    assert result.config["class_names"] == tuple(NAMES)


def test_a_run_is_resumed(tmp_path):
    whole = run(data_set(), store=tmp_path)
    assert outcomes(run(data_set(), store=tmp_path, resume=True)) == outcomes(whole)
    with pytest.raises(dfa.StoreError, match=r"image \d"):
        run(data_set(IMAGES[[1, 0, 2, 3, 4, 5]]), store=tmp_path, resume=True)
