"""A result read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dfa.errors import StoreError
from dfa.results.result import Result
from sample_results import make_result


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

    @pytest.mark.parametrize(
        ("file", "hint"),
        [("frontier.json", "a frontier: read it with dfa.Frontier.load"), ("suite.json", "with dfa.SuiteReport.load")],
    )
    def test_a_folder_of_something_else_is_told_by_its_name(self, tmp_path: Path, file: str, hint: str) -> None:
        (tmp_path / file).touch()
        with pytest.raises(StoreError, match=hint):
            Result.load(tmp_path)
        (tmp_path / "results.json").touch()
        with pytest.raises(StoreError, match="cannot be read"):
            Result.load(tmp_path)

    def test_another_version_of_the_layout_is_refused(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        text = (tmp_path / "results.json").read_text()
        (tmp_path / "results.json").write_text(text.replace('"version": 4', '"version": 99'))
        with pytest.raises(StoreError, match="got version 99"):
            Result.load(tmp_path)

    def test_a_mangled_document_is_refused(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        text = (tmp_path / "results.json").read_text()
        (tmp_path / "results.json").write_text(text.replace('"queries_sent"', '"sent"'))
        with pytest.raises(StoreError, match="must be as it was saved"):
            Result.load(tmp_path)

    @pytest.mark.parametrize(("agreeing", "answers"), [(6, 5), (-1, 5)])
    def test_more_answers_that_agree_than_were_asked_for_are_refused(
        self, tmp_path: Path, agreeing: int, answers: int
    ) -> None:
        make_result().save(tmp_path)
        document = json.loads((tmp_path / "results.json").read_text())
        document["records"][1] |= {"png_agreeing": agreeing, "png_answers": answers}
        (tmp_path / "results.json").write_text(json.dumps(document))
        with pytest.raises(StoreError, match=r"png_agreeing must be 0 to 5 answers"):
            Result.load(tmp_path)

    def test_a_lost_image_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        (tmp_path / "images" / "000001.png").unlink()
        with pytest.raises(StoreError, match=r"cannot read the image .*000001\.png"):
            Result.load(tmp_path).images[1]
