"""The audit: rates known in advance, exact accounting, independence of order and batch, and clear errors."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest

import dfa
from dfa.auditing import bars, wilson
from dfa.auditing.audit_report import AuditReport
from dfa.auditing.audit_summary import table
from dfa.errors import InvalidInputError, MissingDependencyError, OracleError
from oracles import Recorder, random_images

LIMIT = 400.9
"""Above it in sum, an image or a vector of `images_of_sum_400` is of class 1."""


def images_of_sum_400(number):
    """Different images of 2x2 values of sum 400."""
    spread = np.arange(number)
    flat = np.stack([100 + spread, 100 - spread, np.full(number, 100), np.full(number, 100)], axis=1)
    return flat.reshape(number, 2, 2, 1).astype(np.uint8)


def by_sum(levels):
    """Class 1 where the levels sum up past the limit; exact, as sums of few small numbers are."""
    above = levels.reshape(len(levels), -1).astype(np.float64).sum(axis=1) > LIMIT
    return np.stack([np.where(above, 0.25, 0.75), np.where(above, 0.75, 0.25)], axis=1)


def by_sum_of_vectors(vectors):
    return by_sum(vectors.astype(np.float64) * 255)


# Six successes that nearest rounding loses, three that only truncation loses, and one failure.
SHIFTS = np.array([0.3] * 6 + [0.6] * 3 + [0.0])
ORIGINALS = images_of_sum_400(10)
VECTORS = (ORIGINALS + SHIFTS[:, None, None, None]) / 255
ZEROS = np.zeros(10, dtype=np.int64)


def audit(vectors=VECTORS, originals=ORIGINALS, oracle=by_sum, **arguments):
    arguments.setdefault("vector_oracle", by_sum_of_vectors)
    return dfa.audit(oracle, originals, vectors, **arguments)


@pytest.mark.parametrize(("rounding", "files"), [("nearest", 3), ("truncate", 0), ("floor", 0), ("ceil", 9)])
def test_rates_are_what_they_must_be(rounding, files):
    summary = audit(rounding=rounding).summary()
    assert (summary.attacked, summary.vectors, summary.images, summary.files) == (10, 9, files, files)
    assert (0.9, files / 10) == (summary.SR, summary.TSR)
    assert pytest.approx((0.9 - files / 10) / 0.9) == summary.GAP
    assert summary.gained == 0
    assert summary.SR_interval == wilson(9, 10)
    assert summary.TSR_interval == wilson(files, 10)
    assert summary.GAP_interval == wilson(9 - files, 9)


def test_an_image_that_rounding_alone_makes_adversarial_is_in_no_rate():
    vectors = (ORIGINALS + 0.1) / 255
    summary = audit(vectors, rounding="ceil").summary()
    assert (summary.vectors, summary.images, summary.files, summary.gained) == (0, 0, 0, 10)
    assert (summary.SR, summary.TSR) == (0, 0)
    assert math.isnan(summary.GAP)


def test_images_that_are_misclassified_from_the_start_are_left_out():
    labels = ZEROS.copy()
    labels[[0, 8]] = 1
    report = audit(labels=labels)
    assert report.attacked.tolist() == [False] + [True] * 7 + [False, True]
    assert (report.summary().attacked, report.summary().vectors, report.summary().files) == (8, 7, 2)
    assert report.records[0].reason == "misclassified"
    assert report.records[0].class_image is None
    assert report.queries["vectors"] == 8


def test_targets():
    report = audit(targets=1)
    assert report.summary().files == 3
    assert report.targets.tolist() == [1] * 10
    assert audit(targets=dfa.rank(2)).summary().files == 3
    with pytest.warns(dfa.MostSkippedWarning, match="10 are of the target class already"):
        report = audit(targets=0)
    assert report.summary().attacked == 0
    assert {record.reason for record in report.records} == {"already the target class"}


def test_a_targeted_vector_of_a_third_class_is_no_success():
    def three(levels):
        scores = by_sum(levels)
        return np.concatenate([scores * 0.5, np.full((len(scores), 1), 0.5)], axis=1)[:, [0, 2, 1]]

    def of_vectors(vectors):
        return three(vectors * 255)

    report = dfa.audit(three, ORIGINALS, VECTORS, targets=2, vector_oracle=of_vectors)
    assert report.summary().vectors == 0


def test_the_attacks_own_word_may_be_taken():
    claimed = np.array([True] * 4 + [False] * 6)
    report = dfa.audit(by_sum, ORIGINALS, VECTORS, claimed=claimed)
    assert report.adversarial_vector.tolist() == claimed.tolist()
    assert report.summary().SR == 0.4
    assert report.summary().gained == 3
    assert report.queries["vectors"] == 0
    assert report.records[0].class_vector is None


def test_without_an_oracle_of_images_the_model_stands_behind_the_normalizer():
    report = dfa.audit(None, ORIGINALS, VECTORS, vector_oracle=by_sum_of_vectors)
    assert report.summary().files == 3
    assert report.queries == {"clean": 10, "images": 3, "vectors": 10, "vectors_clean": 0}


def test_distances_and_the_budget():
    report = audit(epsilon=0.6 + 1, rounding=["nearest", "ceil"])
    assert report.linf_vector == pytest.approx(SHIFTS)
    assert report.linf_image.tolist() == [[0] * 6 + [1] * 3 + [0], [1] * 9 + [0]]
    assert not report.budget_broken.any()
    shifts = np.where(np.arange(10) < 5, 2.6, 2.4)
    report = audit((ORIGINALS + shifts[:, None, None, None]) / 255, epsilon=2.6)
    assert report.budget_broken[0].tolist() == [True] * 5 + [False] * 5
    assert report.summary().budget_broken == 5
    # A vector that was outside by itself is not rounding's fault.
    report = audit((ORIGINALS + shifts[:, None, None, None]) / 255, epsilon=2.5)
    assert not report.budget_broken.any()
    assert audit().budget_broken is None


def test_an_epsilon_of_whole_levels_survives_float32():
    vectors = np.clip(ORIGINALS.astype(np.float32) / 255 + np.float32(8 / 255), 0, 1)
    report = audit(vectors, epsilon=8)
    assert report.linf_image.max() == 8
    assert not report.budget_broken.any()


def test_truncation_breaks_the_budget_of_a_float32_attack():
    originals = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    vectors = np.clip(originals.astype(np.float32) / 255 - np.float32(8 / 255), 0, 1)
    report = dfa.audit(by_sum, originals, vectors, claimed=[True], epsilon=8, rounding=["truncate", "nearest"])
    assert report.linf_image.tolist() == [[9], [8]]
    assert report.budget_broken.tolist() == [[True], [False]]


def test_what_was_asked_before_is_not_asked_again():
    recorder = Recorder(by_sum)
    report = audit(oracle=recorder, rounding=["nearest", "floor", "ceil"], codec=["png", "webp", "none"])
    # Clean images; nearest equals the original six times and once, and moves three; floor never moves; ceil moves the
    # first nine, three of them as nearest does.
    assert report.queries == {"clean": 10, "images": 3 + 6, "vectors": 10, "vectors_clean": 10}
    assert recorder.num_images == 19
    assert {summary.files for summary in report.summaries()[:3]} == {3}
    assert {summary.files for summary in report.summaries()[3:6]} == {0}
    assert {summary.files for summary in report.summaries()[6:]} == {9}


def test_results_do_not_depend_on_batch_threads_or_order():
    originals = random_images(41, (5, 4, 3))
    vectors = np.clip(originals / 255 + np.random.default_rng(1).uniform(-0.05, 0.05, originals.shape), 0, 1)
    weights = np.random.default_rng(2).integers(-9, 10, (60, 4))

    def model(batch):
        return np.rint(batch.reshape(len(batch), -1) * 255 * 64) @ weights

    everything = {"rounding": ["stochastic", "nearest"], "codec": ["png", "jpeg:60"], "seed": 3}
    wanted = dfa.audit(None, originals, vectors, vector_oracle=model, **everything)
    assert len(set(wanted.class_file.ravel())) > 2
    for batch_size, threads in ((1, 1), (7, 3), (40, 2)):
        found = dfa.audit(
            None, originals, vectors, vector_oracle=model, batch_size=batch_size, threads=threads, **everything
        )
        assert found.records == wanted.records
        assert found.queries == wanted.queries
    order = np.random.default_rng(4).permutation(41)
    found = dfa.audit(None, originals[order], vectors[order], vector_oracle=model, **everything)
    assert np.array_equal(found.class_file, wanted.class_file[..., order])
    assert np.array_equal(found.linf_file, wanted.linf_file[..., order])
    other = dfa.audit(None, originals, vectors, vector_oracle=model, **(everything | {"seed": 4}))
    assert not np.array_equal(other.linf_image[0], wanted.linf_image[0]) or not np.array_equal(
        other.class_image[0], wanted.class_image[0]
    )
    assert np.array_equal(other.class_image[1], wanted.class_image[1])


def test_no_batch_is_larger_than_it_may_be():
    recorder, of_vectors = Recorder(by_sum), Recorder(by_sum_of_vectors)
    audit(oracle=recorder, vector_oracle=of_vectors, batch_size=4, rounding=["nearest", "ceil"])
    assert max(map(len, recorder.batches)) == 4
    assert max(map(len, of_vectors.batches)) == 4


def test_writing_images_runs_beside_the_oracle():
    busy, beside = threading.Event(), threading.Event()

    def slow(levels):
        busy.set()
        time.sleep(0.05)
        busy.clear()
        return by_sum(levels)

    def codec(image):
        if busy.is_set():
            beside.set()
        return image

    audit(oracle=slow, codec=dfa.Codec("mine", codec), batch_size=2)
    assert beside.is_set()


def test_a_lossy_codec_is_asked_apart_from_the_rounded_image():
    def darker(image):
        return (image - 1).astype(np.uint8)

    report = audit(rounding="ceil", codec=["none", dfa.Codec("darker", darker)])
    assert report.adversarial_image[0].sum() == 9
    assert report.adversarial_file[0].sum(axis=1).tolist() == [9, 0]
    summary = report.summary(codec="darker")
    assert (summary.images, summary.files, summary.TSR) == (9, 0, 0)
    assert report.summary("ceil", report.codecs[1]) == summary


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "normalizer",
    [
        dfa.Affine(),
        dfa.Affine(mean=0.5, std=0.5),
        dfa.Affine(white=255.0),
        dfa.Affine(mean=(0.4, 0.5, 0.6), std=(0.2, 0.21, 0.22)),
        dfa.Affine(mean=(0.4, 0.5, 0.6), std=(0.2, 0.21, 0.22), layout="NCHW"),
        dfa.Affine.between(-2, 5, layout="NCHW"),
        (lambda d: d[..., ::-1].astype(np.float64) - 7, lambda v: (v + 7)[..., ::-1]),
    ],
    ids=["0..1", "-1..1", "0..255", "mean/std", "mean/std NCHW", "between", "pair"],
)
def test_every_space_gives_the_images_back(normalizer, dtype):
    originals = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 3), dtype=np.uint8)
    space = dfa.Normalizer(*normalizer) if isinstance(normalizer, tuple) else normalizer
    vectors = np.asarray(space.vectors(originals)).astype(dtype)
    recorder = Recorder(by_sum)
    report = dfa.audit(recorder, originals, vectors, claimed=[True] * 6, normalizer=normalizer)
    assert report.linf_image.tolist() == [[0] * 6]
    assert report.queries["images"] == 0
    assert np.array_equal(recorder.images, originals)


def test_vectors_reach_their_model_as_they_were_given():
    vectors = np.moveaxis(VECTORS, -1, 1).astype(np.float32)
    recorder = Recorder(by_sum_of_vectors)
    dfa.audit(None, ORIGINALS, vectors, normalizer=dfa.Affine(layout="NCHW"), vector_oracle=recorder, batch_size=100)
    (asked,) = [batch for batch in recorder.batches if np.array_equal(batch, vectors)]
    assert asked.dtype == np.float32


def test_a_keras_model_answers_for_vectors_too():
    keras = pytest.importorskip("keras")
    inputs = keras.Input((2, 2, 1))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(outputs))
    model.layers[-2].set_weights([np.array([[-0.5, 0.5]] * 4), np.array([LIMIT / 2, -LIMIT / 2])])
    report = dfa.audit(model, ORIGINALS, VECTORS.astype(np.float32))
    assert (report.summary().vectors, report.summary().files) == (9, 3)
    of_plain = dfa.audit(
        by_sum, ORIGINALS, VECTORS.astype(np.float32) * 255, vector_oracle=model, normalizer=dfa.Affine(white=255.0)
    )
    assert np.array_equal(of_plain.class_vector, report.class_vector)


def test_a_torch_module_in_eval_mode_answers_for_vectors():
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(4))
            self.modes = []

        def forward(self, x):
            self.modes.append((self.training, torch.is_grad_enabled()))
            above = (x.flatten(1) * 255 * self.weight).sum(1) - LIMIT
            return torch.stack([-above, above], dim=1)

    module = Module()
    vectors = torch.tensor(np.moveaxis(VECTORS, -1, 1), requires_grad=True)
    with pytest.raises(InvalidInputError, match=r"call model\.eval"):
        dfa.audit(None, ORIGINALS, vectors, vector_oracle=module, normalizer=dfa.Affine(layout="NCHW"))
    assert module.training
    module.eval()
    report = dfa.audit(None, ORIGINALS, vectors, vector_oracle=module, normalizer=dfa.Affine(layout="NCHW"))
    assert (report.summary().vectors, report.summary().files) == (9, 3)
    assert set(module.modes) == {(False, False)}


def test_records_table_pandas_and_picture(tmp_path):
    report = audit(rounding=["nearest", "ceil"], codec=["png", "none"], epsilon=1, labels=ZEROS)
    assert [(r.rounding, r.codec, r.index) for r in report.records[9:12]] == [
        ("nearest", "png", 9),
        ("nearest", "none", 0),
        ("nearest", "none", 1),
    ]
    record = report.records[6]
    assert (record.class_before, record.class_vector, record.class_image, record.class_file) == (0, 1, 1, 1)
    assert (record.adversarial_vector, record.adversarial_image, record.adversarial_file) == (True, True, True)
    assert (record.linf_image, record.linf_file, record.label, record.target) == (1, 1, 0, None)
    assert report.records[0].adversarial_vector
    assert not report.records[0].adversarial_image
    text = str(report)
    assert "GAP" in text.splitlines()[0]
    assert len(text.splitlines()) == 5
    assert "66.7 %" in text.splitlines()[1]
    assert table(report.summaries()) == text
    assert repr(report) == "AuditReport(10 vectors, 2 roundings, 2 codecs)"
    frame = report.to_pandas()
    assert len(frame) == 40
    assert frame.groupby(["rounding", "codec"]).adversarial_file.sum().to_dict() == {
        ("nearest", "png"): 3,
        ("nearest", "none"): 3,
        ("ceil", "png"): 9,
        ("ceil", "none"): 9,
    }
    pytest.importorskip("matplotlib")
    figure = report.plot(tmp_path / "bars.png")
    assert (tmp_path / "bars.png").stat().st_size > 1000
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == pytest.approx([90] * 4 + [30, 30, 90, 90] + [200 / 3, 200 / 3, 0, 0])
    with pytest.raises(InvalidInputError, match="at least one"):
        bars({})


def test_missing_pandas_and_matplotlib_are_named(monkeypatch):
    report = audit()
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"\[pandas\]"):
        report.to_pandas()
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"\[plots\]"):
        report.plot()


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634), (1, 1000, 0.000177, 0.005643)],
)
def test_wilson_intervals(part, whole, low, high):
    # Figures of the closed formula with z = 1.959964, as printed by other tools.
    assert wilson(part, whole) == pytest.approx((low, high), abs=1e-4)
    assert all(math.isnan(end) for end in wilson(0, 0))


def test_levels_a_little_outside_the_range_are_brought_back():
    originals = np.array([0, 255, 0, 255], dtype=np.uint8).reshape(1, 2, 2, 1)
    vectors = (originals + np.array([-0.01, 0.01, 0, 0]).reshape(1, 2, 2, 1)) / 255
    report = dfa.audit(by_sum, originals, vectors, claimed=[True], rounding=["floor", "ceil", "stochastic"])
    assert report.linf_image.tolist() == [[0], [0], [0]]


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vectors": VECTORS * 255}, r"vector 0 must lie within grey levels 0\.\.255, and its levels are .*25576\.5"),
        ({"vectors": VECTORS - 1}, "name the space"),
        ({"vectors": np.where(SHIFTS[:, None, None, None] == 0.0, np.nan, VECTORS)}, "vector 9 must hold finite"),
        ({"vectors": np.where(SHIFTS[:, None, None, None] == 0.6, np.inf, VECTORS)}, "vector 6 must hold finite"),
        ({"vectors": VECTORS[:9]}, "one per original, here 10, got 9"),
        ({"vectors": np.moveaxis(VECTORS, -1, 1)}, r"must be of shape \(N, 2, 2, 1\).*NCHW"),
        ({"vectors": ORIGINALS}, "must be floats, got uint8.*images are no vectors"),
        ({"vectors": "vectors.txt"}, r"\.npy, \.npz or \.csv"),
        ({"labels": [0] * 9}, r"labels must be None or integer class ids of shape \(10,\)"),
        ({"labels": [7] * 10}, r"class ids 0\.\.1"),
        ({"targets": [1] * 9}, "targets must be"),
        ({"rounding": "up"}, "rounding must be one of 'nearest'"),
        ({"rounding": []}, "rounding must name at least one"),
        ({"rounding": ["ceil", "ceil"]}, "name each one once"),
        ({"rounding": 3}, "rounding must be one of"),
        ({"codec": "gif"}, "codec must be 'png'"),
        ({"codec": "jpeg:0"}, r"quality of 1\.\.100"),
        ({"codec": "jpeg"}, r"quality of 1\.\.100"),
        ({"codec": dfa.Codec("crop", lambda image: image[1:])}, r"'crop' must keep the size.*\(1, 2, 1\) of image 0"),
        ({"codec": dfa.Codec("float", lambda image: image / 255)}, "'float' must give uint8"),
        ({"codec": dfa.Codec("bad", lambda image: 1 // 0)}, "'bad' failed on image 0.*ZeroDivisionError"),
        ({"epsilon": 0.03}, "did you mean 7.65"),
        ({"epsilon": 300}, "epsilon must be"),
        ({"epsilon": True}, "epsilon must be"),
        ({"seed": -1}, "seed must be an integer"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"threads": 0}, "threads must be an integer"),
        ({"normalizer": "0..1"}, "normalizer must be a dfa.Affine"),
        ({"normalizer": dfa.Affine}, "must be an instance"),
        ({"normalizer": (1, 2)}, "two functions"),
        ({"normalizer": (lambda d: d / 255, lambda v: v * 256)}, r"T\^-1\(T\(d\)\) = d.*comes back as"),
        ({"normalizer": (lambda d: d / 255, lambda v: v * np.nan)}, r"T\^-1\(T\(d\)\) = d"),
        (
            {"normalizer": (lambda d: d / 255, lambda v: np.rint(v * 255).astype(np.uint8))},
            "float grey levels that are not rounded yet",
        ),
        ({"normalizer": (lambda d: d, lambda v: v)}, "T must make float vectors"),
        ({"normalizer": (lambda d: d / 255, lambda v: v[:, :1] * 255)}, "must bring images of shape"),
        ({"normalizer": (lambda d: d / 255, lambda v: 1 // 0)}, "inverse of T failed.*ZeroDivisionError"),
        ({"normalizer": dfa.Affine(mean=(0.1, 0.2, 0.3))}, "3 for 1 channels"),
        ({"vector_oracle": None}, "pass vector_oracle=.*claimed="),
        ({"claimed": [True] * 10}, "not both"),
        ({"vector_oracle": 7}, "needs a function"),
        ({"vector_oracle": lambda v: by_sum_of_vectors(v)[:, ::-1]}, "calls 10 of the first 10 something else"),
        ({"vector_oracle": lambda v: np.ones((len(v), 3)) * [0, -1, -2.0]}, "2 classes, and knows 3"),
        ({"originals": ORIGINALS / 255}, "images must be uint8"),
        ({"oracle": None, "vector_oracle": None}, "needs an oracle of images"),
    ],
)
def test_what_cannot_be_audited_is_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        audit(**arguments)


def test_claims_must_be_booleans():
    with pytest.raises(InvalidInputError, match="claimed must be bool"):
        dfa.audit(by_sum, ORIGINALS, VECTORS, claimed=[1] * 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"std": 0.0}, "std must be finite and not 0"),
        ({"std": (0.2, 0.0)}, "std must be finite and not 0"),
        ({"mean": np.nan}, "mean must be finite"),
        ({"mean": "0.5"}, "mean must be a number or one per channel"),
        ({"mean": [[0.5]]}, "mean must be a number or one per channel"),
        ({"white": 0}, "white must be finite and not 0"),
        ({"white": (1, 2)}, "white must be a number"),
        ({"layout": "CHW"}, "layout must be one of 'NHWC', 'NCHW'"),
    ],
)
def test_affine_normalizers_are_checked(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        dfa.Affine(**arguments)


def test_between_needs_its_ends_in_order():
    with pytest.raises(InvalidInputError, match="low must be below high"):
        dfa.Affine.between(1, 1)


def test_an_error_late_in_an_audit_keeps_what_was_finished():
    def fails_late(levels):
        if recorder.num_images > 4:
            raise ConnectionError("gone")
        return by_sum(levels)

    recorder = Recorder(fails_late)
    with pytest.raises(OracleError, match="gone") as caught:
        audit(oracle=recorder, batch_size=4)
    report = caught.value.result
    assert isinstance(report, AuditReport)
    assert len(report) == 4
    assert report.summary().vectors == 4
    broken = VECTORS.copy()
    broken[8] = 3
    with pytest.raises(InvalidInputError, match="vector 8") as refused:
        audit(broken, batch_size=4)
    assert len(refused.value.result) == 8
    with pytest.raises(InvalidInputError) as early:
        audit(broken)
    assert early.value.result is None


def test_no_thread_outlives_an_audit():
    audit()
    with pytest.raises(InvalidInputError):
        audit(VECTORS * 255)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("dfa-audit")] == []


def test_an_interrupt_keeps_what_was_finished():
    def interrupted(levels):
        if recorder.num_images > 4:
            raise KeyboardInterrupt
        return by_sum(levels)

    recorder = Recorder(interrupted)
    with pytest.raises(dfa.Interrupted) as caught:
        audit(oracle=recorder, batch_size=4)
    assert len(caught.value.result) == 4


def test_what_was_not_audited_has_no_summary():
    report = audit()
    with pytest.raises(InvalidInputError, match="made with nearest"):
        report.summary("ceil")
    with pytest.raises(InvalidInputError, match="made with png"):
        report.summary(codec="webp")
