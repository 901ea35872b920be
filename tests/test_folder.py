"""The folder of a result: nobody else's files are touched, no half of one passes for whole, all is plain."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfa.errors import StoreError
from dfa.oracle import as_oracle
from dfa.results.images import AdversarialImages
from dfa.results.result import Result
from dfa.runs import door
from dfa.runs.folder import check_folder, plain
from sample_results import by_first_value, failure, image_of_class, make_result, read_json, success


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
        def refuse(*_: Any, **more: Any) -> None:
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
        fill = door._fill

        def fill_up(path: str, descriptor: int, content: bytes, is_synced: bool) -> None:
            if "000004" in path:
                fill(path, descriptor, content[:10], is_synced)
                raise OSError(28, "No space left on device")
            fill(path, descriptor, content, is_synced)

        with monkeypatch.context() as patch:
            patch.setattr(door, "_fill", fill_up)
            with pytest.raises(StoreError, match=r"000004\.png: .*No space left .*still in memory"):
                result.save(tmp_path / "full")
        assert [path.name for path in (tmp_path / "full" / "images").iterdir()] == ["000001.png"]
        assert result.save(tmp_path / "elsewhere").verified == 2


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


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
            ([].append, "list.append"),
            (str.upper, "str.upper"),
            (plain, "dfa.plain"),
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
