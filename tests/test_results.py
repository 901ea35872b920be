"""Records, their summary, and their copy on disk."""

from __future__ import annotations

import csv
import dataclasses
import gc
import json
import math
import resource
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from dfa.errors import InvalidInputError, MissingDependencyError, OracleError, StoreError
from dfa.oracle import Oracle, as_oracle
from dfa.results.images import AdversarialImages
from dfa.results.profile import Profile
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.results.summary import summarise
from dfa.runs import folder as folder_module
from dfa.runs.folder import check_folder, plain, read_image
from dfa.types import Images

SHAPE = (6, 5, 1)


def by_first_value(images: Images) -> NDArray[np.float64]:
    """Give class 0, 1 or 2 to an image whose first value is below 85, below 170, or above."""
    classes = images[:, 0, 0, 0].astype(np.int64) // 85
    return np.eye(3)[np.minimum(classes, 2)] * 0.7 + 0.1


def image_of_class(number: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> NDArray[np.uint8]:
    """Return a noisy image that `by_first_value` puts in a class."""
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image[0, 0, 0] = 85 * number + 40
    return image


def success(index: int, *, queries: int = 10, **fields: Any) -> Record:
    values: dict[str, Any] = {
        "class_before": 0,
        "class_after": 1,
        "queries": queries,
        "queries_sent": queries + 2,
        "seconds": 0.5,
        "degree": 0.0,
        **fields,
    }
    return Record(index, 1000 + index, Status.SUCCESS, found=True, verified=True, **values)


def failure(index: int, *, found: bool = False, reason: str = "query budget", **fields: Any) -> Record:
    values: dict[str, Any] = {"class_before": 0, "queries": 90, "queries_sent": 90, "seconds": 7.0, **fields}
    return Record(index, 1000 + index, Status.FAILURE, reason, found=found, **values)


def skipped(index: int) -> Record:
    return Record(index, 1000 + index, Status.SKIPPED, "misclassified", label=1, class_before=0)


def make_result(shape: tuple[int, int, int] = SHAPE, **fields: Any) -> Result:
    """Return a run: failure, success, skipped, unfinished, success."""
    originals = np.stack([image_of_class(0, shape, seed) for seed in range(5)])
    images = AdversarialImages(5)
    linf = {}
    for index, number in ((1, 1), (4, 2)):
        images.put(index, image_of_class(number, shape, seed=index))
        linf[index] = 85 * number
    records = [
        failure(0),
        success(1, label=0, linf=linf[1], l0=1, l2=85.0, trace=((1, 0.5), (10, 0.0))),
        skipped(2),
        Record(3, 1003, Status.UNFINISHED),
        success(4, queries=30, class_after=2, linf=linf[4]),
    ]
    values: dict[str, Any] = {
        "profile": Profile(wall=2.0, oracle=1.5, rows_sent=134, rows_capacity=200, batches=1),
        "config": {"max_queries": 100, "batch_size": 256, "epsilon": 200},
        "oracle": as_oracle(by_first_value),
        "originals": originals,
        **fields,
    }
    return Result(records, images, **values)


def read_json(folder: Path) -> Any:
    """Read results.json as a strict reader does: NaN and Infinity are not JSON."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads((folder / "results.json").read_text(), parse_constant=refuse)


class TestRecord:
    def test_a_success_is_verified(self) -> None:
        with pytest.raises(InvalidInputError, match="verified exactly if its status is success"):
            Record(0, 0, Status.SUCCESS, found=True)

    def test_only_a_success_is_verified(self) -> None:
        with pytest.raises(InvalidInputError, match="verified exactly if its status is success"):
            Record(0, 0, Status.FAILURE, found=True, verified=True)

    def test_what_is_verified_was_found(self) -> None:
        with pytest.raises(InvalidInputError, match="found=False"):
            Record(0, 0, Status.SUCCESS, verified=True)


class TestSummary:
    def test_rates_are_the_papers(self) -> None:
        # Four attacked, three claimed, two real: SR = 3/4, TSR = 2/4, GAP = (3/4 - 2/4) / (3/4) = 1/3.
        records = [
            success(0),
            success(1),
            failure(2, found=True, reason="not verified"),
            failure(3),
            skipped(4),
        ]
        summary = summarise(records, max_queries=100)
        assert (summary.total, summary.attacked, summary.skipped) == (5, 4, 1)
        assert (summary.found, summary.verified) == (3, 2)
        assert (summary.SR, summary.TSR) == (0.75, 0.5)
        assert pytest.approx(1 / 3) == summary.GAP

    def test_skipped_errors_and_unfinished_are_not_attacked(self) -> None:
        records = [
            success(0),
            Record(1, 1, Status.ERROR, "boom", found=True),
            Record(2, 2, Status.UNFINISHED),
            skipped(3),
        ]
        summary = summarise(records)
        assert (summary.attacked, summary.skipped, summary.errors, summary.unfinished) == (1, 1, 1, 1)
        assert (summary.SR, summary.TSR, summary.GAP) == (1.0, 1.0, 0.0)

    def test_time_and_queries_are_over_successes_only(self) -> None:
        records = [success(i, queries=q, seconds=q / 100) for i, q in enumerate(range(10, 120, 10))]
        summary = summarise([*records, failure(11)], max_queries=1000)
        assert summary.queries_mean == 60
        assert summary.queries_median == 60
        assert summary.queries_p90 == 100
        assert pytest.approx(0.6) == summary.ATC

    def test_a_failure_counts_at_its_budget_however_early_it_ended(self) -> None:
        summary = summarise([success(0, queries=50), failure(1, queries_sent=7)], max_queries=100)
        assert summary.queries_mean_with_failures == 75

    def test_without_a_known_budget_a_failure_counts_what_it_sent(self) -> None:
        summary = summarise([success(0, queries=50), failure(1, queries_sent=70)])
        assert summary.queries_mean_with_failures == 60

    def test_queries_sent_counts_every_image(self) -> None:
        summary = summarise([success(0, queries_sent=12), failure(1, queries_sent=90)])
        assert summary.queries_sent == 102

    @pytest.mark.parametrize("records", [[], [skipped(0)], [Record(0, 0, Status.UNFINISHED)]])
    def test_a_run_without_an_attacked_image_has_a_summary(self, records: list[Record]) -> None:
        result = Result(records, AdversarialImages(len(records)))
        summary = result.summary()
        assert summary.attacked == 0
        for rate in (
            summary.SR,
            summary.TSR,
            summary.GAP,
            summary.ATC,
            summary.queries_mean,
            summary.queries_p90,
        ):
            assert math.isnan(rate)
        assert "nan" not in str(summary)

    def test_a_run_without_a_success_has_no_gap(self) -> None:
        summary = summarise([failure(0)])
        assert (summary.SR, summary.TSR) == (0.0, 0.0)
        assert math.isnan(summary.GAP)
        assert math.isnan(summary.ATC)

    def test_the_table_names_the_papers_figures(self) -> None:
        table = str(make_result().summary())
        assert "TSR" in table
        assert "66.7 %" in table
        assert "20.0 mean, 20.0 median" in table
        assert "46.7 mean of 100" in table  # (10 + 30 + 100) / 3


class TestProfile:
    def test_derived_figures(self) -> None:
        profile = Profile(wall=2.0, oracle=1.5, rows_sent=150, rows_capacity=200)
        assert profile.occupancy == 0.75
        assert profile.queries_per_second == 75.0
        assert profile.oracle_share == 0.75
        assert profile.as_dict()["occupancy"] == 0.75
        assert profile.as_dict()["wall"] == 2.0

    def test_an_empty_profile_has_no_rates(self) -> None:
        profile = Profile()
        assert math.isnan(profile.occupancy)
        assert math.isnan(profile.queries_per_second)
        assert math.isnan(profile.oracle_share)


class TestAdversarialImages:
    def test_images_come_back_as_they_were(self) -> None:
        images = AdversarialImages(4)
        pictures = {index: image_of_class(0, seed=index) for index in (3, 0)}
        for index, picture in pictures.items():
            images.put(index, picture)
        assert len(images) == 4
        assert images.held() == [0, 3]
        np.testing.assert_array_equal(images[3], pictures[3])
        np.testing.assert_array_equal(images[0], pictures[0])
        np.testing.assert_array_equal(images[-1], pictures[3])
        assert images[1] is None
        assert [image is None for image in images] == [False, True, True, False]
        assert [image is None for image in images[1:]] == [True, True, False]

    def test_an_image_read_is_a_copy(self) -> None:
        images = AdversarialImages(1)
        images.put(0, image_of_class(0))
        first = images[0]
        assert first is not None
        first[:] = 0
        np.testing.assert_array_equal(images[0], image_of_class(0))

    def test_putting_again_replaces(self) -> None:
        images = AdversarialImages(2)
        for seed in (1, 2):
            images.put(0, image_of_class(0, seed=seed))
        images.put(1, image_of_class(0, seed=3))
        np.testing.assert_array_equal(images[0], image_of_class(0, seed=2))
        np.testing.assert_array_equal(images[1], image_of_class(0, seed=3))
        assert images._file.seek(0, 2) == 2 * math.prod(SHAPE)

    def test_a_view_with_strides_is_kept_right(self) -> None:
        image = image_of_class(0, (6, 8, 3))[::2, ::-1]
        images = AdversarialImages(1)
        images.put(0, image)
        np.testing.assert_array_equal(images[0], image)

    @pytest.mark.parametrize("index", [2, -3])
    def test_an_index_outside_is_refused(self, index: int) -> None:
        images = AdversarialImages(2)
        with pytest.raises(IndexError, match=r"must be in -2\.\.1"):
            images[index]
        with pytest.raises(IndexError, match=r"must be in -2\.\.1"):
            images.put(index, image_of_class(0))

    @pytest.mark.parametrize(
        ("image", "match"),
        [
            (np.zeros(SHAPE, dtype=np.float32), "must be uint8"),
            (np.zeros((6, 5), dtype=np.uint8), "must be uint8"),
            (np.zeros((6, 6, 1), dtype=np.uint8), "one shape"),
        ],
    )
    def test_another_kind_of_image_is_refused(self, image: Any, match: str) -> None:
        images = AdversarialImages(2)
        images.put(0, image_of_class(0))
        with pytest.raises(InvalidInputError, match=match):
            images.put(1, image)
        assert images.held() == [0]

    @pytest.mark.parametrize(("arguments", "match"), [((-1, 1), "num_images"), ((1, 0), "memory_limit")])
    def test_senseless_sizes_are_refused(self, arguments: tuple[int, int], match: str) -> None:
        with pytest.raises(InvalidInputError, match=match):
            AdversarialImages(arguments[0], memory_limit=arguments[1])

    def test_memory_does_not_grow_with_the_number_of_images(self) -> None:
        image = image_of_class(0, (224, 224, 3))
        images = AdversarialImages(2000, memory_limit=2**20)
        images.put(0, image)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for index in range(2000):
            images.put(index, image)
        # 300 MB were kept; ru_maxrss counts in kB (bytes on macOS, where this is the weaker for it).
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
        np.testing.assert_array_equal(images[1999], image)

    def test_its_file_is_closed_with_it(self) -> None:
        images = AdversarialImages(2, memory_limit=1)
        images.put(0, image_of_class(0))
        file = images._file
        assert not file.closed
        del images
        gc.collect()
        assert file.closed

    def test_a_full_disk_is_an_error_that_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        images = AdversarialImages(2)
        images.put(0, image_of_class(0))

        def refuse(_: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(images._file, "write", refuse)
        with pytest.raises(StoreError, match=r"image 1 in a temporary file: .*No space left.*TMPDIR"):
            images.put(1, image_of_class(0))
        assert images[1] is None
        np.testing.assert_array_equal(images[0], image_of_class(0))


class TestResult:
    def test_records_are_one_per_image(self) -> None:
        with pytest.raises(InvalidInputError, match=r"one per image, in order, here 0\.\.2, got 2 records"):
            Result([skipped(0), skipped(1)], AdversarialImages(3))

    def test_records_are_in_order(self) -> None:
        with pytest.raises(InvalidInputError, match="in order"):
            Result([skipped(1), skipped(0)], AdversarialImages(2))

    def test_figures_as_arrays(self) -> None:
        result = make_result()
        assert result.status[1] is Status.SUCCESS
        np.testing.assert_array_equal(result.success, [False, True, False, False, True])
        np.testing.assert_array_equal(result.queries, [90, 10, 0, 0, 30])
        np.testing.assert_array_equal(result.queries_sent, [90, 12, 0, 0, 32])
        np.testing.assert_array_equal(result.seconds, [7.0, 0.5, 0.0, 0.0, 0.5])
        np.testing.assert_array_equal(result.class_before, [0, 0, 0, -1, 0])
        np.testing.assert_array_equal(result.class_after, [-1, 1, -1, -1, 2])
        assert result.success.dtype == np.bool_
        assert result.queries.dtype == np.int64

    def test_arrays_of_an_empty_run_keep_their_types(self) -> None:
        result = Result([], AdversarialImages(0))
        assert result.success.dtype == np.bool_
        assert result.class_after.dtype == np.int64
        assert len(result.to_pandas()) == 0

    def test_its_summary_knows_its_budget_and_wall_time(self) -> None:
        summary = make_result().summary()
        assert (summary.max_queries, summary.wall) == (100, 2.0)

    def test_its_text_is_short(self) -> None:
        assert repr(make_result()) == "Result(5 images, 2 successes, 2.0 s)"

    def test_to_pandas_has_a_row_per_image_and_knows_what_is_unknown(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = make_result().to_pandas()
        derived = ["confidence", "confidence_low", "confidence_high"]
        # What a space measures has a column for each of its names, and here there are none.
        fields = [each.name for each in dataclasses.fields(Record) if each.name != "distances"]
        assert list(frame.columns) == [*fields, *derived]
        assert list(frame["status"]) == ["failure", "success", "skipped", "unfinished", "success"]
        assert frame["class_after"].dtype == "Int64"
        assert frame["class_after"].isna().tolist() == [True, False, True, True, False]
        assert frame["class_after"][1] == 1
        assert frame["queries"].dtype == np.int64
        assert frame["verified"].dtype == np.bool_
        assert math.isnan(frame["l2"][0])
        assert frame["trace"][1] == ((1, 0.5), (10, 0.0))
        assert frame[frame.status == "success"].queries.mean() == 20
        assert isinstance(frame, pandas.DataFrame)

    def test_to_pandas_without_pandas_says_how_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'dfa-attack\[pandas\]'"):
            make_result().to_pandas()


class TestSave:
    def test_images_are_written_without_loss_and_verified(self, tmp_path: Path) -> None:
        result = make_result()
        report = result.save(tmp_path / "run")
        assert (report.written, report.verified, report.refuted, report.unchecked) == (2, 2, (), 0)
        assert pytest.approx(2 / 3) == report.TSR
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
            "images",
            "originals",
            "records.csv",
            "results.json",
        ]
        assert sorted(path.name for path in (tmp_path / "run" / "images").iterdir()) == [
            "000001.png",
            "000004.png",
        ]
        with PIL.Image.open(tmp_path / "run" / "images" / "000004.png") as picture:
            assert picture.mode == "L"
            np.testing.assert_array_equal(np.asarray(picture), image_of_class(2, seed=4)[:, :, 0])
        entries = read_json(tmp_path / "run")["records"]
        assert [entry["png_verified"] for entry in entries] == [None, True, None, None, True]
        assert [entry["file"] for entry in entries][3:] == [None, "images/000004.png"]

    @pytest.mark.parametrize(("channels", "suffix"), [(1, "png"), (2, "npy"), (3, "png"), (4, "png"), (7, "npy")])
    def test_any_number_of_channels_is_written_without_loss(self, tmp_path: Path, channels: int, suffix: str) -> None:
        shape = (6, 5, channels)
        result = make_result(shape)
        report = result.save(tmp_path)
        assert report.verified == 2
        np.testing.assert_array_equal(
            read_image(tmp_path / f"images/000004.{suffix}"), image_of_class(2, shape, seed=4)
        )

    def test_records_lie_beside_the_images_as_json_and_csv(self, tmp_path: Path) -> None:
        result = make_result()
        result.save(tmp_path)
        document = read_json(tmp_path)
        assert document["complete"] is True
        assert document["config"] == {"max_queries": 100, "batch_size": 256, "epsilon": 200}
        assert document["summary"]["TSR"] == pytest.approx(2 / 3)
        assert document["saved"] == {
            "written": 2,
            "verified": 2,
            "refuted": 0,
            "unchecked": 0,
            "TSR": pytest.approx(2 / 3),
        }
        assert document["profile"]["queries_per_second"] == 67.0
        assert document["records"][1]["trace"] == [[1, 0.5], [10, 0.0]]
        assert document["records"][0]["status"] == "failure"
        with (tmp_path / "records.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 5
        assert rows[1]["class_after"] == "1"
        assert rows[0]["class_after"] == ""
        assert rows[1]["png_verified"] == "True"
        assert "trace" not in rows[0]

    def test_no_bare_nan_is_written(self, tmp_path: Path) -> None:
        records = [failure(0, degree=math.nan, trace=((1, math.inf),), l2=np.float32("nan"))]
        result = Result(records, AdversarialImages(1), config={"a": np.array([1.0, np.nan]), "b": -math.inf})
        result.save(tmp_path)
        document = read_json(tmp_path)
        assert document["summary"]["GAP"] is None
        assert document["profile"]["occupancy"] is None
        assert document["config"] == {"a": [1.0, None], "b": None}
        assert document["records"][0]["degree"] is None
        assert document["records"][0]["trace"] == [[1, None]]
        assert document["records"][0]["l2"] is None

    def test_a_partial_result_is_saved(self, tmp_path: Path) -> None:
        records = [success(0), *(Record(index, index, Status.UNFINISHED) for index in range(1, 4))]
        images = AdversarialImages(4)
        images.put(0, image_of_class(1))
        report = Result(records, images, oracle=as_oracle(by_first_value)).save(tmp_path)
        assert (report.verified, report.TSR) == (1, 1.0)
        assert read_json(tmp_path)["summary"]["unfinished"] == 3

    def test_a_result_without_any_image_is_saved(self, tmp_path: Path) -> None:
        report = Result([failure(0)], AdversarialImages(1), oracle=as_oracle(by_first_value)).save(tmp_path)
        assert (report.written, report.TSR) == (0, 0.0)
        assert len(read_json(tmp_path)["records"]) == 1

    def test_the_oracle_is_asked_in_batches_about_what_was_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = AdversarialImages(7)
        for index in range(7):
            images.put(index, image_of_class(1, seed=index))
        asked: list[int] = []

        def oracle(batch: Images) -> NDArray[np.float64]:
            asked.append(len(batch))
            return by_first_value(batch)

        result = Result([success(index) for index in range(7)], images, config={"batch_size": 3})
        assert result.save(tmp_path, oracle=oracle).verified == 7
        assert asked == [3, 3, 1]

    def test_an_oracle_given_to_save_is_asked_instead_of_the_runs(self, tmp_path: Path) -> None:
        def stubborn(batch: Images) -> NDArray[np.float64]:
            return np.tile([0.8, 0.1, 0.1], (len(batch), 1))

        report = make_result().save(tmp_path, oracle=stubborn)
        assert report.verified == 0
        assert report.refuted == ((1, "still of class 0"), (4, "still of class 0"))
        assert report.TSR == 0.0
        assert "2 refuted (first: image 1, still of class 0)" in str(report)
        entries = read_json(tmp_path)["records"]
        assert entries[4]["png_verified"] is False
        assert entries[4]["png_problem"] == "still of class 0"
        # What the run itself found stays what it was.
        assert entries[4]["verified"] is True

    def test_a_targeted_image_must_reach_its_target(self, tmp_path: Path) -> None:
        images = AdversarialImages(2)
        images.put(0, image_of_class(1))
        images.put(1, image_of_class(0))
        records = [success(0, target=2), success(1, target=0, class_before=2)]
        report = Result(records, images, oracle=as_oracle(by_first_value)).save(tmp_path)
        assert report.refuted == ((0, "class 1, not the target 2"),)
        assert report.verified == 1

    def test_class_zero_is_a_target(self, tmp_path: Path) -> None:
        images = AdversarialImages(1)
        images.put(0, image_of_class(1))
        result = Result([success(0, target=0, class_before=2)], images, oracle=as_oracle(by_first_value))
        assert result.save(tmp_path).refuted == ((0, "class 1, not the target 0"),)

    def test_the_given_label_decides_what_the_original_class_is(self, tmp_path: Path) -> None:
        images = AdversarialImages(1)
        images.put(0, image_of_class(1))
        records = [success(0, label=1, class_before=None)]
        report = Result(records, images, oracle=as_oracle(by_first_value)).save(tmp_path)
        assert report.refuted == ((0, "still of class 1"),)

    def test_a_distance_that_is_not_the_records_is_refuted(self, tmp_path: Path) -> None:
        result = make_result()
        result.records[1] = dataclasses.replace(result.records[1], linf=84)
        report = result.save(tmp_path)
        assert report.refuted == ((1, "it is 85 grey levels from the original, not 84"),)
        assert report.verified == 1

    def test_a_distance_downwards_counts_like_one_upwards(self, tmp_path: Path) -> None:
        images = AdversarialImages(1)
        images.put(0, image_of_class(0))
        record = success(0, class_before=2, class_after=0, linf=170)
        originals = image_of_class(2)[np.newaxis]
        result = Result([record], images, originals=originals, oracle=as_oracle(by_first_value))
        assert result.save(tmp_path).verified == 1

    def test_a_distance_that_was_not_recorded_is_not_compared(self, tmp_path: Path) -> None:
        result = make_result()
        result.records[1] = dataclasses.replace(result.records[1], linf=None)
        assert result.save(tmp_path).verified == 2

    def test_originals_that_cannot_be_read_again_do_not_stop_the_saving(self, tmp_path: Path) -> None:
        class Gone:
            def __len__(self) -> int:
                return 5

            def __getitem__(self, index: int) -> NDArray[np.uint8]:
                raise FileNotFoundError("image has moved")

        report = make_result(originals=Gone()).save(tmp_path)
        assert report.refuted[0] == (
            1,
            "the original cannot be read again: FileNotFoundError: image has moved",
        )
        assert read_json(tmp_path)["complete"] is True

    def test_a_file_that_differs_from_memory_is_refuted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def lossy(path: Path) -> NDArray[np.uint8]:
            image = read_image(path)
            if path.name == "000004.png":
                image[-1, -1, 0] ^= 1
            return image

        monkeypatch.setattr("dfa.runs.saving.read_image", lossy)
        report = make_result().save(tmp_path)
        assert report.refuted == ((4, "the file differs from the image in memory"),)
        assert report.verified == 1

    def test_without_an_oracle_the_files_are_marked_as_unknown(self, tmp_path: Path) -> None:
        report = make_result(oracle=None).save(tmp_path)
        assert (report.written, report.verified, report.unchecked) == (2, 0, 2)
        assert math.isnan(report.TSR)
        assert "2 not checked" in str(report)
        assert read_json(tmp_path)["records"][1]["png_verified"] is None

    def test_an_oracle_that_fails_leaves_everything_written(self, tmp_path: Path) -> None:
        calls: list[int] = []

        def failing(batch: Images) -> NDArray[np.float64]:
            calls.append(len(batch))
            if len(calls) > 1:
                raise RuntimeError("the device is gone")
            return by_first_value(batch)

        result = make_result(config={"batch_size": 1})
        with pytest.raises(OracleError, match=r"files are written, but 1 of them .*the device is gone") as caught:
            result.save(tmp_path, oracle=failing)
        assert caught.value.result is result
        document = read_json(tmp_path)
        assert document["complete"] is True
        assert [entry["png_verified"] for entry in document["records"]] == [None, True, None, None, None]
        assert document["saved"]["TSR"] is None
        assert (tmp_path / "images" / "000004.png").exists()

    def test_an_oracle_that_failed_is_not_asked_again(self, tmp_path: Path) -> None:
        calls: list[int] = []

        def failing(batch: Images) -> NDArray[np.float64]:
            calls.append(len(batch))
            raise RuntimeError("the device is gone")

        with pytest.raises(OracleError, match="2 of them are not checked"):
            make_result(config={"batch_size": 1}).save(tmp_path, oracle=failing)
        assert calls == [1]

    def test_the_oracle_is_prepared_before_it_is_asked(self, tmp_path: Path) -> None:
        calls: list[object] = []

        class Careful(Oracle):
            def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
                calls.append((shape, batch_size))

            def scores(self, images: Images) -> NDArray[np.float64]:
                calls.append(len(images))
                return by_first_value(images)

        make_result(config={"batch_size": 1}).save(tmp_path, oracle=Careful())
        assert calls == [(SHAPE, 1), 1, 1]

    def test_an_oracle_that_cannot_take_such_images_loses_nothing(self, tmp_path: Path) -> None:
        class Picky(Oracle):
            def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
                raise InvalidInputError("takes 8x8 only")

            def scores(self, images: Images) -> NDArray[np.float64]:
                raise NotImplementedError

        with pytest.raises(OracleError, match="takes 8x8 only"):
            make_result().save(tmp_path, oracle=Picky())
        assert read_json(tmp_path)["complete"] is True

    def test_saving_spends_no_budget_and_changes_nothing(self, tmp_path: Path) -> None:
        result = make_result()
        before = (list(result.records), dataclasses.replace(result.profile), dict(result.config))
        result.save(tmp_path)
        assert (result.records, result.profile, result.config) == before


class TestFolder:
    def test_a_second_run_in_the_same_folder_is_refused_without_overwrite(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        before = (tmp_path / "results.json").read_bytes()
        with pytest.raises(StoreError, match=r"must not hold a saved result, and holds one; .*overwrite=True"):
            Result([], AdversarialImages(0)).save(tmp_path)
        assert (tmp_path / "results.json").read_bytes() == before

    def test_overwriting_leaves_nothing_of_the_old_result(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        (tmp_path / "images" / "notes.txt").write_text("mine")
        images = AdversarialImages(2)
        images.put(1, image_of_class(2))
        result = Result([failure(0), success(1)], images, oracle=as_oracle(by_first_value))
        result.save(tmp_path, overwrite=True)
        assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["000001.png", "notes.txt"]
        assert len(read_json(tmp_path)["records"]) == 2

    def test_saving_twice_gives_the_same_files(self, tmp_path: Path) -> None:
        result = make_result()
        result.save(tmp_path / "a")
        result.save(tmp_path / "b")
        result.save(tmp_path / "a", overwrite=True)
        for name in ("results.json", "records.csv", "images/000001.png"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_a_saved_result_can_be_saved_over_itself(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        Result.load(tmp_path).save(tmp_path, overwrite=True, oracle=by_first_value)
        np.testing.assert_array_equal(Result.load(tmp_path).images[4], image_of_class(2, seed=4))

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize("name", ["images/000001.png", "records.csv"])
    def test_files_that_no_save_wrote_are_never_touched(self, tmp_path: Path, name: str, overwrite: bool) -> None:
        (tmp_path / "images").mkdir()
        (tmp_path / name).write_bytes(b"mine")
        with pytest.raises(StoreError, match=r"without a results\.json.*choose another folder"):
            make_result().save(tmp_path, overwrite=overwrite)
        assert (tmp_path / name).read_bytes() == b"mine"
        assert not (tmp_path / "results.json").exists()

    @pytest.mark.parametrize("content", ['{"format": "other"}', "[1, 2]", "not json", ""])
    def test_a_results_json_of_another_program_is_never_touched(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(StoreError, match="must be a saved result"):
            make_result().save(tmp_path, overwrite=True)
        assert (tmp_path / "results.json").read_text() == content

    def test_a_file_called_images_is_a_clash(self, tmp_path: Path) -> None:
        (tmp_path / "images").write_text("")
        with pytest.raises(StoreError, match="choose another folder"):
            make_result().save(tmp_path)

    def test_other_files_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "contact-sheet.png").write_bytes(b"x")
        make_result().save(tmp_path)
        assert (tmp_path / "contact-sheet.png").read_bytes() == b"x"

    @pytest.mark.parametrize("make", [lambda path: path / "file" / "run", lambda _: Path("/proc/no/such/place")])
    def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(
        self, tmp_path: Path, make: Callable[[Path], Path]
    ) -> None:
        (tmp_path / "file").write_text("not a folder")
        with pytest.raises(StoreError, match=r"cannot write .*choose a folder that can be written"):
            make_result().save(make(tmp_path))

    def test_an_unwritable_folder_is_found_before_anything_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.replace", refuse)
        with pytest.raises(StoreError, match="Permission denied"):
            check_folder(tmp_path / "run")
        assert list((tmp_path / "run").iterdir()) == []

    def test_checking_a_folder_leaves_it_empty(self, tmp_path: Path) -> None:
        assert check_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
        assert list((tmp_path / "a" / "b").iterdir()) == []

    def test_a_save_that_was_cut_off_never_passes_for_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = make_result()
        with monkeypatch.context() as patch:
            patch.setattr("dfa.runs.saving.read_image", interrupt)
            with pytest.raises(KeyboardInterrupt):
                result.save(tmp_path)
        with pytest.raises(StoreError, match="its saving was cut off"):
            Result.load(tmp_path)
        with pytest.raises(StoreError, match="holds one whose saving was cut off"):
            result.save(tmp_path)
        result.save(tmp_path, overwrite=True)
        assert Result.load(tmp_path).success.sum() == 2

    def test_a_full_disk_in_the_middle_leaves_no_half_file_and_the_result_usable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = make_result()
        fill = folder_module._fill

        def fill_up(path: str, content: bytes) -> None:
            if "000004" in path:
                fill(path, content[:10])
                raise OSError(28, "No space left on device")
            fill(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(folder_module, "_fill", fill_up)
            with pytest.raises(StoreError, match=r"000004\.png: .*No space left .*still in memory"):
                result.save(tmp_path / "full")
        assert [path.name for path in (tmp_path / "full" / "images").iterdir()] == ["000001.png"]
        assert result.save(tmp_path / "elsewhere").verified == 2


class TestLoad:
    def test_a_saved_result_reads_back_as_it_was(self, tmp_path: Path) -> None:
        result = make_result()
        result.save(tmp_path)
        loaded = Result.load(tmp_path)
        assert loaded.records == result.records
        assert loaded.profile == result.profile
        assert loaded.config == result.config
        assert loaded.summary() == result.summary()
        assert loaded.images.held() == [1, 4]
        assert loaded.images[0] is None
        np.testing.assert_array_equal(loaded.images[4], result.images[4])

    def test_a_folder_without_a_result_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="must be a saved result, and cannot be read"):
            Result.load(tmp_path)

    def test_another_version_of_the_layout_is_refused(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        text = (tmp_path / "results.json").read_text()
        (tmp_path / "results.json").write_text(text.replace('"version": 2', '"version": 99'))
        with pytest.raises(StoreError, match="got version 99"):
            Result.load(tmp_path)

    def test_a_mangled_document_is_refused(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        text = (tmp_path / "results.json").read_text()
        (tmp_path / "results.json").write_text(text.replace('"queries_sent"', '"sent"'))
        with pytest.raises(StoreError, match="must be as it was saved"):
            Result.load(tmp_path)

    def test_a_lost_image_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        (tmp_path / "images" / "000001.png").unlink()
        with pytest.raises(StoreError, match=r"cannot read the image .*000001\.png"):
            Result.load(tmp_path).images[1]


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Setting:
    size: int
    colour: Colour


class TestPlain:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (np.bool_(True), True),
            (np.float32(0.5), 0.5),
            (np.uint8(7), 7),
            (np.array([[1, 2]]), [[1, 2]]),
            ((1, "a", math.nan), [1, "a", None]),
            ({1: np.int64(2)}, {"1": 2}),
            (Setting(3, Colour.RED), {"size": 3, "colour": "red"}),
            (Path("a/b"), "a/b"),
            (math.sqrt, "math.sqrt"),
            (Setting, f"{__name__}.Setting"),
        ],
    )
    def test_values_become_plain(self, value: object, expected: object) -> None:
        assert plain(value) == expected
        assert type(plain(value)) is type(expected)

    def test_a_large_array_is_named_by_its_digest(self) -> None:
        first, second = np.zeros(70_000, dtype=np.uint8), np.ones(70_000, dtype=np.uint8)
        described = plain(first)
        assert isinstance(described, dict)
        assert (described["dtype"], described["shape"]) == ("uint8", [70_000])
        assert described == plain(first.copy())
        assert described != plain(second)


def interrupt(_: Path) -> None:
    raise KeyboardInterrupt
