"""Adversarial images in a temporary file: as they were put there, in little memory."""

from __future__ import annotations

import gc
import math
from typing import Any

import numpy as np
import pytest

from dfa.errors import InvalidInputError, StoreError
from dfa.results.images import AdversarialImages
from sample_results import SHAPE, image_of_class


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
        resource = pytest.importorskip("resource", reason="no peak memory is told here")
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
