"""Search spaces other than the ball: what they promise, and that the one loop and the one optimizer search them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import dfa
from core_driver import Images, ask, config_of, population_of, rows_of, tell
from dfa import _core
from dfa.space import constraints, core_spaces
from reference import spaces as reference
from reference.racos import Racos
from reference.settings import Settings

Image = NDArray[np.uint8]
SIZE = (9, 7, 3)

SPACES: dict[str, tuple[Any, Any]] = {
    "pixels": (dfa.Pixels(2), lambda image, x: reference.pixels(image, x, 2)),
    "rectangle": (dfa.Rectangle(4, 3), lambda image, x: reference.rectangle(image, x, -1)),
    "grey rectangle": (dfa.Rectangle(3, 5, colour=99), lambda image, x: reference.rectangle(image, x, 99)),
    "tiny rectangles": (dfa.TinyRectangles(4, (2, 1)), lambda image, x: reference.tiny_rectangles(image, x, 2, 1)),
    "lighting": (dfa.Lighting(60, 30), reference.lighting),
    "gamma": (dfa.Lighting(60, 30, gamma=7), reference.lighting),
    "tiled": (dfa.Tiled(dfa.LinfBall(20), 4), lambda image, x: reference.tiled(image, x, 4)),
    "coarsest": (dfa.Tiled(dfa.LinfBall(200), 9), lambda image, x: reference.tiled(image, x, 9)),
    "shift": (dfa.Shift(2, 3), reference.shift),
    "patch": (dfa.Patch(3), lambda image, x: reference.patch(image, x, 3)),
    "frame": (dfa.Frame(2), lambda image, x: reference.frame(image, x, 2)),
}


def picture(seed: int = 0, size: tuple[int, int, int] = SIZE) -> Image:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def degree_of(image: Images) -> float:
    """Exact, and coarse enough for ties."""
    return float(int((image.astype(np.int64) * (np.arange(image.size).reshape(image.shape) % 5)).sum()) // 64)


def threshold(images: Images) -> np.ndarray:
    """Class 1 where the weighted sum lies above what half of all random pictures have; smooth beside it."""
    weights = np.arange(images[0].size).reshape(images.shape[1:]) % 5 - 2.0
    sums = (images * weights).sum(axis=(1, 2, 3)) / 4000
    high = 1 / (1 + np.exp(-sums))
    return np.stack([1 - high, high], axis=1)


# One image by itself, against the reference


@pytest.mark.parametrize("region", ["ordered", "none", "per_coordinate"])
@pytest.mark.parametrize("name", SPACES)
def test_a_whole_trajectory_is_that_of_the_reference(name: str, region: Any) -> None:
    space, shows = SPACES[name]
    image = picture(3)
    made = Settings(samples=4, positives=2, coordinates=2, region=region, ties="newer")
    limits = space.bind(1, SIZE).limits(0)
    twin = Racos(image, 0, made, seed=7, image_id=5, box=(limits.low.tolist(), limits.high.tolist(), shows))
    batch = _core.Batch(config_of(made), SIZE, 7, 2)
    slot = batch.add(image, 5, limits)
    for step in range(12):
        images = ask(batch, rows_of(batch, slot), SIZE)
        assert images.tobytes() == twin.ask().tobytes()
        degrees = [degree_of(each) for each in images]
        tell(batch, rows_of(batch, slot), degrees)
        twin.tell(degrees)
        found = [(degree, birth) for degree, birth, _ in population_of(batch, slot)]
        assert found == [(each.degree, each.birth) for each in twin.population]
        for (_, _, vector), member in zip(population_of(batch, slot), twin.population, strict=True):
            assert vector is None or tuple(vector) == member.vector
        if step == 5:
            # A restart in between changes nothing.
            state = batch.save(slot)
            batch = _core.Batch(config_of(made), SIZE, 7, 1)
            slot = batch.load(state)
            assert batch.save(slot) == state


@pytest.mark.parametrize("name", SPACES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_image_keeps_the_promise_and_every_vector_its_box(name: str, data: st.DataObject) -> None:
    space, _ = SPACES[name]
    size = (data.draw(st.integers(9, 12)), data.draw(st.integers(7, 11)), data.draw(st.integers(1, 4)))
    image = picture(data.draw(st.integers(0, 99)), size) // data.draw(st.sampled_from([1, 255])) * 255
    bound = space.bind(1, size)
    limits = bound.limits(0)
    made = replace(
        Settings(samples=3, positives=2, coordinates=3), region=data.draw(st.sampled_from(["none", "ordered"]))
    )
    batch = _core.Batch(config_of(made), size, data.draw(st.integers(0, 2**64 - 1)), 1)
    places = _core.Places(batch, None, 1, 16, 1000, None)
    places.admit(0, batch.add(image, 0, limits), 0, 0, float("inf"))
    rows = np.empty((16, *size), np.uint8)
    for _ in range(4):
        count = len(places.propose(rows)[0])
        shown = rows[:count].copy()
        degrees = np.array([1 + degree_of(each) for each in shown])
        is_last = data.draw(st.booleans())
        degrees[0] = 0.0 if is_last else degrees[0]
        places.tell(degrees, 0.0, 0.0)
        for _, _, vector in population_of(batch, 0):
            assert vector is None or ((limits.low <= vector) & (vector <= limits.high)).all()
        if is_last:
            x = places.hit_vector(0)
            assert ((limits.low <= x) & (x <= limits.high)).all()
            found = bound.measure(image, shown[0], x)
            assert bound.why_broken(0, image, shown[0], found) in ("", None)
            break


def test_what_breaks_a_promise_is_said() -> None:
    image = np.full(SIZE, 128, np.uint8)
    other = image.copy()
    other[:2, :2] += 9
    other[8, 6] = 0

    def broken(space: Any, **distances: float) -> Any:
        return space.bind(1, SIZE).why_broken(0, image, other, distances)

    assert broken(dfa.Pixels(4)) == "5 pixels differ, where 4 may"
    assert broken(dfa.Pixels(5)) == ""
    assert broken(dfa.Rectangle(8, 7)) == "what differs takes 9 x 7 pixels, where 8 x 7 may"
    assert broken(dfa.Rectangle(9, 7)) == "it has 2 colours, where one may be"
    assert broken(dfa.TinyRectangles(2, 2)) == "pixels differ that are not black" or "5 pixels" in broken(
        dfa.TinyRectangles(2, 2)
    )
    assert broken(dfa.TinyRectangles(1, 2)) == "5 pixels differ, where 4 may"
    assert broken(dfa.Patch(7)) == "what differs takes 9 x 7 pixels, where 7 x 7 may"
    assert broken(dfa.Frame(1)) == "1 pixels differ within the frame of 1 pixels, where none may"
    assert broken(dfa.Frame(2)) == ""
    assert broken(dfa.Tiled(dfa.LinfBall(50), 2)) == "values lie up to 128 grey levels away, where 50 may"
    assert broken(dfa.Tiled(dfa.LinfBall(200), 3)) == "the tile at (0, 0) has more than one value"
    assert broken(dfa.Lighting(), brightness=3, contrast=0) == "it is 131 grey levels from what these steps give"
    assert "brightness is 65 steps, where 64 may be" in broken(dfa.Lighting(), brightness=65)
    other = image.copy()
    other[0, 0] = 7
    assert broken(dfa.Rectangle(1, 1, colour=8)) == "its colour is [7, 7, 7], where 8 may be"
    assert broken(dfa.Rectangle(1, 1, colour=7)) == ""


# Whole runs


def run(space: Any, images: Any = None, **changes: Any) -> dfa.Result:
    images = np.stack([picture(i) for i in range(12)]) if images is None else images
    arguments = {"max_queries": 120, "progress": False, "batch_size": 16, "seed": 3} | changes
    return dfa.run(threshold, images, space=space, **arguments)


def told(result: dfa.Result) -> list[Any]:
    rows = [dataclasses.asdict(replace(record, seconds=0.0)) for record in result.records]
    images = [None if image is None else image.tobytes() for image in result.images]
    return [rows, images]


@pytest.mark.parametrize("name", SPACES)
def test_a_run_does_not_depend_on_batches_threads_or_order(name: str) -> None:
    space, _ = SPACES[name]
    images = np.stack([picture(i) for i in range(12)])
    expected = run(space, images)
    assert told(run(space, images, batch_size=5, threads=3)) == told(expected)
    order = np.random.default_rng(1).permutation(12)
    shuffled = run(space, images[order])
    for place, index in enumerate(order.tolist()):
        assert replace(shuffled.records[place], index=index, seconds=0.0) == replace(
            expected.records[index], seconds=0.0
        )


HARD = {"tiny rectangles", "shift"}
"""Spaces in which none of the pictures of these tests falls."""


@pytest.mark.parametrize("name", SPACES)
def test_a_stored_run_verifies_reports_and_reads_back(name: str, tmp_path: Path) -> None:
    space, _ = SPACES[name]
    result = run(space, store=tmp_path / "run")
    if name not in HARD:
        assert result.summary().verified > 0
    loaded = dfa.Result.load(tmp_path / "run")
    assert told(loaded) == told(result)
    assert loaded.summary() == replace(result.summary(), wall=loaded.summary().wall)
    verification = dfa.verify(tmp_path / "run", threshold)
    assert verification.holds, verification
    if type(space).__name__ in constraints.CHECKS and result.summary().verified:
        assert verification.checked["space"] == result.summary().verified
        assert "epsilon" not in verification.checked
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["config"]["space"]["kind"] == type(space).__name__
    header = (tmp_path / "run" / "records.csv").read_text().splitlines()[0].split(",")
    names = {f"distance_{each}" for record in result.records for each in record.distances or {}}
    assert names <= set(header)
    assert names <= set(result.to_pandas().columns)
    with pytest.raises(dfa.StoreError, match="space"):
        dfa.run(
            threshold,
            np.stack([picture(i) for i in range(12)]),
            space=dfa.Pixels(3),
            max_queries=120,
            progress=False,
            batch_size=16,
            seed=3,
            store=tmp_path / "run",
            resume=True,
        )


class Dying:
    """Fails with its n-th call."""

    def __init__(self, oracle: Any, calls: int) -> None:
        self.oracle, self.left = oracle, calls

    def __call__(self, images: Images) -> np.ndarray:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("no more")
        return self.oracle(images)


def test_the_distances_are_those_that_matter() -> None:
    pixels = run(dfa.Pixels(2))
    for record in pixels.records:
        assert not record.verified or record.distances in ({"pixels": 1}, {"pixels": 2})
    assert 0 < pixels.summary().distances["pixels"] <= 2
    assert "pixels" in str(pixels.summary())
    area = run(dfa.Rectangle(4, 3)).summary().distances["area"]
    assert 1 <= area <= 12
    assert set(run(dfa.Lighting(60, 30)).summary().distances) == {"brightness", "contrast"}


def test_a_mask_keeps_pixels_as_they_are() -> None:
    mask = np.zeros(SIZE[:2], bool)
    mask[2:5, 1:4] = True
    result = run(dfa.LinfBall(90, mask=mask), max_queries=400)
    assert result.summary().verified > 0
    for index in result.images.held():
        changed = (result.images[index] != picture(index)).any(axis=2)
        assert not changed[~mask].any()
    per_image = dfa.LinfBall(np.arange(1, 4), mask=np.stack([mask] * 3)).bind(3, SIZE)
    assert per_image.epsilon(2).max() == 3
    with pytest.raises(dfa.InvalidInputError, match="mask must be bool"):
        dfa.LinfBall(3, mask=mask.astype(int)).bind(1, SIZE)
    with pytest.raises(dfa.InvalidInputError, match="at least one coordinate"):
        dfa.LinfBall(3, mask=~mask & mask).bind(1, SIZE)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (dfa.Pixels(0), r"number must be in 1\.\.10000, got 0"),
        (dfa.Pixels(1.5), "number must be an integer, got 1.5"),
        (dfa.Rectangle(10, 1), r"height must be in 1\.\.9, got 10"),
        (dfa.Rectangle(1, 1, colour=256), r"colour must be in -1\.\.255, got 256"),
        (dfa.TinyRectangles(1, (1, 8)), r"width must be in 1\.\.7, got 8"),
        (dfa.TinyRectangles(1, (1, 2, 3)), "one number or"),
        (dfa.Lighting(256), r"brightness must be in 0\.\.255, got 256"),
        (dfa.Lighting(0, 64), r"contrast must be in 0\.\.63, got 64"),
        (dfa.Lighting(0, 0), "nothing to search"),
        (dfa.Lighting(gamma=8), r"gamma must be in 0\.\.7, got 8"),
        (dfa.Tiled(dfa.LinfBall(3), 10), r"factor must be in 1\.\.9, got 10"),
        (dfa.Tiled(dfa.LinfBall(np.ones(SIZE, int)), 2), "one epsilon for a whole image"),
        (dfa.Patch(8), r"size must be in 1\.\.7, got 8"),
        (dfa.Patch(2**40), r"Patch: size must be at most 2,147,483,647, either way, got 1099511627776"),
        (dfa.Frame(4), r"width must be in 1\.\.3, got 4"),
        (dfa.Shift(9, 0), r"rows must be in 0\.\.8, got 9"),
    ],
    ids=str,
)
def test_a_space_that_fits_no_such_image_is_refused(space: Any, message: str) -> None:
    with pytest.raises(dfa.InvalidInputError, match=message):
        run(space)


@pytest.mark.parametrize(
    ("number", "shape", "starts", "coordinates", "restart_after"),
    [(1, "scattered", 100, 3, 512), (2, "own", None, 1, 0), (5, "own", None, 1, 0)],
)
def test_a_search_for_one_pixel_begins_in_many_places(
    number: int, shape: str, starts: int | None, coordinates: int, restart_after: int
) -> None:
    optimizer = dfa.Pixels(number).optimizer()
    assert optimizer.shape == shape
    assert (optimizer.starts, optimizer.coordinates) == (starts, coordinates)
    assert optimizer.restart_after == restart_after
    assert optimizer.rest_ratio == (0.8 if restart_after else dfa.Racos().rest_ratio)
    # Whoever changes the population need not know of the starts.
    assert replace(optimizer, samples=10).population == 10 + optimizer.positives


@pytest.mark.parametrize(
    "optimizer",
    [
        dfa.Racos(),
        replace(dfa.Racos.paper(), start="stripes"),
        replace(dfa.Racos.paper(), shape="window"),
    ],
)
def test_windows_and_textures_are_for_the_ball(optimizer: dfa.Racos) -> None:
    with pytest.raises(dfa.InvalidInputError, match="lie on an image's pixels"):
        run(dfa.Pixels(1), optimizer=optimizer)


def test_no_space_is_no_space() -> None:
    with pytest.raises(dfa.InvalidInputError, match="space must be None or a search space"):
        run("pixels")


# A user's own


def centroid(rows: NDArray[Any]) -> np.ndarray:
    """Two classes, around -3 and 3."""
    assert rows.dtype == np.int32
    low = 1 / (1 + np.exp(rows.sum(axis=1) / 4.0))
    return np.stack([low, 1 - low], axis=1)


def moved(originals: NDArray[Any], x: NDArray[np.int16]) -> NDArray[Any]:
    return originals + x


TABLE = np.random.default_rng(0).integers(-4, 5, (9, 5)).astype(np.int32)
OWN = dfa.Custom([-6] * 5, [6] * 5, moved, lambda original, shown, x: {"steps": int(np.abs(x).sum())})


def attack(space: dfa.Custom = OWN, **changes: Any) -> dfa.Result:
    arguments: dict[str, Any] = {"max_queries": 60, "progress": False, "batch_size": 8} | changes
    return dfa.run(arguments.pop("oracle", centroid), arguments.pop("images", TABLE), space=space, **arguments)


def test_a_users_space_searches_rows_of_a_table(tmp_path: Path) -> None:
    result = attack(store=tmp_path / "run")
    assert result.summary().TSR == 1.0
    for index, record in enumerate(result.records):
        found = result.images[index]
        assert found is not None
        assert found.dtype == np.int32
        difference = found - TABLE[index]
        assert np.abs(difference).max() == record.linf <= 6
        assert record.distances == {"steps": np.abs(difference).sum()}
        assert centroid(found[np.newaxis]).argmax() == record.class_after != record.class_before
    assert sorted(path.suffix for path in (tmp_path / "run" / "images").iterdir()) == [".npy"] * 9
    assert told(dfa.Result.load(tmp_path / "run")) == told(result)
    verification = dfa.verify(tmp_path / "run", centroid)
    assert verification.holds, verification
    assert verification.notes == ("what the space Custom promises cannot be told from images",)
    assert told(attack(batch_size=3, threads=2)) == told(result)
    report = result.save(tmp_path / "saved")
    assert report.verified == 9


@pytest.mark.parametrize("calls", [2, 4, 7])
@pytest.mark.parametrize("name", ["pixels", "lighting", "custom"])
def test_a_run_that_was_cut_short_goes_on_as_if_nothing_had_happened(name: str, calls: int, tmp_path: Path) -> None:
    def go(oracle: Any, **more: Any) -> dfa.Result:
        if name == "custom":
            return attack(oracle=oracle, images=TABLE * 3, max_queries=60, **more)
        images = np.stack([picture(i) for i in range(12)])
        space, _ = SPACES[name]
        return dfa.run(oracle, images, space=space, max_queries=60, progress=False, batch_size=8, seed=3, **more)

    oracle = centroid if name == "custom" else threshold
    expected = go(oracle)
    named = dfa.Storage(tmp_path / "run", interval=32)
    # Named alike, since the name of the oracle may differ, but not its kind.
    with pytest.raises(dfa.OracleError, match="no more"):
        go(Dying(oracle, calls), store=named)
    result = go(oracle, store=replace(named, resume=True))
    assert told(result) == told(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": [0.5]}, "low must be integers"),
        ({"low": [-40_000] * 5}, r"integers of -32768\.\.32767"),
        ({"high": [1] * 4}, "of one length"),
        ({"low": [1] * 5, "high": [0] * 5}, "must not end before it begins"),
        ({"low": [0] * 5, "high": [0] * 5}, "nothing to search"),
        ({"low": [[0] * 5] * 2}, "N = 9"),
        ({"render": None}, "render must be a function"),
    ],
    ids=str,
)
def test_an_impossible_box_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(dfa.InvalidInputError, match=message):
        attack(replace(OWN, **changes))


def test_a_box_per_original_and_fixed_integers() -> None:
    low = np.zeros((9, 5), int)
    high = np.abs(TABLE) + 1
    low[:, 1] = high[:, 1] = 3
    result = attack(replace(OWN, low=low, high=high, measure=None))
    for index in result.images.held():
        found = result.images[index]
        assert found is not None
        x = found - TABLE[index]
        assert x[1] == 3
        assert ((low[index] <= x) & (x <= high[index])).all()


@pytest.mark.parametrize(
    ("render", "message"),
    [
        (lambda originals, x: originals[:1], "must return what is like the originals"),
        (lambda originals, x: originals + 0.5, "must return what is like the originals"),
        (lambda originals, x: 1 // 0, "renderer failed: ZeroDivisionError"),
    ],
)
def test_a_renderer_that_fails_ends_the_run_with_what_was_found(render: Any, message: str) -> None:
    with pytest.raises(dfa.SpaceError, match=message) as caught:
        attack(replace(OWN, render=render))
    assert len(caught.value.result.records) == 9


@pytest.mark.parametrize("images", [np.full((2, 3), np.nan), np.array([["a"]]), np.zeros((2, 3), complex)])
def test_originals_must_be_finite_numbers(images: Any) -> None:
    with pytest.raises(dfa.InvalidInputError, match="must hold finite integers or floats"):
        attack(images=images)


def test_floats_are_as_good_as_integers() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)

    def oracle(each: NDArray[Any]) -> np.ndarray:
        low = 1 / (1 + np.exp(each.sum(axis=1, dtype=np.float64)))
        return np.stack([low, 1 - low], axis=1)

    space = dfa.Custom([-50] * 4, [50] * 4, lambda originals, x: originals + x.astype(np.float32) / 16)
    result = dfa.run(oracle, rows, space=space, max_queries=50, progress=False)
    assert result.summary().TSR == 1.0
    frame = result.to_pandas()
    assert frame["linf"].dtype == np.float64


def test_the_breast_cancer_example() -> None:
    """Integer-valued features of a table: each may move by at most a tenth of its range."""
    datasets = pytest.importorskip("sklearn.datasets")
    linear_model = pytest.importorskip("sklearn.linear_model")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    features, classes = datasets.load_breast_cancer(return_X_y=True)
    top = features.max(axis=0)
    table = np.rint(features / top * 1000).astype(np.int64)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(C=0.01))
    model.fit(table[:400], classes[:400])
    reach = (table.max(axis=0) - table.min(axis=0)) // 10

    def render(originals: NDArray[Any], x: NDArray[np.int16]) -> NDArray[Any]:
        return np.clip(originals + x, table.min(axis=0), table.max(axis=0))

    space = dfa.Custom(-reach, reach, render)
    result = dfa.run(
        model.predict_proba, table[400:430], classes[400:430], space=space, max_queries=500, progress=False
    )
    assert result.summary().verified >= 3
    for index in result.images.held():
        found = result.images[index]
        assert found is not None
        assert (np.abs(found - table[400 + index]) <= reach).all()


# The page that shows how to add one


def test_the_page_shows_a_space_as_it_is() -> None:
    root = Path(__file__).parents[1]
    page = (root / "docs" / "how" / "6-your-own-space.md").read_text()
    assert (root / "cpp" / "src" / "space" / "kinds" / "shift.cpp").read_text() in page
    assert "class Shift(CoreSpace):" in page
    source = (root / "python" / "dfa" / "space" / "boxes.py").read_text()
    shown = page.split("```python\n")
    blocks = [block.split("```")[0] for block in shown[1:] if "class Shift" in block]
    assert len(blocks) == 1
    assert blocks[0] in source


def test_every_space_of_the_core_has_its_class() -> None:
    files = {path.stem for path in (Path(__file__).parents[1] / "cpp" / "src" / "space" / "kinds").glob("*.cpp")}
    assert len(files) > 5
    assert files - {"values"} == set(core_spaces())
    with pytest.raises(ValueError, match="no space is called nowhere"):
        _core.Box("nowhere", SIZE, {})
    with pytest.raises(ValueError, match="number is missing"):
        _core.Box("pixels", SIZE, {})
