"""The book of a run: one record per image, settled once, with its adversarial image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dfa.engine.bar import Bar
from dfa.errors import StoreError
from dfa.originals import Form, difference, largest
from dfa.results.images import AdversarialImages
from dfa.results.record import Record, Status, read_record, rewritten
from dfa.runs.folder import plain
from dfa.runs.journal import Picture
from dfa.runs.store import Store, digest_of
from dfa.types import Image


class Ledger:
    """Settles records: into the result, the store and the progress bar.

    Attributes:
        images: The adversarial images.
        originals: What they were made from, where reading that again may give something else; or None.
    """

    def __init__(
        self,
        num_images: int,
        form: Form,
        store: Store | None,
        on_record: Callable[[Record], None] | None,
        *,
        keeps_originals: bool,
        bar: Bar | None,
    ) -> None:
        """Open an empty book.

        Args:
            num_images: N.
            form: What the originals are.
            store: Where records are kept too, or None.
            on_record: Called with each record as it is settled, or None.
            keeps_originals: Keep the originals of adversarial images too.
            bar: Shows how many are settled, or None.
        """
        self.images = AdversarialImages(num_images, form=form)
        self.originals = AdversarialImages(num_images, form=form) if keeps_originals else None
        self._records: list[Record | None] = [None] * num_images
        self._store = store
        self._on_record = on_record
        self._bar = bar
        self._kept: dict[int, Record] = {}

    def take_up(self, store: Store) -> None:
        """Read what was settled before the run was cut short, which stays, whatever is found when it is searched again.

        What has lost its image is forgotten, so that it is searched again.

        Raises:
            StoreError: A record is damaged.
        """
        for index, row in list(store.kept.items()):
            try:
                record, image = read_record(row), store.kept_image(index)
            except StoreError:
                del store.kept[index]
                continue
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise StoreError(
                    f"the record of image {index} of the run in {store.folder} cannot be read: {error!r}; start a new "
                    "run in another folder"
                ) from error
            self._kept[index] = record
            if image is not None:
                self.images.put(index, image)
            store.let_go(index)

    def close(self) -> None:
        """End the progress bar."""
        if self._bar is not None:
            self._bar.close()

    def note_read(self, index: int, image: Image | None) -> None:
        """Write down that an image was read, or could not be."""
        if self._store is not None:
            self._store.note_read(index, None if image is None else digest_of(image))

    def settle(self, record: Record, picture: Picture | None = None) -> None:
        """Take a record as the last word on its image.

        Args:
            record: The record.
            picture: The adversarial image with its original, of a success.
        """
        if record.index in self._kept:
            record = self._kept[record.index]
        elif picture is not None:
            self._keep_original(record.index, picture)
            self.images.put(record.index, picture.image)
        if self._store is not None and record.index not in self._kept:
            row = plain(record)
            assert isinstance(row, dict)
            self._store.finished(row, picture)
        self._records[record.index] = record
        if self._bar is not None:
            self._bar.settle(record)
        if self._on_record is not None:
            # One that fails ends the run, and is not called about what is settled for the partial result.
            follow, self._on_record = self._on_record, None
            follow(record)
            self._on_record = follow

    def is_kept(self, index: int) -> bool:
        """Tell whether an image was settled before the run was cut short."""
        return index in self._kept

    def kept_records(self) -> list[Record]:
        """Return the records of images that were settled before the run was cut short, in the order of the images."""
        return [self._kept[index] for index in sorted(self._kept)]

    def settle_again(self, index: int) -> Record:
        """Settle an image as it was before the run was cut short, and return its record."""
        self.settle(self._kept[index])
        return self._kept[index]

    def settle_kept(self) -> None:
        """Settle all images that were settled before the run was cut short, and are not yet settled again."""
        for index in self._kept:
            if self._records[index] is None:
                self.settle_again(index)

    def leave_unfinished(self, draft: Record, reason: str) -> None:
        """Let a draft stand for an image that was not settled when the run ended."""
        if self._records[draft.index] is None:
            self._records[draft.index] = rewritten(draft, status=Status.UNFINISHED, reason=reason)

    def leave_unconfirmed(self, draft: Record, picture: Picture, reason: str) -> None:
        """Let a draft stand for an image whose claim of success was not confirmed when the run ended."""
        if self._records[draft.index] is None:
            try:
                self._keep_original(draft.index, picture)
                self.images.put(draft.index, picture.image)
                what = "found but not verified"
            except StoreError as error:
                what = f"found but not kept ({error})"
            self.leave_unfinished(rewritten(draft, **distances(*picture)), f"{what}: {reason}")

    def _keep_original(self, index: int, picture: Picture) -> None:
        if self.originals is not None:
            self.originals.put(index, picture.original)

    def records(self) -> list[Record]:
        """Return the records there are, in the order of the images."""
        return [record for record in self._records if record is not None]

    def unsettled(self) -> list[int]:
        """Return the images that have no record."""
        return [index for index, record in enumerate(self._records) if record is None]


def distances(image: Image, original: Image) -> dict[str, Any]:
    """Return what was changed, measured on the images themselves, as fields of a record."""
    if image.dtype == original.dtype == np.uint8:
        # Exact in whatever order it is added up, below 2^53: three times as fast as what follows.
        levels = np.subtract(image, original, dtype=np.float64).ravel()
        return {
            "l0": int(np.count_nonzero(levels)),
            "l2": math.sqrt(levels @ levels),
            "linf": int(max(levels.max(initial=0), -levels.min(initial=0))),
        }
    change = difference(image, original)
    # Whole numbers beyond 64 bits their squares may be, and nothing is lost of those of grey levels.
    sizes = change.astype(np.float64)
    with np.errstate(over="ignore"):
        squares = (sizes * sizes).sum()
    return {
        "l0": int(np.count_nonzero(change)),
        "l2": float(np.sqrt(squares)),
        "linf": largest(change),
    }
