"""A prior: signs that a surrogate gives, as a start and for coordinates all over the image."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import dfa
from core_driver import DEFAULT, ask, config_of, population_of, rows_of, tell
from core_trajectories import degrees_of, picture
from dfa import _core
from dfa.oracle import priors
from dfa.oracle.priors import FROM_BEST, START, FunctionPrior, Walk, as_prior, follow, smoothed
from dfa.results.profile import read_profile
from dfa.views.report import write_report
from reference import tuning
from reference.archive import PRIOR, Archive, plan_alone
from reference.racos import Racos
from reference.settings import Settings

SIZE = (9, 8, 3)
WEIGHTS = np.random.default_rng(3).standard_normal((4, *SIZE)).astype(np.float32)


def scores(images: Any, weights: Any = WEIGHTS, scale: float = 900.0) -> Any:
    """A linear model of four classes."""
    logits = np.einsum("nhwc,khwc->nk", images.astype(np.float64) - 128, weights) / scale
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def towards(images: Any, goals: Any) -> Any:
    """Its gradient for targets."""
    return WEIGHTS[goals] - WEIGHTS.mean(0)


def away(images: Any, goals: Any) -> Any:
    """And for an untargeted run."""
    return -towards(images, goals)


def useless(images: Any, goals: Any) -> Any:
    """Signs of no meaning, which only depend on the image."""
    return np.stack([np.random.default_rng(int(each.sum())).standard_normal(SIZE) for each in images])


PICTURES = np.stack([picture(SIZE, seed) for seed in range(12)])


def signs_for(vector: tuple[int, ...] | list[int]) -> np.ndarray:
    """Raised coordinates that depend on the member."""
    values = np.asarray(vector).reshape(SIZE)
    return (((values + np.arange(values.size).reshape(SIZE) * 7) % 5) < 2).astype(np.uint8)


@pytest.mark.parametrize(
    "settings",
    [
        replace(DEFAULT, prior=True),
        replace(DEFAULT, prior=True, starts=5, restart_after=8, samples=2, window_halvings=(3, 9)),
        replace(DEFAULT, prior=True, starts=7, restart_after=16, improvements=1.5, domain="ball"),
    ],
)
@pytest.mark.parametrize("is_restored", [False, True])
def test_the_core_is_the_reference(settings: Settings, is_restored: bool) -> None:
    image = PICTURES[0]
    first = signs_for(list(range(image.size)))
    plan = plan_alone(settings.starts or 2, tuple((first.ravel() != 0).tolist()))
    search = Racos(image, 40, settings, seed=2, plan=plan)
    batch = _core.Batch(config_of(settings), image.shape, 2, 1)
    slot = batch.add(image, 0, 40, _core.Plan.alone(settings.starts or 2, first))
    fillings = set()
    for iteration in range(50):
        assert batch.wants_prior(slot) == search.wants_prior
        if search.wants_prior:
            with pytest.raises(RuntimeError, match="before the prior was given"):
                ask(batch, rows_of(batch, slot)[-1:], image.shape)
            signs = signs_for(search.population[0].vector)
            batch.give_prior(slot, signs)
            search.give_prior((signs.ravel() != 0).tolist())
        if is_restored:
            slot = batch.load(batch.save(slot))
        expected = search.ask()
        fillings |= {proposal.filling for proposal in search._proposals() if proposal}
        assert np.array_equal(ask(batch, rows_of(batch, slot), image.shape), expected), f"images of {iteration}"
        degrees = degrees_of(expected)
        tell(batch, rows_of(batch, slot), degrees)
        search.tell(degrees)
        best = [(member.degree, member.birth, list(member.vector)) for member in search.population[:1]]
        assert population_of(batch, slot)[:1] == best
    assert {0, 1 + len(tuning.WINDOW_TEXTURES)} <= fillings  # drawn ones and the prior's
    if settings.restart_after < 100:
        assert search.descents > 1


def test_what_starts_of_a_prior_were_worth_is_learned() -> None:
    """Both archives try them first until they have shown to be no better than textures, or to succeed."""
    signs = signs_for(list(range(PICTURES[0].size)))
    shown = np.clip(PICTURES[0] + np.where(signs, 40, -40), 0, 255).astype(np.uint8)
    for ratio, is_tried in ((1.2, False), (0.0, True)):
        core, reference = _core.Archive(signs.size), Archive()
        batch = _core.Batch(config_of(replace(DEFAULT, prior=True)), SIZE, 1, 1)
        for _ in range(12):
            planned = reference.plan(1, 1.0, tuple((signs.ravel() != 0).tolist()))
            core_plan = core.plan(1, 1.0, signs)
            assert core_plan.num_starts == len(planned.starts)
            search = Racos(PICTURES[0], 40, replace(DEFAULT, prior=True), seed=1, plan=planned)
            slot = batch.add(PICTURES[0], 0, 40, core_plan)
            for _ in range(40):
                images = search.ask()
                if search.wants_prior:
                    break
                assert np.array_equal(ask(batch, rows_of(batch, slot), SIZE), images)
                degrees = [ratio if np.array_equal(image, shown) else 0.9 for image in images]
                tell(batch, rows_of(batch, slot), degrees)
                search.tell(degrees)
            core.learn(1, batch.lesson(slot))
            reference.learn(1, search.take_lesson())
        assert (reference.plan(1, 1.0, planned.starts[0].signs or (False,)).starts[0].entry == PRIOR) == is_tried


def attack(prior: Any, **others: Any) -> dfa.Result:
    given: dict[str, Any] = {"targets": 2, "epsilon": 6, "max_queries": 400, "progress": False, "threads": 1}
    return dfa.run(scores, PICTURES, prior=prior, **(given | others))


def found(result: dfa.Result) -> list[Any]:
    return [(record.queries, record.status, record.trace) for record in result.records]


def test_a_right_prior_breaks_at_the_first_query_and_another_costs_little() -> None:
    without, right, wrong = (attack(prior, epsilon=30).summary() for prior in (None, towards, useless))
    assert right.queries_mean == 1.0 < without.queries_mean
    assert wrong.queries_mean_with_failures < 1.6 * without.queries_mean_with_failures
    assert attack(away, targets=None, epsilon=30).summary().queries_mean == 1.0


@pytest.mark.parametrize("prior", [useless, lambda images, goals: np.zeros(images.shape)])
def test_candidates_take_its_signs_where_the_start_fails(prior: Any) -> None:
    """Only the gradient at what was found so far is right: the start is of no use."""

    def late(images: Any, goals: Any) -> Any:
        is_moved = (images.astype(int) - PICTURES[0]).any(axis=(1, 2, 3))[:, None, None, None]
        return np.where(is_moved, towards(images, goals), 0.0)

    late_mean, mean = (
        dfa.run(
            scores, PICTURES[:1], targets=dfa.rank(3), epsilon=12, max_queries=900, prior=each, progress=False, seed=4
        ).summary()
        for each in (late, prior)
    )
    assert late_mean.queries_mean_with_failures < 0.2 * mean.queries_mean_with_failures


def test_results_do_not_depend_on_batches_threads_or_restarts(tmp_path: Path) -> None:
    expected = found(attack(useless))
    assert found(attack(useless, batch_size=3, threads=2)) == expected
    asked = 0

    def failing(images: Any) -> Any:
        nonlocal asked
        asked += len(images)
        if asked > 150:
            raise RuntimeError("enough")
        return scores(images)

    given: dict[str, Any] = {"targets": 2, "epsilon": 6, "max_queries": 400, "progress": False, "batch_size": 8}
    with pytest.raises(dfa.OracleError):
        dfa.run(failing, PICTURES, prior=useless, store=dfa.Storage(tmp_path / "run", interval=32), **given)
    with pytest.raises(dfa.StoreError, match=r"config\.prior"):
        dfa.run(scores, PICTURES, store=tmp_path / "run", resume=True, **given)
    resumed = dfa.run(
        scores, PICTURES, prior=useless, store=dfa.Storage(tmp_path / "run", interval=32, resume=True), **given
    )
    assert found(resumed) == expected


def test_it_is_asked_once_for_each_candidate_that_improves() -> None:
    calls = 0

    def counting(images: Any, goals: Any) -> Any:
        nonlocal calls
        calls += len(images)
        return useless(images, goals)

    result = attack(counting, optimizer=dfa.Racos(improvements=0.0, archive=False))
    improved = sum(len(record.trace or ()) for record in result.records)
    assert calls <= START.steps * len(PICTURES) + FROM_BEST.steps * improved


def test_results_tell_of_it(tmp_path: Path) -> None:
    result = attack(useless)
    result.save(tmp_path / "run")
    assert "<b>useless</b><span>the prior" in write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert result.config["prior"] == {"kind": "function", "name": "useless", "module": __name__}
    assert "with a prior" in str(result.summary())
    assert "useless" in str(result.summary())
    without = attack(None)
    assert "prior" not in without.config
    assert "prior" not in str(without.summary())


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"space": dfa.Shift()}, "needs the space dfa.LinfBall, got Shift"),
        ({"optimizer": dfa.Racos.paper()}, "positives=1, got 'scattered', 'uniform' and 2"),
        ({"optimizer": dfa.Racos(shape="ray")}, "positives=1, got 'ray'"),
    ],
)
def test_what_cannot_be_is_refused(others: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"targets": 2, "max_queries": 400, "progress": False}
    with pytest.raises(dfa.InvalidInputError, match=message):
        dfa.run(scores, PICTURES, prior=useless, **(given | others))


def test_labels_alone_are_refused() -> None:
    oracle = dfa.label_only(scores, num_classes=4)
    with pytest.raises(dfa.InvalidInputError, match="more than labels"):
        dfa.run(oracle, PICTURES, prior=useless, progress=False)


@pytest.mark.parametrize("given", [7, "model", dict])
def test_what_is_no_prior_is_refused(given: Any) -> None:
    with pytest.raises(dfa.InvalidInputError, match="prior must be None, a torch module"):
        attack(given)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda images, goals: np.zeros(3), r"signs or gradients of shape \(1, 9, 8, 3\).*got float64 of shape \(3,\)"),
        (lambda images, goals: np.full(images.shape, np.nan), "without NaN"),
        (lambda images, goals: np.ones(images.shape, np.uint8), "got uint8, which knows no sign: return booleans"),
        (lambda images, goals: goals.sort(), "failed: ValueError: .*read-only"),
        (lambda images, goals: 1 / 0, "failed: ZeroDivisionError"),
    ],
)
def test_a_prior_that_fails_ends_the_run_with_what_was_found(answer: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(dfa.PriorError, match=message) as caught:
        attack(answer, store=tmp_path / "run")
    assert len(caught.value.result.records) == len(PICTURES)
    assert len(dfa.Result.load(tmp_path / "run").records) == len(PICTURES)


def test_booleans_say_up_or_down() -> None:
    prior = FunctionPrior(lambda images, goals: towards(images, goals) > 0)
    given = prior.checked_directions(PICTURES[:2], np.array([1, 3]))
    assert np.array_equal(given, np.sign(towards(None, np.array([1, 3]))))


def test_no_direction_leaves_a_value_where_it_is() -> None:
    original = np.full((1, 1, 3, 1), 100, np.uint8)
    now = np.array([90, 110, 110], np.uint8).reshape(original.shape)
    directions = np.array([0, 0, -1], np.float32).reshape(original.shape)
    prior = FunctionPrior(lambda images, goals: directions)
    raised = follow(prior, now, original, np.array([0]), np.array(10, np.uint8), Walk(6, 0.4))
    assert raised.ravel().tolist() == [False, True, False]


def test_a_walk_follows_the_prior_in_the_ball() -> None:
    seen = []

    def watching(images: Any, goals: Any) -> Any:
        seen.append(images.astype(int))
        return towards(images, goals)

    epsilon = np.full(SIZE, 5, np.uint8)
    signs = follow(FunctionPrior(watching), PICTURES[:2], PICTURES[:2], np.array([1, 3]), epsilon, START)
    assert np.array_equal(signs, towards(None, np.array([1, 3])) > 0)
    assert len(seen) == START.steps
    assert all((abs(each - PICTURES[:2]) <= 5).all() for each in seen)
    assert (seen[-1] != PICTURES[:2]).any()


def test_a_walk_remembers_by_size() -> None:
    """One strong direction outweighs weak ones after it: its momentum is of gradients, not of signs."""
    given = [np.array([9.0, 1.0]), np.array([-1.0, 9.0]), np.array([-1.0, 9.0])]
    prior = FunctionPrior(lambda images, goals: given.pop(0).reshape(1, 1, 2, 1))
    image = np.full((1, 1, 2, 1), 100, np.uint8)
    assert follow(prior, image, image, np.array([0]), np.array(9, np.uint8), Walk(3, 0.4)).all()


def test_gradients_are_smoothed_by_neighbours() -> None:
    values = np.zeros((4, 5, 1))
    values[1, 2] = 16.0
    once = smoothed(values, 1)[:, :, 0]
    assert once[:3, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert once.sum() == 16.0
    assert np.array_equal(smoothed(values, 0), values)
    assert smoothed(np.ones((4, 5, 1)), 3).tolist() == np.ones((4, 5, 1)).tolist()


def test_a_torch_module_gives_the_gradient_of_its_log_odds() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIZE[0] * SIZE[1] * SIZE[2], 4, bias=False)).eval()
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor(WEIGHTS.transpose(0, 3, 1, 2).reshape(4, -1)))
    for is_targeted, sign in ((True, 1), (False, -1)):
        oracle = dfa.as_oracle(module, mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.3])
        prior = as_prior(oracle, is_targeted=is_targeted)
        assert prior is not None
        given = prior.checked_directions(PICTURES[:2], np.array([1, 3]))
        for image, goal, directions in zip(PICTURES[:2], (1, 3), given, strict=True):
            inputs = (image / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.2, 0.3]
            logits = (WEIGHTS * inputs).sum(axis=(1, 2, 3))
            others = np.delete(np.arange(4), goal)
            shares = np.exp(logits[others] - logits[others].max())
            shares /= shares.sum()
            gradient = WEIGHTS[goal] - np.tensordot(shares, WEIGHTS[others], 1)
            certain = abs(gradient) > 1e-3
            assert np.array_equal(np.sign(directions[certain]), sign * np.sign(gradient)[certain])
    assert not any(parameter.grad is not None for parameter in module.parameters())


def resized(shift: int, length: int, start: int, size: int) -> Any:
    """Rows of an image that is shifted and shrunk, by torch: what each takes of each row, (size, size)."""
    torch = pytest.importorskip("torch")
    rows = torch.tensor(np.roll(np.eye(size), shift, axis=0)).T[:, None]  # each row of an image that is one there
    taken = torch.nn.functional.interpolate(rows, length, mode="linear", align_corners=False)[:, 0].T.numpy()
    return np.pad(taken, ((start, size - start - length), (0, 0)))


def test_copies_are_shifted_and_shrunk_within_bounds() -> None:
    drawn = set()
    for seed in range(60):
        random = np.random.default_rng(seed)
        shift, length = int(random.integers(-1, 2)), int(random.integers(15, 21))
        start = int(random.integers(20 - length + 1))
        drawn.add((shift, length))
        made = priors._view(20, 1, 0.75, np.random.default_rng(seed))
        np.testing.assert_allclose(made, resized(shift, length, start, 20), atol=1e-12)
    assert {shift for shift, _ in drawn} == {-1, 0, 1}
    assert {length for _, length in drawn} == set(range(15, 21))


def test_gradients_are_averaged_over_shifted_and_shrunk_copies() -> None:
    """Of two classes and a linear model the log-odds have the same gradient everywhere, which copies move."""
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    weights = random.standard_normal((1, 90, 92)).astype(np.float32)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(weights.size, 2, bias=False)).eval()
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor(np.stack([0 * weights.ravel(), weights.ravel()])))
    seen: list[Any] = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(np.rint(inputs[0].detach().numpy() * 255)))
    prior = as_prior(module, is_targeted=True)
    assert prior is not None
    image = random.integers(0, 256, (1, 90, 92, 1), dtype=np.uint8)
    used: list[Any] = []
    view = priors._view

    def noted(size: int, reach: int, least: float, stream: Any) -> Any:
        used.append(view(size, reach, least, stream))
        assert (size, reach) == ((90, 92)[(len(used) - 1) % 2], 4)
        assert least == (1.0 if len(used) <= 4 else 0.75)
        return used[-1]

    with patch.object(priors, "_view", noted):
        given = prior.checked_directions(image, np.array([1]))[0, :, :, 0]
    assert len(seen[-1]) == 4
    assert len(used) == 8
    assert len({each.tobytes() for each in used}) > 5
    pairs = list(zip(used[::2], used[1::2], strict=True))
    for copy, (down, right) in zip(seen[-1], pairs, strict=True):
        inside = np.outer(down.sum(1), right.sum(1))
        expected = down @ image[0, :, :, 0].astype(np.float64) @ right.T + 128 * (1 - inside)
        assert abs(copy[0] - expected).max() < 0.5 + 1e-6
    mean = np.mean([down.T @ weights[0] @ right for down, right in pairs], axis=0)
    expected = smoothed(mean[:, :, None].astype(np.float64), 1)[:, :, 0]
    np.testing.assert_allclose(given, expected / abs(expected).mean(), atol=1e-4)
    both = prior.checked_directions(np.concatenate([255 - image, image]), np.array([0, 1]))
    assert np.array_equal(both[1, :, :, 0], given)


@pytest.mark.parametrize("number", [3, 7])
def test_a_torch_module_of_other_classes_is_refused(number: int) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(WEIGHTS[0].size, number))
    message = f"the prior 'Sequential' answers {number} classes, the oracle 4; pass a model of the same classes"
    with pytest.raises(dfa.PriorError, match=message):
        attack(module.eval(), targets=None)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("number", [3, 7])
def test_a_keras_model_of_other_classes_is_refused(number: int) -> None:
    keras = pytest.importorskip("keras")
    if keras.backend.backend() == "jax":
        pytest.skip("no gradients on this backend")
    model = keras.Sequential([keras.Input(SIZE), keras.layers.Flatten(), keras.layers.Dense(number)])
    with pytest.raises(dfa.PriorError, match=f"answers {number} classes, the oracle 4"):
        attack(dfa.as_oracle(model, returns="logits"), targets=None)


# Keras 3 on NumPy 2: its variables do not know the keyword copy.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_keras_model_gives_it_likewise() -> None:
    keras = pytest.importorskip("keras")
    if keras.backend.backend() == "jax":
        pytest.skip("no gradients on this backend")
    model = keras.Sequential([keras.Input(SIZE), keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")])
    model.layers[-1].set_weights([WEIGHTS.reshape(4, -1).T / 3000, np.zeros(4, np.float32)])
    prior = as_prior(model, is_targeted=True)
    assert prior is not None
    given = prior.checked_directions(PICTURES[:1], np.array([1]))[0]
    odds = scores(PICTURES[:1].astype(np.float64) + 128, WEIGHTS, 3000.0)[0]
    shares = np.delete(odds, 1) / np.delete(odds, 1).sum()
    gradient = WEIGHTS[1] - np.tensordot(shares, np.delete(WEIGHTS, 1, 0), 1)
    certain = abs(gradient) > 1e-3
    assert np.array_equal(np.sign(given[certain]), np.sign(gradient)[certain])
    assert prior.describe()["fingerprint"]


@pytest.mark.parametrize("is_made_in_it", [False, True])
def test_a_torch_module_gives_it_in_inference_mode(is_made_in_it: bool) -> None:
    torch = pytest.importorskip("torch")

    def module() -> Any:
        torch.manual_seed(0)
        layers = torch.nn.Flatten(), torch.nn.Linear(3 * SIZE[0] * SIZE[1], 4), torch.nn.ReLU(), torch.nn.Linear(4, 4)
        return torch.nn.Sequential(*layers).eval()

    def directions(surrogate: Any) -> Any:
        prior = as_prior(dfa.as_oracle(surrogate, mean=0.5, std=0.2), is_targeted=True)
        assert prior is not None
        return prior.checked_directions(PICTURES[:2], np.array([1, 3]))

    outside = module()
    with torch.inference_mode():
        given = directions(module() if is_made_in_it else outside)
        result = attack(outside, targets=None)
    assert np.array_equal(given, directions(outside))
    assert given.any()
    assert found(result) == found(attack(outside, targets=None))


def test_a_function_may_answer_in_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    values = torch.tensor(WEIGHTS[:2]).bfloat16()
    given = FunctionPrior(lambda images, goals: values).checked_directions(PICTURES[:2], np.array([0, 1]))
    assert np.array_equal(
        given, FunctionPrior(lambda images, goals: values.float()).checked_directions(PICTURES[:2], np.array([0, 1]))
    )
    with pytest.raises(dfa.PriorError, match=r"got float64 of shape \(1, 9, 8, 3\)"):
        FunctionPrior(lambda images, goals: values[:1]).checked_directions(PICTURES[:2], np.array([0, 1]))


def test_a_function_is_known_by_its_name_and_module(tmp_path: Path) -> None:
    assert FunctionPrior(partial(useless)).describe()["module"] == __name__
    attack(useless, store=tmp_path / "run")
    with patch.object(useless, "__module__", "elsewhere"), pytest.raises(dfa.StoreError, match="elsewhere"):
        attack(useless, store=tmp_path / "run", resume=True)
    attack(useless, store=tmp_path / "run", resume=True)


def test_its_time_is_told_apart(tmp_path: Path) -> None:
    seconds: list[float] = []

    def slow(images: Any, goals: Any) -> Any:
        started = time.perf_counter()
        time.sleep(0.001)
        signs = useless(images, goals)
        seconds.append(time.perf_counter() - started)
        return signs

    result = attack(slow)
    profile = result.profile
    assert len(seconds) > START.steps * len(PICTURES)
    assert profile.prior >= sum(seconds)
    parts = profile.prior + profile.propose + profile.wait + profile.score + profile.update + profile.other
    assert parts == pytest.approx(profile.wall)
    assert profile.other >= 0
    assert attack(None).profile.prior == 0.0
    result.save(tmp_path)
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert document["profile"]["prior"] == profile.prior == dfa.Result.load(tmp_path).profile.prior
    assert re.search(r">prior [\d.]+ %<", write_report(tmp_path).read_text(encoding="utf-8"))
    older = {name: value for name, value in document["profile"].items() if name != "prior"}
    assert read_profile(older) == replace(profile, prior=0.0)
