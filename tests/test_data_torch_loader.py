"""Loaders of torch as they are: gone through once, in their order, by their workers."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.data import torch_loader
from outcomes import outcomes
from torch_data_sets import (
    DATA,
    FILES,
    GREY,
    IMAGES,
    LABELS,
    NAMES,
    PLAIN,
    TENSORS,
    DataLoader,
    Files,
    Items,
    pictures,
    run,
    torch,
)

WORKERS = [0, pytest.param(2, marks=pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"))]
"""JAX, once it is imported, warns whoever forks."""


@pytest.mark.parametrize("num_workers", WORKERS)
def test_a_loader_is_its_images_in_its_order(num_workers):
    result = run(DataLoader(DATA, batch_size=4, num_workers=num_workers))
    assert outcomes(result) == outcomes(run(DATA))
    assert [each.source for each in result.records][3] == "b/3.png"


@pytest.mark.parametrize("num_workers", WORKERS)
def test_a_shuffled_loader_is_gone_through_once(num_workers):
    def loader():
        order = torch.Generator().manual_seed(3)
        return DataLoader(DATA, batch_size=4, shuffle=True, generator=order, num_workers=num_workers)

    order = [IMAGES.tolist().index(image.tolist()) for batch, _ in loader() for image in batch.permute(0, 2, 3, 1)]
    assert order != sorted(order)
    result = run(loader())
    assert outcomes(result) == outcomes(
        run(IMAGES[order], np.array(LABELS)[order], class_names=NAMES, names=[FILES[place] for place in order])
    )
    assert [each.label for each in result.records] == [LABELS[place] for place in order]
    assert [each.source for each in result.records] == [FILES[place] for place in order]


def test_a_loader_that_shuffles_by_chance_is_told_of():
    with pytest.warns(dfa.DoubtfulDataWarning, match="the DataLoader shuffles without a seed") as told:
        result = run(DataLoader(Items(DATA.items), batch_size=4, shuffle=True), names=None)
    assert len(told) == 1
    places = [int((each.source or f"item {each.index}").removeprefix("item ")) for each in result.records]
    assert sorted(places) == [0, 1, 2, 3, 4, 5]
    assert [each.label for each in result.records] == [LABELS[place] for place in places]


def test_a_loader_of_another_order_says_which_items_it_gave():
    data = Items(DATA.items)
    assert dfa.data.as_images(DataLoader(data, batch_size=4)).names is None
    assert dfa.data.as_images(DataLoader(data, batch_size=4, sampler=[3, 0])).names == ["item 3", "item 0"]
    assert dfa.data.as_images(DataLoader(data, batch_sampler=[[1], [5, 2]])).names == ["item 1", "item 5", "item 2"]
    assert dfa.data.as_images(DataLoader(DATA, batch_size=None, sampler=[4, 1])).names == ["b/4.png", "a/1.png"]
    loader = DataLoader(DATA, batch_size=4)
    sampler = loader.batch_sampler
    assert dfa.data.as_images(loader).names == FILES
    assert loader.batch_sampler is sampler


def test_a_loader_that_leaves_items_out_or_makes_more_of_them_has_no_names():
    def lacking(items):
        return [each for each in items if each[1] != LABELS[1]]

    def twice(items):
        return [each for each in items for _ in range(2)]

    class Lacking(Files):
        def __getitems__(self, places):
            return lacking([self[place] for place in places])

    assert dfa.data.as_images(DataLoader(DATA, batch_size=4, collate_fn=lambda items: items[::-1])).names is None
    assert dfa.data.as_images(DataLoader(Lacking(DATA.items), batch_size=4)).names is None
    kept = [place for place, label in enumerate(LABELS) if label != LABELS[1]]
    for collate, order in [(lacking, kept), (twice, np.repeat(range(6), 2))]:
        result = run(DataLoader(DATA, batch_size=4, collate_fn=collate))
        assert [each.source for each in result.records] == [None] * len(order)
        assert [each.label for each in result.records] == [LABELS[place] for place in order]


def test_a_loader_of_grey_images_without_their_channel_is_refused_as_they_are():
    grey = torch.from_numpy(GREY.squeeze(-1))
    for size in (1, 2, 3, 6):
        with pytest.raises(dfa.InvalidInputError, match=r"image 0 must be .*a grey image \(H, W\) needs its channel"):
            run(DataLoader(torch.utils.data.TensorDataset(grey, torch.tensor(LABELS)), batch_size=size))


def test_a_batch_of_more_than_images_and_labels_is_refused_as_one():
    data = Items([(image, label, "a.png", 7) for image, label in DATA.items])
    with pytest.raises(dfa.InvalidInputError, match=r"must be images, or \(images, labels\), and is 4 things; drop"):
        run(DataLoader(data, batch_size=3))


def test_batches_that_the_data_set_makes_itself():
    class Batches(Items):
        def __getitem__(self, indices):
            return TENSORS[indices], torch.tensor(LABELS)[indices]

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield TENSORS[:4], torch.tensor(LABELS[:4])
            yield {"image": TENSORS[4:], "label": torch.tensor(LABELS[4:])}

    sampler = torch.utils.data.BatchSampler([0, 1, 2, 3, 4, 5], 4, drop_last=False)
    assert outcomes(run(DataLoader(Batches(DATA.items), sampler=sampler, batch_size=None))) == outcomes(PLAIN)
    assert outcomes(run(DataLoader(Stream(), batch_size=None))) == outcomes(PLAIN)


def test_a_loader_that_drops_its_last_batch():
    result = run(DataLoader(DATA, batch_size=4, drop_last=True))
    assert [each.source for each in result.records] == ["a/0.png", "a/1.png", "b/2.png", "b/3.png"]


def batch_of_dicts(items):
    return {"image": torch.stack([image for image, _ in items]), "label": [label for _, label in items]}


def lists(items):
    return [image for image, _ in items], [label for _, label in items]


@pytest.mark.parametrize("collate", [batch_of_dicts, lists, list, None])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_batches_come_in_many_forms(collate, size):
    assert outcomes(run(DataLoader(Items(DATA.items), batch_size=size, collate_fn=collate))) == outcomes(PLAIN)


@pytest.mark.parametrize("collate", [list, None])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_batches_of_images_alone(collate, size):
    assert outcomes(run(DataLoader(Items(list(TENSORS)), batch_size=size, collate_fn=collate))) == outcomes(run(IMAGES))
    data = Items(pictures())
    assert outcomes(run(DataLoader(data, batch_size=size, collate_fn=list))) == outcomes(run(IMAGES))


def test_items_one_by_one():
    assert outcomes(run(DataLoader(Items(DATA.items), batch_size=None))) == outcomes(PLAIN)
    assert dfa.data.as_images(DataLoader(DATA, batch_size=None)).names == dfa.data.as_images(DATA).names


def test_a_loader_of_floats_is_refused_at_its_first_batch():
    data = Items([(image / 255, 1) for image in TENSORS])
    with pytest.raises(dfa.InvalidInputError, match=r"image 0 of the DataLoader: .*as ToTensor makes them"):
        run(DataLoader(data, batch_size=2))
    assert data.num_read == 2


@pytest.mark.parametrize("num_workers", WORKERS)
def test_a_loader_that_fails_says_what_does_not(num_workers):
    items = list(DATA.items)
    items[4] = OSError("the disk is tired")
    loader = DataLoader(Items(items), batch_size=2, num_workers=num_workers)
    with pytest.raises(
        dfa.InvalidInputError, match=r"the DataLoader failed: OSError: the disk is tired; pass its dataset"
    ):
        run(loader)
    assert [each.status for each in run(loader.dataset).records].count(dfa.Status.ERROR) == 1


def test_a_loader_without_images_and_one_with_too_few_labels():
    with pytest.raises(dfa.InvalidInputError, match="at least one image, got none"):
        run(DataLoader(Items(DATA.items[:2]), batch_size=4, drop_last=True))
    with pytest.raises(dfa.InvalidInputError, match="one label per image, got 1 for 2 images"):
        run(DataLoader(DATA, batch_size=2, collate_fn=lambda items: (torch.stack([each[0] for each in items]), [1])))


def test_many_images_go_to_a_file(monkeypatch):
    monkeypatch.setattr(torch_loader, "_IN_MEMORY", 2 * IMAGES[0].size)
    images = dfa.data.as_images(DataLoader(DATA, batch_size=4))
    assert images.images._file._rolled
    assert [images[index].tolist() for index in (5, 0, 3)] == IMAGES[[5, 0, 3]].tolist()
    file = images.images._file
    del images
    assert file.closed


def test_a_stream_that_does_not_end_soon_is_told_of_once(monkeypatch):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(list(TENSORS) * 3)

    monkeypatch.setattr(torch_loader, "_IN_MEMORY", 2 * IMAGES[0].size)
    with pytest.warns(dfa.DoubtfulDataWarning, match=r"has given 4 images by now and does not say.*islice") as told:
        images = dfa.data.as_images(DataLoader(Stream(), batch_size=2))
    assert (len(told), len(images)) == (1, 18)
    dfa.data.as_images(DataLoader(DATA, batch_size=2))


@pytest.mark.parametrize("make", [lambda: DATA, lambda: DataLoader(DATA, batch_size=4)], ids=["data", "loader"])
def test_a_run_is_resumed_with_the_same_images_only(make, tmp_path):
    whole = run(make(), store=tmp_path / "whole")

    def stop(record):
        if record.index == 2:
            raise KeyboardInterrupt

    with pytest.raises(dfa.Interrupted):
        run(make(), store=tmp_path / "run", progress=stop, optimizer=dfa.Racos(archive=False), batch_size=1)
    again = run(make(), store=tmp_path / "run", resume=True, optimizer=dfa.Racos(archive=False), batch_size=1)
    assert [each.status for each in again.records].count(dfa.Status.UNFINISHED) == 0
    assert [each.source for each in again.records] == [each.source for each in whole.records]
    other = Files([DATA.items[0], *DATA.items[2:], DATA.items[1]])
    with pytest.raises(dfa.StoreError, match=r"image 1|labels"):
        run(other, store=tmp_path / "run", resume=True, optimizer=dfa.Racos(archive=False), batch_size=1)


def test_an_image_without_a_label_is_kept_without_one(tmp_path):
    items = [*DATA.items[:3], OSError("gone"), (TENSORS[4], None), (TENSORS[5], -1)]
    result = run(Items(items), store=tmp_path)
    assert [each.label for each in result.records] == [*LABELS[:3], None, None, None]
    again = run(Items(items), store=tmp_path, resume=True)
    assert [each.label for each in again.records] == [*LABELS[:3], None, None, None]
    assert outcomes(dfa.Result.load(tmp_path)) == outcomes(result)
