"""A result written down: files without loss, and the oracle asked about each of them."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from dfa.errors import InvalidInputError, OracleError, RefutedFilesWarning
from dfa.oracle import Oracle, as_oracle
from dfa.results.images import AdversarialImages
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.runs.image_files import read_image
from dfa.types import Images
from sample_results import SHAPE, by_first_value, failure, image_of_class, make_result, read_json, success


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
            read_image(tmp_path, f"images/000004.{suffix}", shape), image_of_class(2, shape, seed=4)
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

        with pytest.warns(RefutedFilesWarning):
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
        with pytest.warns(RefutedFilesWarning):
            report = Result(records, images, oracle=as_oracle(by_first_value)).save(tmp_path)
        assert report.refuted == ((0, "class 1, not the target 2"),)
        assert report.verified == 1

    def test_class_zero_is_a_target(self, tmp_path: Path) -> None:
        images = AdversarialImages(1)
        images.put(0, image_of_class(1))
        result = Result([success(0, target=0, class_before=2)], images, oracle=as_oracle(by_first_value))
        with pytest.warns(RefutedFilesWarning):
            assert result.save(tmp_path).refuted == ((0, "class 1, not the target 0"),)

    def test_the_given_label_decides_what_the_original_class_is(self, tmp_path: Path) -> None:
        images = AdversarialImages(1)
        images.put(0, image_of_class(1))
        records = [success(0, label=1, class_before=None)]
        with pytest.warns(RefutedFilesWarning):
            report = Result(records, images, oracle=as_oracle(by_first_value)).save(tmp_path)
        assert report.refuted == ((0, "still of class 1"),)

    def test_a_distance_that_is_not_the_records_is_refuted(self, tmp_path: Path) -> None:
        result = make_result()
        result.records[1] = dataclasses.replace(result.records[1], linf=84)
        with pytest.warns(RefutedFilesWarning):
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

        with pytest.warns(RefutedFilesWarning):
            report = make_result(originals=Gone()).save(tmp_path)
        assert report.refuted[0] == (
            1,
            "the original cannot be read again: FileNotFoundError: image has moved",
        )
        assert read_json(tmp_path)["complete"] is True

    def test_a_file_that_differs_from_memory_is_refuted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def lossy(folder: Path, file: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
            image = read_image(folder, file, shape)
            if file == "images/000004.png":
                image[-1, -1, 0] ^= 1
            return image

        monkeypatch.setattr("dfa.runs.saving.read_image", lossy)
        with pytest.warns(RefutedFilesWarning):
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
