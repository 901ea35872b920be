"""A result: records that contradict nothing, where the time went, and all of it as arrays and as a table."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from dfa.errors import InvalidInputError, MissingDependencyError
from dfa.results.images import AdversarialImages
from dfa.results.profile import MOST_PARTS, CallsOverTime, Profile
from dfa.results.record import Record, Status
from dfa.results.result import Result
from sample_results import SHAPE, failure, image_of_class, make_result, skipped


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


class TestProfile:
    def test_derived_figures(self) -> None:
        profile = Profile(wall=2.0, oracle=1.5, rows_sent=150, rows_capacity=200, batches=4)
        assert profile.occupancy == 0.75
        assert profile.queries_per_second == 75.0
        assert profile.oracle_share == 0.75
        assert profile.as_dict()["occupancy"] == 0.75
        assert profile.rows_per_call == profile.as_dict()["rows_per_call"] == 37.5
        assert profile.as_dict()["wall"] == 2.0

    def test_an_empty_profile_has_no_rates(self) -> None:
        profile = Profile()
        assert math.isnan(profile.occupancy)
        assert math.isnan(profile.rows_per_call)
        assert math.isnan(profile.queries_per_second)
        assert math.isnan(profile.oracle_share)


class TestCallsOverTime:
    @pytest.mark.parametrize(
        "change",
        [
            {"seconds": 0},
            {"seconds": -0.5},
            {"seconds": float("inf")},
            {"seconds": float("nan")},
            {"calls": [1]},
            {"rows": [1, 2, -3]},
            {"calls": [1.5, 0, 0]},
            {"calls": [1] * (MOST_PARTS + 1), "rows": [1] * (MOST_PARTS + 1)},
        ],
    )
    def test_what_no_run_writes_down_is_refused(self, change):
        written = CallsOverTime(0.5, [1, 0, 2], [4, 0, 9]).save()
        assert CallsOverTime.read(written).save() == written
        with pytest.raises(ValueError, match="calls over time must be"):
            CallsOverTime.read({**written, **change})

    def test_calls_are_counted_in_their_part_of_the_run(self) -> None:
        over_time = CallsOverTime(seconds=0.5)
        for at, rows in ((0.0, 8), (0.49, 4), (1.5, 2)):
            over_time.add(at, rows)
        assert over_time == CallsOverTime(0.5, [2, 0, 0, 1], [12, 0, 0, 2])

    def test_parts_become_longer_and_not_more(self) -> None:
        over_time = CallsOverTime(seconds=0.5)
        over_time.add(1.2, 9)
        over_time.add(0.5 * MOST_PARTS - 0.1, 7)
        assert len(over_time.calls) == MOST_PARTS
        # Three times as long: twice over, two parts become one.
        over_time.add(1.5 * MOST_PARTS, 5)
        assert over_time.seconds == 2.0
        assert len(over_time.calls) == len(over_time.rows) == MOST_PARTS * 3 // 4 + 1
        assert {place: rows for place, rows in enumerate(over_time.rows) if rows} == {
            0: 9,
            MOST_PARTS // 4 - 1: 7,
            MOST_PARTS * 3 // 4: 5,
        }
        assert sum(over_time.calls) == 3

    def test_what_is_saved_is_no_part_of_the_run_that_goes_on(self) -> None:
        over_time = CallsOverTime()
        saved = over_time.save()
        over_time.add(0.0, 3)
        read = CallsOverTime.read(saved)
        assert read == CallsOverTime()
        read.add(0.0, 1)
        assert saved["rows"] == []


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

    def test_all_images_are_one_array_with_originals_where_nothing_was_found(self, tmp_path: Path) -> None:
        result = make_result()
        originals = np.asarray(result.originals)
        found = result.adversarial()
        assert (found.dtype, found.shape) == (np.uint8, originals.shape)
        for index in range(5):
            expected = result.images[index] if index in (1, 4) else originals[index]
            np.testing.assert_array_equal(found[index], expected)
        result.save(tmp_path)
        loaded = Result.load(tmp_path)
        with pytest.raises(InvalidInputError, match=r"image 0 has no .* be read: StoreError.*adversarial\(images\)"):
            loaded.adversarial()
        np.testing.assert_array_equal(loaded.adversarial(originals), found)

    def test_what_was_not_confirmed_is_no_adversarial_image(self) -> None:
        images = AdversarialImages(1)
        images.put(0, image_of_class(1))
        result = Result([failure(0, found=True)], images, originals=np.stack([image_of_class(0)]))
        np.testing.assert_array_equal(result.adversarial()[0], image_of_class(0))

    @pytest.mark.parametrize(
        ("originals", "message"),
        [
            (None, "the originals must be at hand"),
            (np.zeros((4, *SHAPE), np.uint8), "must be the 5 images of the run, got 4"),
            (np.zeros((5, 9, *SHAPE[1:]), np.uint8), r"as image 0 is, and image 1 is uint8 of shape"),
        ],
    )
    def test_originals_that_are_not_those_of_the_run_are_refused(self, originals, message) -> None:
        with pytest.raises(InvalidInputError, match=message):
            make_result(originals=None).adversarial(originals)

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
        with pytest.raises(MissingDependencyError, match=r"pip install .*\[pandas\]"):
            make_result().to_pandas()
