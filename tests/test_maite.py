"""MAITE's models and datasets in dfa, and what dfa found as a dataset of MAITE's, by the protocols of the package."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError
from dfa.integrations.maite import AdversarialDataset, as_images, as_oracle
from oracles import LinearClassifier, random_images
from outcomes import outcomes

SHAPE = (6, 7, 3)
IMAGES = random_images(5, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
LABELS = CLASSIFIER.classes(IMAGES)
NUMBER = 10
NAMES = {number: f"class {number}" for number in range(NUMBER)}


class Model:
    """A MAITE model of images (C, H, W), uint8 or floats between bounds."""

    def __init__(self, bounds=None):
        self.metadata = {"id": "a model", "index2label": NAMES}
        self.bounds = bounds
        self.asked = 0

    def __call__(self, batch):
        assert isinstance(batch, list)
        self.asked += len(batch)
        images = np.stack([np.asarray(each) for each in batch]).transpose(0, 2, 3, 1)
        if self.bounds is not None:
            assert images.dtype == np.float32
            low, high = self.bounds
            images = np.rint((images.astype(float) - low) / (high - low) * 255).astype(np.uint8)
        assert images.dtype == np.uint8
        return list(np.asarray(CLASSIFIER(images)))


class Dataset:
    """A MAITE dataset of the same images."""

    def __init__(self, bounds=None, labels=LABELS):
        self.metadata = {"id": "a dataset", "index2label": NAMES}
        values = IMAGES.transpose(0, 3, 1, 2)
        if bounds is not None:
            low, high = map(np.float32, bounds)
            values = values / np.float32(255) * (high - low) + low
        self.values, self.labels = values, labels

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index, /):
        return self.values[index], np.eye(NUMBER)[self.labels[index]], {"id": index}


class FieldwiseDataset(Dataset):
    """One that gives the parts of an item alone."""

    def __getitem__(self, index, /):
        raise AssertionError("an item is read whole")

    def get_input(self, index, /):
        return self.values[index]

    def get_target(self, index, /):
        return np.eye(NUMBER)[self.labels[index]]

    def get_metadata(self, index, /):
        return {"id": f"picture {index}"}


def run(oracle, images, **settings):
    return dfa.run(oracle, images, **{"max_queries": 80, "epsilon": 5, "progress": False, **settings})


PLAIN = run(CLASSIFIER, IMAGES, labels=LABELS)


@pytest.mark.parametrize("bounds", [None, (0, 1), (-1, 1)])
@pytest.mark.parametrize("kind", [Dataset, FieldwiseDataset])
def test_a_run_finds_what_it_finds_on_the_images_themselves(bounds, kind):
    model, dataset = Model(bounds), kind(bounds)
    result = run(as_oracle(model, bounds=bounds, returns="probabilities"), as_images(dataset, bounds=bounds))
    names = None if kind is Dataset else [f"picture {index}" for index in range(5)]
    assert outcomes(result) == outcomes(run(CLASSIFIER, IMAGES, labels=LABELS, names=names))
    assert result.success.any()
    assert not result.success.all()
    assert np.array_equal(result.adversarial(), PLAIN.adversarial())
    assert model.asked == result.queries_sent.sum() + result.profile.clean + result.profile.verification
    assert [each.label for each in result.records] == LABELS.tolist()
    assert result.class_name(3) == "class 3"
    assert result.config["oracle"]["name"] == "a model"


@pytest.mark.parametrize("bounds", [None, (-1, 1)])
def test_what_was_found_is_a_dataset_that_maite_evaluates(bounds):
    maite = pytest.importorskip("maite", reason="maite is not installed")
    from maite.protocols import generic
    from maite.tasks import predict

    assert maite.__version__
    model, dataset = Model(bounds), Dataset(bounds)
    assert isinstance(model, generic.Model)
    assert isinstance(dataset, generic.Dataset)
    found = AdversarialDataset(PLAIN, dataset, bounds=bounds)
    assert isinstance(found, generic.Dataset)
    assert found.metadata == {"id": "a dataset (adversarial)", "index2label": NAMES}
    predictions, batches = predict(model=model, dataset=found, batch_size=2, return_augmented_data=True)
    classes = [int(np.argmax(each)) for batch in predictions for each in batch]
    assert [label != given for label, given in zip(classes, LABELS, strict=True)] == PLAIN.success.tolist()
    images = [np.asarray(image) for inputs, _, _ in batches for image in inputs]
    assert {image.dtype for image in images} == {np.dtype(np.uint8 if bounds is None else np.float32)}
    low, high = bounds or (0, 255)
    levels = np.rint((np.stack(images).astype(float) - low) / (high - low) * 255).astype(np.uint8)
    assert np.array_equal(levels.transpose(0, 2, 3, 1), PLAIN.adversarial())
    assert [int(np.argmax(target)) for _, targets, _ in batches for target in targets] == LABELS.tolist()


def test_labels_of_the_dataset_count():
    labels = LABELS.copy()
    labels[1] = (labels[1] + 1) % NUMBER
    result = run(as_oracle(Model(), returns="probabilities"), as_images(Dataset(labels=labels)))
    assert result.records[1].status is dfa.Status.SKIPPED


def test_the_model_names_its_classes_where_the_dataset_does_not():
    dataset = Dataset()
    del dataset.metadata["index2label"]
    result = run(as_oracle(Model(), returns="probabilities"), as_images(dataset))
    assert result.config["class_names"] == tuple(NAMES.values())
    model = Model()
    model.metadata["index2label"] = {0: "one", 2: "three"}
    assert as_oracle(model).class_names is None


@pytest.mark.parametrize("metadata", [None, {}])
def test_metadata_may_be_left_out(metadata):
    model, dataset = Model(), Dataset()
    model.metadata = dataset.metadata = metadata
    oracle = as_oracle(model)
    assert (oracle.name, oracle.class_names) == ("Model", None)
    assert as_images(dataset).class_names is None
    assert AdversarialDataset(PLAIN, dataset).metadata == {"id": "Dataset (adversarial)"}


def test_what_does_not_fit_is_refused():
    oracle = as_oracle(Model(), returns="probabilities")
    with pytest.raises(InvalidInputError, match=r"must be uint8 where no bounds are given, got float32; .*\(0, 1\)"):
        run(oracle, as_images(Dataset((0, 1))))
    with pytest.raises(InvalidInputError, match=r"image 0: images must lie within the bounds 0\.\.1"):
        run(oracle, as_images(Dataset(), bounds=(0, 1)))
    with pytest.raises(InvalidInputError, match="of 5 images, got 4"):
        AdversarialDataset(PLAIN, [1, 2, 3, 4])
    for call in (as_oracle, as_images, lambda given, bounds: AdversarialDataset(PLAIN, given, bounds=bounds)):
        with pytest.raises(InvalidInputError, match=r"must have two bounds, .* got 3"):
            call(Dataset(), bounds=3)
    model = Model()
    model.metadata = "a model"
    with pytest.raises(InvalidInputError, match=r"metadata of Model must be a mapping, .* got 'a model'"):
        as_oracle(model)
    dataset = FieldwiseDataset()
    dataset.get_metadata = lambda index: {"name": index}
    with pytest.raises(InvalidInputError, match=r"must have an id, and get_metadata\(0\) .* gave {'name': 0}"):
        as_images(dataset)
    for target in (np.full(NUMBER, np.nan), np.zeros(NUMBER), 3):
        dataset = FieldwiseDataset()
        dataset.get_target = lambda index, target=target: target
        with pytest.raises(InvalidInputError, match="the target of item 0 must be one-hot"):
            run(oracle, as_images(dataset))
    with pytest.raises(InvalidInputError, match="returns must be"):
        as_oracle(Model(), returns="top_k")
