"""The summary of records: the figures of the paper."""

from __future__ import annotations

import math

import pytest

from dfa.results.images import AdversarialImages
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.results.summary import summarise
from sample_results import failure, make_result, skipped, success


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

    def test_what_is_given_up_at_rest_is_told_and_counts_at_its_budget(self) -> None:
        records = [
            success(0, queries=50),
            failure(1, queries_sent=7, reason="at rest"),
            failure(2, queries_sent=8, reason="at rest"),
            failure(3, queries_sent=100),
            Record(4, 4, Status.UNFINISHED, "at rest"),
        ]
        assert [record.at_rest for record in records] == [False, True, True, False, False]
        summary = summarise(records, max_queries=100)
        assert (summary.at_rest, summary.queries_at_rest) == (2, 7.5)
        assert summary.queries_mean_with_failures == 350 / 4
        told = "2 of 3 failures, not broken by 7.5 queries (mean); counted above at the whole budget"
        assert told in str(summary)
        summary = summarise(records[:1], max_queries=100)
        assert summary.at_rest == 0
        assert math.isnan(summary.queries_at_rest)
        assert "rest" not in str(summary)

    def test_queries_sent_counts_every_image(self) -> None:
        summary = summarise([success(0, queries_sent=12), failure(1, queries_sent=90)])
        assert summary.queries_sent == 102
        assert "102 in 0.0 s\n" in f"{summary}\n"

    def test_calls_are_told_with_their_images(self) -> None:
        records = [success(0, queries_sent=12), failure(1, queries_sent=90)]
        assert "102 in 2.0 s, 8 calls of 12.8 images" in str(summarise(records, wall=2.0, calls=8))

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

    def test_accuracies_are_of_the_labels_that_were_given(self) -> None:
        records = [
            success(0, label=0),
            failure(1, label=0),
            failure(2, label=0),
            skipped(3),  # misclassified
            success(4),  # without a label
            Record(5, 5, Status.UNFINISHED, label=0, class_before=0),
            Record(6, 6, Status.ERROR, "gone", label=0),
        ]
        summary = summarise(records)
        assert (summary.labelled, summary.right) == (4, 3)
        assert (summary.clean_accuracy, summary.robust_accuracy) == (0.75, 0.5)
        rows = [" ".join(line.split()) for line in str(summary).splitlines()]
        assert "clean accuracy 3 of 4 right before the attack (75.0 %)" in rows
        assert "robust accuracy 2 of 4 right after it (50.0 %)" in rows

    def test_a_targeted_run_has_no_robust_accuracy(self) -> None:
        summary = summarise([success(0, label=0, target=1), failure(1, label=0, target=1)])
        assert summary.clean_accuracy == 1
        assert math.isnan(summary.robust_accuracy)
        assert "clean accuracy" in str(summary)
        assert "robust accuracy" not in str(summary)

    def test_without_labels_no_accuracy_is_told(self) -> None:
        summary = summarise([success(0), failure(1)])
        assert math.isnan(summary.clean_accuracy)
        assert math.isnan(summary.robust_accuracy)
        assert "accuracy" not in str(summary)

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

    def test_of_no_success_the_table_has_no_figures(self) -> None:
        table = str(summarise([failure(0)]))
        assert " none\n" in table
        assert "- mean" not in table
