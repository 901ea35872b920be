"""Contact sheets: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from dfa.views.pictures import Sheet, amplified_difference

CELL = 56


def drawn(sheet: Sheet) -> NDArray[np.uint8]:
    return np.asarray(sheet.draw())


def holds(picture: NDArray[np.uint8], block: NDArray[np.uint8]) -> bool:
    """Tell whether a block of pixels occurs in a picture."""
    height, width = block.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (height, width, 3))[:, :, 0]
    # The corners first: comparing whole blocks everywhere would take a while.
    for row, column in np.argwhere((windows[..., 0, 0, :] == block[0, 0]).all(axis=-1)):
        if np.array_equal(windows[row, column], block):
            return True
    return False


def random_image(channels: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (28, 28, channels), dtype=np.uint8)


class TestAmplifiedDifference:
    def test_mid_grey_is_no_change(self) -> None:
        image = random_image(1)
        np.testing.assert_array_equal(amplified_difference(image, image, 2), np.full((28, 28, 1), 128))

    def test_changes_are_amplified_and_clamped_both_ways(self) -> None:
        original = np.array([[[100], [100], [100], [200], [0]]], dtype=np.uint8)
        changed = np.array([[[110], [90], [164], [0], [255]]], dtype=np.uint8)
        amplified = amplified_difference(original, changed, 2)
        assert amplified.dtype == np.uint8
        assert amplified.ravel().tolist() == [148, 108, 255, 0, 255]


class TestSheet:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_images_are_enlarged_value_by_value(self, channels: int) -> None:
        sheet = Sheet("title", "text", num_columns=2, cell=CELL)
        images = [random_image(channels, seed) for seed in range(2)]
        sheet.add_row("row", images, [("a",), ("b", "c")])
        picture = drawn(sheet)
        for image in images:
            enlarged = np.broadcast_to(image.repeat(2, axis=0).repeat(2, axis=1), (CELL, CELL, 3))
            assert holds(picture, enlarged)

    def test_a_row_covers_no_other(self) -> None:
        sheet = Sheet("title", "text", num_columns=1, cell=28)
        images = [random_image(3, seed) for seed in range(2)]
        for image in images:
            sheet.add_row("row", [image], [("caption",)])
        picture = drawn(sheet)
        assert all(holds(picture, image) for image in images)

    def test_an_image_that_is_not_there_leaves_an_empty_frame(self) -> None:
        def row(image: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
            sheet = Sheet("title", "text", num_columns=1, cell=CELL)
            sheet.add_row("row", [image], [("3  50 %", "4  60 %")])
            return drawn(sheet)

        def row_without_images() -> NDArray[np.uint8]:
            sheet = Sheet("title", "text", num_columns=1, cell=CELL)
            sheet.add_row("row", [], [])
            return drawn(sheet)

        empty, full = row(None), row(np.zeros((28, 28, 1), dtype=np.uint8))
        assert empty.shape == full.shape
        assert (full == 0).all(axis=2).sum() >= CELL * CELL
        assert (empty == 0).all(axis=2).sum() == 0
        # It says so: beside the title, the text and the label there is a text in the frame.
        assert (empty < 200).all(axis=2).sum() > (row_without_images() < 200).all(axis=2).sum()
        # A second caption, in red, says what an image became: without an image there is none.
        red = (190, 30, 45)
        assert (full == red).all(axis=2).any()
        assert not (empty == red).all(axis=2).any()

    def test_rows_and_sections_go_one_under_another(self) -> None:
        sheet = Sheet("title", "text", num_columns=1, cell=CELL)
        heights = [sheet.draw().height]
        for _ in range(2):
            sheet.add_section("section")
            heights.append(sheet.draw().height)
            sheet.add_row("row", [random_image(1)], [("caption",)])
            heights.append(sheet.draw().height)
        steps = np.diff(heights)
        assert steps[0] == steps[2] > 0
        assert steps[1] == steps[3] > CELL

    def test_as_many_captions_as_images_are_needed(self) -> None:
        sheet = Sheet("title", "text", num_columns=1, cell=CELL)
        sheet.add_row("row", [random_image(1)], [])
        with pytest.raises(ValueError, match="shorter"):
            sheet.draw()

    def test_every_text_is_drawn(self) -> None:
        def ink(*, title: str = "", text: str = "", section: str = "", label: str = "", caption: str = "") -> int:
            sheet = Sheet(title, text, num_columns=3, cell=CELL)
            sheet.add_section(section)
            sheet.add_row(label, [np.full((28, 28, 1), 255, dtype=np.uint8)], [(caption,)])
            return int((np.asarray(sheet.draw().convert("L")) < 200).sum())

        nothing = ink()
        assert ink(title="A") > nothing
        assert ink(text="A") > nothing
        assert ink(section="A") > nothing
        assert ink(label="A") > nothing
        assert ink(caption="A") > nothing

    def test_the_picture_is_one_that_pillow_can_save(self) -> None:
        picture = Sheet("title", "text", num_columns=0, cell=CELL).draw()
        assert isinstance(picture, Pillow.Image)
        assert picture.mode == "RGB"
