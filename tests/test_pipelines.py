"""Steps in front of a model: what each makes of an image, and that the whole is an oracle like any other."""

from __future__ import annotations

import doctest
import io

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import dfa
from dfa.oracle.pipelines import BitDepth, Jpeg, Median, Pipeline, RandomResizePad, Vote
from oracles import LinearClassifier, Recorder, brightness, random_images
from outcomes import timeless

SHAPE = (9, 8, 3)
IMAGES = random_images(12, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)

batches = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).flatmap(
    lambda shape: npst.arrays(np.uint8, shape)
)
FIXED = [Jpeg(75), BitDepth(3), Median(3), Median(5)]


def test_the_example_of_the_module_runs():
    results = doctest.testmod(dfa.pipelines)
    assert results.attempted >= 6
    assert results.failed == 0


# --------------------------------------------------------------------------------------------------- the steps


def test_jpeg_is_what_pillow_reads_of_what_it_writes():
    file = io.BytesIO()
    PIL.Image.fromarray(IMAGES[0]).save(file, "JPEG", quality=40)
    np.testing.assert_array_equal(Jpeg(40)(IMAGES[:2])[0], np.asarray(PIL.Image.open(file)))
    grey = IMAGES[:1, :, :, :1]
    assert Jpeg(95)(grey).shape == grey.shape
    assert (Jpeg(95)(IMAGES) != Jpeg(40)(IMAGES)).any()


def test_jpeg_of_two_channels_is_refused():
    with pytest.raises(dfa.InvalidInputError, match="JPEG holds images of 1 or 3 channels, not 2"):
        Jpeg()(IMAGES[..., :2])


@pytest.mark.parametrize(
    ("bits", "levels"),
    [(1, [0, 255]), (2, [0, 85, 170, 255]), (3, [0, 36, 73, 109, 146, 182, 219, 255]), (8, list(range(256)))],
)
def test_bit_depth_leaves_so_many_levels_and_moves_values_to_the_nearest(bits, levels):
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    reduced = BitDepth(bits)(values)
    assert np.unique(reduced).tolist() == levels
    distances = np.abs(values.astype(int) - reduced).ravel()
    nearest = np.abs(np.arange(256)[:, None] - np.array(levels)).min(axis=1)
    assert (distances - nearest <= 1).all()
    assert BitDepth(bits)(reduced).tolist() == reduced.tolist()


def test_a_lone_spike_does_not_survive_the_median_and_an_edge_does():
    image = np.zeros((1, 5, 6, 2), dtype=np.uint8)
    image[0, :, 3:, 0] = 200
    image[0, 2, 1, 0] = image[0, 0, 0, 1] = 255
    wanted = np.zeros_like(image)
    wanted[0, :, 3:, 0] = 200
    np.testing.assert_array_equal(Median(3)(image), wanted)


@settings(max_examples=60, deadline=None)
@given(batches, st.sampled_from([3, 5, 7]))
def test_the_median_is_that_of_the_square_with_edges_repeated_and_channels_apart(images, size):
    wanted = np.stack([scipy.ndimage.median_filter(each, size=(size, size, 1), mode="nearest") for each in images])
    np.testing.assert_array_equal(Median(size)(images), wanted)


@settings(max_examples=40, deadline=None)
@given(batches, st.floats(0.2, 1), st.integers(0, 99))
def test_a_resized_and_padded_image_is_a_shrunken_one_on_a_canvas(images, smallest, seed):
    # White images show where they were put.
    placed = RandomResizePad(smallest, seed)(np.full_like(images, 255))
    assert placed.shape == images.shape
    for image in placed:
        rows, columns = np.flatnonzero(image.any(axis=(1, 2))), np.flatnonzero(image.any(axis=(0, 2)))
        assert len(rows) >= np.ceil(smallest * len(image)) or len(rows) == 1
        assert (np.diff(rows) == 1).all()
        assert (np.diff(columns) == 1).all()
        assert (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 255).all()
        assert len(columns) == max(1, round(image.shape[1] * len(rows) / len(image)))
    same = RandomResizePad(smallest, seed)(images)
    assert set(np.unique(same)) <= {0, *np.unique(images).tolist()}


def test_resizing_takes_the_nearest_pixels():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    halves = RandomResizePad(0.5, 3, fill=99)
    seen = {tuple(placed[placed != 99].tolist()) for _ in range(40) for placed in halves(image)}
    assert (5, 7, 13, 15) in seen
    assert tuple(range(16)) in seen
    assert {len(each) for each in seen} == {4, 9, 16}


def test_sizes_and_places_are_all_equally_likely():
    placed = RandomResizePad(0.5, 0)(np.full((9_000, 4, 4, 1), 255, dtype=np.uint8))
    sides = np.array([image.any(axis=(1, 2)).sum() for image in placed])
    assert np.bincount(sides)[2:] == pytest.approx([3_000] * 3, rel=0.1)
    tops = [int(image.any(axis=(1, 2)).argmax()) for image, side in zip(placed, sides, strict=True) if side == 2]
    lefts = [int(image.any(axis=(0, 2)).argmax()) for image, side in zip(placed, sides, strict=True) if side == 2]
    for places in (tops, lefts):
        assert np.bincount(places) == pytest.approx([len(places) / 3] * 3, rel=0.1)


def test_draws_belong_to_the_generator_and_images_take_them_in_order():
    whole = RandomResizePad(0.5, 7)(IMAGES)
    parts = RandomResizePad(0.5, 7)
    np.testing.assert_array_equal(np.concatenate([parts(IMAGES[:5]), parts(IMAGES[5:])]), whole)
    np.testing.assert_array_equal(RandomResizePad(0.5, np.random.default_rng(7))(IMAGES), whole)
    assert (parts(IMAGES) != whole).any()
    np.random.seed(0)
    state = np.random.get_state()[1].tolist()
    RandomResizePad(0.5, 7)(IMAGES)
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize("step", [*FIXED, RandomResizePad(0.5)], ids=repr)
def test_a_step_leaves_its_batch_alone(step):
    batch = IMAGES.copy()
    batch.flags.writeable = False
    made = step(batch)
    assert made.dtype == np.uint8
    assert not np.shares_memory(made, batch)
    np.testing.assert_array_equal(batch, IMAGES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jpeg(0), r"quality must be an integer in 1\.\.100, got 0"),
        (lambda: Jpeg(75.0), r"quality must be an integer in 1\.\.100, got 75\.0"),
        (lambda: BitDepth(9), r"bits must be an integer in 1\.\.8, got 9"),
        (lambda: Median(4), "size must be odd"),
        (lambda: Median(1), r"size must be an integer in 3\.\.99"),
        (lambda: RandomResizePad(0.0), r"smallest must be a share of the height, in \(0, 1\], got 0\.0"),
        (lambda: RandomResizePad(0.9, "x"), "seed must be an integer"),
        (lambda: RandomResizePad(0.9, fill=256), r"fill must be an integer in 0\.\.255, got 256"),
        (lambda: Pipeline(Jpeg(75), CLASSIFIER), "steps must be a list of functions of a uint8 batch"),
        (lambda: Pipeline([75], CLASSIFIER), "steps must be a list of functions of a uint8 batch"),
        (lambda: Pipeline([Jpeg(75)], 3), "as_oracle needs"),
        (lambda: Pipeline([Jpeg(75)], CLASSIFIER, threads=0), "threads must be an integer of at least 1"),
        (lambda: Vote([CLASSIFIER]), "a vote needs a list of at least two models"),
        (lambda: Vote([CLASSIFIER, CLASSIFIER], by="luck"), "by must be 'votes' or 'probabilities'"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        make()


# ------------------------------------------------------------------------------------------------ the pipeline


def test_steps_come_one_after_the_other_and_then_the_model():
    seen = Recorder(CLASSIFIER)
    pipeline = Pipeline([BitDepth(2), Median(3), lambda images: 255 - images], seen)
    answer = pipeline.scores(IMAGES)
    wanted = 255 - Median(3)(BitDepth(2)(IMAGES))
    np.testing.assert_array_equal(seen.images, wanted)
    np.testing.assert_array_equal(pipeline.transform(IMAGES), wanted)
    np.testing.assert_array_equal(answer, CLASSIFIER(wanted))
    assert pipeline.name.startswith("BitDepth(bits=2) > Median(size=3) > ")
    assert pipeline.name.endswith("<lambda> > Recorder")


@pytest.mark.parametrize("step", FIXED, ids=repr)
@pytest.mark.parametrize("threads", [2, 3, 40])
def test_threads_and_batches_make_no_difference(step, threads):
    alone = np.concatenate([step(IMAGES[row : row + 1]) for row in range(len(IMAGES))])
    np.testing.assert_array_equal(step(IMAGES), alone)
    np.testing.assert_array_equal(step(IMAGES[::-1])[::-1], alone)
    np.testing.assert_array_equal(Pipeline([step], CLASSIFIER, threads=threads).transform(IMAGES), alone)


def test_a_run_through_a_pipeline_is_exact_and_counted_like_any_other():
    runs = []
    for batch_size, threads in ((256, 1), (5, 2), (16, 3)):
        seen = Recorder(CLASSIFIER)
        pipeline = Pipeline([Jpeg(75), Median(3)], seen, threads=threads)
        result = dfa.run(pipeline, IMAGES, epsilon=20, max_queries=200, batch_size=batch_size, progress=False)
        assert seen.num_images == result.profile.clean + result.profile.verification + result.queries_sent.sum()
        runs.append(result)
    first = runs[0]
    assert first.success.sum() > 5
    for result in runs[1:]:
        assert timeless(result.records) == timeless(first.records)
    for record in first.records:
        if record.verified:
            through = Median(3)(Jpeg(75)(first.images[record.index][None]))
            assert CLASSIFIER.classes(through)[0] == record.class_after != record.class_before


def test_a_random_pipeline_gives_the_same_run_again():
    def attack():
        pipeline = Pipeline([RandomResizePad(0.8, 5)], CLASSIFIER)
        return dfa.run(
            pipeline, IMAGES, epsilon=20, max_queries=150, confirmations=dfa.Confirmation(4, of=5), progress=False
        )

    first, again = attack(), attack()
    assert timeless(first.records) == timeless(again.records)
    assert first.success.any()
    assert sum(record.unconfirmed for record in first.records) > 0


def test_a_step_may_change_the_shape_and_the_model_gets_ready_for_what_comes_out():
    class Model(dfa.Oracle):
        prepared = None

        def prepare(self, shape, batch_size):
            self.prepared = shape, batch_size

        def scores(self, images):
            return brightness(images)

    model = Model()
    pipeline = Pipeline([lambda images: images[:, ::2, ::2], RandomResizePad(0.5)], model)
    pipeline.prepare((9, 8, 3), 16)
    assert model.prepared == ((5, 4, 3), 16)


def test_preparing_draws_nothing():
    pipeline = Pipeline([RandomResizePad(0.5, 3)], CLASSIFIER)
    for _ in range(3):
        pipeline.prepare(SHAPE, 4)
    np.testing.assert_array_equal(pipeline.transform(IMAGES), RandomResizePad(0.5, 3)(IMAGES))


@pytest.mark.parametrize(
    "wrong", [lambda images: images / 255, lambda images: images[0], lambda images: images[1:], lambda images: None]
)
def test_a_step_that_makes_no_batch_of_images_is_named(wrong):
    pipeline = Pipeline([Jpeg(75), wrong], CLASSIFIER)
    with pytest.raises(
        dfa.OracleError, match=r"the step .*<lambda> must make uint8 images \(n, H, W, C\) of 12 images"
    ):
        pipeline.transform(IMAGES)
    with pytest.raises(dfa.OracleError, match=r"must make uint8 images"):
        dfa.run(pipeline, IMAGES, progress=False)


def test_a_step_that_writes_into_its_batch_fails_and_changes_nothing():
    def darken(images):
        images //= 2
        return images

    with pytest.raises(dfa.OracleError, match="read-only"):
        dfa.run(Pipeline([darken], CLASSIFIER), IMAGES, progress=False)


def test_what_records_keep_of_a_pipeline():
    class Model(dfa.Oracle):
        name, returns, tolerance = "net", dfa.oracle.ScoreKind.LOGITS, 0.5

        def scores(self, images):
            return images

        def fingerprint(self):
            return "abc"

    one, same = (Pipeline([Jpeg(75), RandomResizePad(0.9, 4)], Model()) for _ in range(2))
    assert one.describe() == {
        "kind": "pipeline",
        "name": "Jpeg(quality=75) > RandomResizePad(smallest=0.9, seed=4, fill=0) > net",
        "returns": "logits",
        "tolerance": 0.5,
        "steps": ["Jpeg(quality=75)", "RandomResizePad(smallest=0.9, seed=4, fill=0)"],
        "model": {"kind": "custom", "name": "net", "returns": "logits", "tolerance": 0.5},
    }
    others = [Pipeline([Jpeg(76)], Model()), Pipeline([], Model()), Pipeline([Jpeg(75), BitDepth(1)], Model())]
    assert one.fingerprint() == same.fingerprint()
    assert len({each.fingerprint() for each in (one, *others)}) == 4
    assert Pipeline([Jpeg(75)], CLASSIFIER).fingerprint() is None


# ---------------------------------------------------------------------------------------------------- the vote


def fixed(*rows):
    return lambda images: np.array(rows)[: len(images)]


def test_votes_are_counted_and_probabilities_averaged():
    one = fixed([0.6, 0.4, 0.0], [0.5, 0.2, 0.3])
    two = fixed([0.1, 0.8, 0.1], [0.4, 0.3, 0.3])
    three = fixed([0.2, 0.5, 0.3], [0.1, 0.2, 0.7])
    images = IMAGES[:2]
    np.testing.assert_allclose(Vote([one, two, three]).scores(images), [[1 / 3, 2 / 3, 0], [2 / 3, 0, 1 / 3]])
    means = Vote([one, two, three], by="probabilities").scores(images)
    np.testing.assert_allclose(means, [[0.3, 1.7 / 3, 0.4 / 3], [1 / 3, 0.7 / 3, 1.3 / 3]])


def test_members_may_return_logits_and_stand_behind_pipelines():
    logits = dfa.as_oracle(lambda images: np.tile([0.0, 30.0], (len(images), 1)), returns="logits")
    vote = Vote([logits, Pipeline([BitDepth(1)], brightness), brightness], by="votes")
    result = dfa.run(vote, np.full((2, 4, 4, 1), 126, dtype=np.uint8), epsilon=10, progress=False)
    assert result.success.all()
    assert result.class_after.tolist() == [1, 1]


def test_a_vote_of_other_classes_or_a_broken_member_is_an_error():
    with pytest.raises(dfa.OracleError, match=r"must know the same classes, and know \[10, 2\]"):
        dfa.run(Vote([CLASSIFIER, brightness]), IMAGES, progress=False)
    with pytest.raises(dfa.OracleError, match="sum to 1"):
        dfa.run(Vote([lambda images: np.ones((len(images), 10)), CLASSIFIER]), IMAGES, progress=False)


def test_an_image_sent_to_a_vote_is_one_query():
    members = [Recorder(CLASSIFIER), Recorder(LinearClassifier(SHAPE, seed=2))]
    result = dfa.run(Vote(members), IMAGES, epsilon=9, max_queries=60, progress=False)
    number = result.profile.clean + result.profile.verification + result.queries_sent.sum()
    assert [member.num_images for member in members] == [number, number]
    assert Vote(members).fingerprint() is None
