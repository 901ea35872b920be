"""Roundings, codecs and files of vectors: what always holds of them."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import dfa
from dfa.auditing.roundings import Rounding, rounded
from dfa.auditing.vector_oracle import VectorOracle, as_vector_oracle
from dfa.auditing.vectors import read_vectors
from dfa.errors import InvalidInputError, MissingDependencyError

LEVELS = arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 4), st.just(3)),
    elements=st.floats(0, 255, width=32),
)
IDS = np.array([5, 9])


def by(name, levels, seed=0, ids=IDS):
    return rounded(levels, Rounding.of(name), seed=seed, ids=ids).astype(np.int64)


@settings(deadline=None)
@given(LEVELS, st.integers(0, 2**64 - 1))
def test_every_rounding_gives_a_neighbour(levels, seed):
    for rounding in Rounding:
        found = rounded(levels, rounding, seed=seed, ids=IDS)
        assert found.dtype == np.uint8
        assert np.all((found == np.floor(levels)) | (found == np.ceil(levels)))
    assert np.all(np.abs(by("nearest", levels) - levels.astype(np.float64)) <= 0.5)
    assert np.all(by("floor", levels) <= levels)
    assert np.all(by("ceil", levels) >= levels)
    assert np.array_equal(by("truncate", levels), levels.astype(np.uint8))
    assert np.array_equal(by("truncate", levels), by("floor", levels))


@given(arrays(np.uint8, (2, 3, 3, 1)), st.sampled_from([np.float32, np.float64]))
def test_whole_levels_stay_whatever_the_rounding(images, dtype):
    for rounding in Rounding:
        assert np.array_equal(rounded(images.astype(dtype), rounding, seed=1, ids=IDS), images)


@given(LEVELS, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_stochastic_rounding_belongs_to_the_image(levels, seed, name):
    alone = by("stochastic", levels[1:], seed, np.array([name]))
    together = by("stochastic", levels, seed, np.array([name + 1, name]))
    assert np.array_equal(together[1:], alone)


def test_stochastic_rounding_is_unbiased_and_differs_by_seed_and_image():
    levels = np.full((2, 100, 100, 1), 7.3)
    found = by("stochastic", levels)
    # Six standard errors of the mean of 10,000 draws.
    assert found[0].mean() == pytest.approx(7.3, abs=6 * np.sqrt(0.21 / 10_000))
    assert set(found.ravel()) == {7, 8}
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(by("stochastic", levels, seed=1), found)


def test_nearest_takes_halves_to_even():
    assert by("nearest", np.array([0.5, 1.5, 2.5, 254.5]).reshape(1, 1, 4, 1), ids=IDS[:1]).ravel().tolist() == [
        0,
        2,
        2,
        254,
    ]


@settings(deadline=None)
@given(
    st.sampled_from(["png", "webp", "none"]),
    st.sampled_from([1, 3, 4]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_lossless_codecs_lose_nothing(name, channels, height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    if channels == 4:
        image[0, 0, 3] = 0
    assert np.array_equal(dfa.Codec.of(name).round_trip(image, 0), image)


@settings(deadline=None)
@given(st.sampled_from([1, 3]), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_jpeg_keeps_the_shape_and_is_pillows(channels, quality, seed):
    import io

    image = np.random.default_rng(seed).integers(0, 256, (9, 8, channels), dtype=np.uint8)
    found = dfa.Codec.of(f"jpeg:{quality}").round_trip(image, 0)
    file = io.BytesIO()
    PIL.Image.fromarray(image[:, :, 0] if channels == 1 else image).save(file, "JPEG", quality=quality)
    assert np.array_equal(found, np.asarray(PIL.Image.open(file)).reshape(image.shape))


def test_codecs_go_through_a_file_of_their_format(monkeypatch):
    written, read = [], []
    save, opened = PIL.Image.Image.save, PIL.Image.open

    def watch_save(self, file, file_format, **options):
        written.append((file_format, options.get("lossless"), options.get("quality")))
        save(self, file, file_format, **options)

    def watch_open(file, **options):
        image = opened(file, **options)
        read.append(image.format)
        return image

    monkeypatch.setattr(PIL.Image.Image, "save", watch_save)
    monkeypatch.setattr(PIL.Image, "open", watch_open)
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    for name in ("png", "webp", "jpeg:30", "none"):
        dfa.Codec.of(name).round_trip(image, 0)
    # The PNG is written by hand, and read by Pillow, which checks its sums.
    assert written == [("WEBP", True, 0), ("JPEG", None, 30)]
    assert read == ["PNG", "WEBP", "JPEG"]


@pytest.mark.parametrize(("name", "channels"), [("png", 2), ("webp", 5), ("jpeg:90", 4)])
def test_a_codec_says_how_many_channels_it_holds(name, channels):
    with pytest.raises(InvalidInputError, match=f"image 3.*channels, not {channels}"):
        dfa.Codec.of(name).round_trip(np.zeros((4, 4, channels), dtype=np.uint8), 3)


def test_a_pillow_without_webp_is_named(monkeypatch):
    monkeypatch.setattr(PIL.features, "check", lambda feature: False)
    with pytest.raises(MissingDependencyError, match="built with WebP"):
        dfa.Codec.of("webp")


@given(
    array_shapes(min_dims=1, max_dims=3, max_side=3).flatmap(
        lambda shape: arrays(np.float64, (3, *shape), elements=st.floats(-1e6, 1e6))
    )
)
@settings(deadline=None, max_examples=30)
def test_files_hold_what_was_written(tmp_path_factory, vectors):
    folder = tmp_path_factory.mktemp("vectors")
    shape = vectors.shape[1:]
    np.save(folder / "a.npy", vectors)
    np.savez(folder / "a.npz", vectors=vectors[:2], indices=[2, 0])
    rows = vectors.reshape(3, -1)
    header = ",".join(f"x{i}" for i in range(rows.shape[1]))
    lines = [",".join(repr(float(value)) for value in row) for row in rows]
    (folder / "a.csv").write_text("\n".join([header, *lines]) + "\n")
    (folder / "b.csv").write_text("\n".join(["index," + header, "1," + lines[0]]) + "\n")
    for name in ("a.npy", "a.csv"):
        read = read_vectors(folder / name, 3, shape)
        assert read.present.all()
        assert read.shape == shape
        assert np.array_equal(read.load(np.array([2, 0])), vectors[[2, 0]])
    some = read_vectors(str(folder / "a.npz"), 4, shape)
    assert some.present.tolist() == [True, False, True, False]
    assert np.array_equal(some.load(np.array([0, 2])), vectors[[1, 0]])
    one = read_vectors(folder / "b.csv", 3, shape)
    assert one.present.tolist() == [False, True, False]
    assert np.array_equal(one.load(np.array([1])), vectors[:1])


def test_npy_files_are_read_lazily_and_never_changed(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    read = read_vectors(tmp_path / "a.npy", 3, (2,))
    assert isinstance(read._vectors, np.memmap)
    for indices in ([0], [2, 0]):
        with pytest.raises(ValueError, match="read-only"):
            read.load(np.array(indices))[:] = 7
    assert np.load(tmp_path / "a.npy").tolist() == [[1, 1]] * 3


def test_originals_without_a_vector_count_as_failures(tmp_path):
    originals = np.full((4, 2, 2, 1), 100, dtype=np.uint8)
    path = tmp_path / "witnesses.csv"
    path.write_text("index,a,b,c,d\n2,0.5,0.5,0.5,0.5\n0,0.4,0.4,0.4,0.4\n")

    def bright(levels):
        return np.stack([levels.mean(axis=(1, 2, 3)) < 110 / 255, levels.mean(axis=(1, 2, 3)) >= 110 / 255], 1) * 1.0

    report = dfa.audit(lambda d: bright(d / 255), originals, path, vector_oracle=bright)
    assert report.present.tolist() == [True, False, True, False]
    assert (report.summary().attacked, report.summary().vectors, report.summary().files) == (4, 1, 1)
    assert [record.reason for record in report.records] == ["", "no vector", "", "no vector"]
    assert report.records[1].linf_vector is None
    assert report.records[1].class_file is None
    assert report.queries == {"clean": 4, "vectors": 2, "images": 2, "vectors_clean": 4}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"no", "must be a .npy or .npz file of NumPy"),
        ("a.npz", b"no", "must be a .npy or .npz file of NumPy"),
        ("gone.npy", None, "gone.npy.: No such file"),
        ("a.csv", b"", "must begin with a header of 4 columns"),
        ("a.csv", b"a,b,c\n1,2,3\n", "must begin with a header of 4 columns.*begins with 3"),
        ("a.csv", b"1,2,3,4\n1,2,3,4\n", "which are numbers"),
        ("a.csv", b"a,b,c,d\n1,2,3\n", "line 2: must have 4 columns"),
        ("a.csv", b"a,b,c,d\n1,2,3,x\n", "line 2.*could not convert"),
        ("a.csv", b"index,a,b,c,d\n0.5,1,2,3,4\n", "line 2"),
        ("a.csv", b"index,a,b,c,d\n3,1,2,3,4\n", r"indices must be 0\.\.2, got 3\.\.3"),
        ("a.csv", b"index,a,b,c,d\n-1,1,2,3,4\n", r"indices must be 0\.\.2"),
        ("a.csv", b"index,a,b,c,d\n1,1,2,3,4\n1,1,2,3,4\n", "name one twice"),
        ("a.csv", b"a,b,c,d\n1,2,3,4\n", "one per original, here 3, got 1"),
    ],
)
def test_files_that_hold_something_else(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=message):
        read_vectors(tmp_path / name, 3, (4,))


def test_npz_files_must_name_their_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((3, 4)))
    with pytest.raises(InvalidInputError, match=r"named 'vectors', and holds \['x'\]"):
        read_vectors(tmp_path / "a.npz", 3, (4,))
    np.savez(tmp_path / "b.npz", vectors=np.ones((3, 4)), indices=[0.0, 1.0, 2.0])
    with pytest.raises(InvalidInputError, match="indices must be integers"):
        read_vectors(tmp_path / "b.npz", 3, (4,))


def test_vector_oracles_take_probabilities_and_logits_alike():
    oracle = as_vector_oracle(lambda vectors: np.array([[0.2, 0.8], [0.7, 0.3]]))
    assert oracle.scores(np.zeros((2, 1))).argmax(axis=1).tolist() == [1, 0]
    assert as_vector_oracle(oracle) is oracle
    with pytest.raises(InvalidInputError, match="needs a function"):
        VectorOracle(VectorOracle)
