"""An optimizer of the user's own that does what it may not: the run ends with words, and with what was found."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

import dfa
from oracles import Recorder
from outcomes import outcomes
from own_optimizers import OneImage, Steps, attack
from small_problem import CLASSIFIER, IMAGES


def failing(*, begin=None, ask=None, tell=None, after=2):
    """Return an optimizer that does well for so many iterations, and then something else."""

    class Search(OneImage):
        def ask(self):
            return ask(super().ask()) if ask is not None and len(self.seen) >= after else super().ask()

        def tell(self, degrees):
            super().tell(degrees)
            if tell is not None and len(self.seen) >= after:
                tell(degrees)

    class Mine:
        def begin(self, task):
            return Search(task, 5) if begin is None else begin(task)

    return Mine()


def raising(*arguments):
    raise KeyError("mine")


def leaving(number):
    """Return what moves so many values of candidate 3 one grey level beyond epsilon, at most."""

    def ask(candidates):
        changed = candidates.copy()
        changed[3].flat[:number] = IMAGES[0].flat[:number] - 9
        return changed

    return ask


def with_other_ends(task):
    """Move the ends that the task holds, and bend its arrays, before it asks."""
    task.low.shape = task.high.shape = (-1,)
    task.__dict__["low"], task.__dict__["high"] = np.zeros_like(task.original), np.full_like(task.original, 255)
    yield np.stack([task.high])


class Mute:
    """Whatever is asked of it fails."""

    def __repr__(self):
        raise ValueError("no words")

    def __getattr__(self, name):
        raise ValueError(f"no {name}")


class Speechless:
    def __repr__(self):
        raise ValueError("no words")


WRONG = {
    "begin raises": (
        failing(begin=raising),
        r"Mine failed in begin, image 0: KeyError: 'mine' \(.*test_own_opt.*, line",
    ),
    "begin exits": (failing(begin=lambda task: exit(3)), "failed in begin, image 0: SystemExit: 3"),
    "begin returns nothing": (failing(begin=lambda task: None), r"must begin a search with ask\(\) and tell.*None"),
    "begin returns a class": (failing(begin=lambda task: OneImage), "must begin a search with ask"),
    "begin returns what has no words": (
        failing(begin=lambda task: Speechless()),
        "began a Speechless, whose own words",
    ),
    "begin returns what fails at all": (failing(begin=lambda task: Mute()), "failed in begin, image 0: ValueError: no"),
    "what has no words": (failing(ask=lambda x: [Speechless()]), r"asked about a list, whose own words fail for image"),
    "ask raises": (failing(ask=raising), r"failed in ask, image 0: KeyError"),
    "tell raises": (failing(tell=raising), r"failed in tell, image 0: KeyError"),
    "floats": (failing(ask=lambda x: x / 255), r"asked about float64 of shape \(5, 6, 6, 3\) for image 0; round and"),
    "integers": (failing(ask=lambda x: x.astype(int)), "asked about int64 of shape"),
    "one image": (failing(ask=lambda x: x[0]), r"uint8 of shape \(6, 6, 3\) .*candidate\[numpy.newaxis\]"),
    "another shape": (
        failing(ask=lambda x: x[:, :5]),
        r"uint8 candidates of shape \(n, 6, 6, 3\), and .* \(5, 5, 6, 3\)",
    ),
    "nothing": (failing(ask=lambda x: None), "asked about None for image 0; return an array"),
    "none at first": (failing(ask=lambda x: x[:0], after=0), "asked about none of image 0"),
    "beyond by one": (
        failing(ask=leaving(1)),
        r"candidate 3 of an iteration of image 0 has 1 value beyond, by up to 1 ",
    ),
    "beyond": (failing(ask=lambda x: x + np.uint8(90)), r"beyond, by up to \d+ grey levels: \d+ at \(0, 0, 0\), where"),
    **{
        f"makes {name} writable": (
            failing(begin=lambda task, name=name: getattr(task, name).setflags(write=True)),
            "failed in begin, image 0: ValueError: cannot set WRITEABLE flag",
        )
        for name in ("original", "low", "high")
    },
    "has other ends": (failing(begin=with_other_ends), r"beyond, by up to \d+ grey levels: 255 at \(0, 0, 0\), where"),
    "writes into the original": (
        failing(begin=lambda task: task.original.fill(0)),
        "failed in begin, image 0: ValueError: assignment destination is read-only",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_a_search_does_wrong_ends_the_run_with_words_and_what_was_found(tmp_path, wrong):
    optimizer, message = WRONG[wrong]
    with pytest.raises(dfa.OptimizerError, match=message) as caught:
        attack(optimizer, store=tmp_path / "run", batch_size=8)
    result = caught.value.result
    assert len(result.records) == len(IMAGES)
    assert result.profile.rows_sent == result.queries_sent.sum()
    first = result.records[0]
    assert (first.status, first.class_before) == (dfa.Status.UNFINISHED, CLASSIFIER.classes(IMAGES[:1])[0])
    assert first.reason.startswith("the run ended: ")
    if not any(word in wrong for word in ("begin", "first", "original", "makes", "ends")):
        assert first.queries_sent >= 10
        assert first.trace
    assert outcomes(dfa.Result.load(tmp_path / "run"))[0][0].queries_sent == first.queries_sent


def test_hits_of_the_batch_in_which_another_search_fails_are_not_lost():
    @dataclass(frozen=True)
    class Mine:
        def begin(self, task):
            if task.id == 1:
                yield np.stack([task.low])
                raise KeyError("mine")
            for step in itertools.count():
                yield np.stack([task.high if step else task.low])

    images = np.stack([IMAGES[0], IMAGES[1]])

    def high(batch):
        is_high = (batch == images[0] + np.uint8(8)).all(axis=(1, 2, 3))
        return np.where(is_high[:, None], [0.1, 0.9], [0.9, 0.1])

    def low(batch):
        is_low = (batch == images[0] - np.uint8(8)).all(axis=(1, 2, 3))
        return np.where(is_low[:, None], [0.1, 0.9], [0.9, 0.1])

    with pytest.raises(dfa.OptimizerError, match="image 1") as caught:
        attack(Mine(), low, images, ids=[0, 1])
    assert [record.found for record in caught.value.result.records] == [True, False]
    assert caught.value.result.records[0].reason.startswith("found but not verified")
    with pytest.raises(dfa.OptimizerError, match="image 1"):
        attack(Mine(), high, images, ids=[0, 1])


@dataclass
class Kept:
    """An optimizer whose field goes into run.json."""

    value: object

    def begin(self, task):
        yield np.stack([task.low])


@dataclass(frozen=True)
class Unset:
    value: int = field(init=False)

    def begin(self, task):
        yield np.stack([task.low])


def nested(depth):
    """Return a list in a list, so many."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_map_of_epsilons_cannot_be_written_to():
    task = dfa.Task(original=IMAGES[0], epsilon=np.full(IMAGES[0].shape, 3, np.uint8))
    with pytest.raises(ValueError, match="WRITEABLE"):
        task.epsilon.setflags(write=True)


CYCLIC = []
CYCLIC.append(CYCLIC)


def test_a_field_may_be_nested_as_deep_as_can_be_read_again(tmp_path):
    with pytest.raises(dfa.InvalidInputError, match="must be nested less deeply"):
        attack(Kept(nested(25)))
    attack(Kept(nested(24)), store=tmp_path / "run")
    dfa.write_report(tmp_path / "run")
    assert dfa.Result.load(tmp_path / "run").config["optimizer"]["settings"]["value"] == nested(24)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": Steps}, "with a method begin.*pass an instance of it"),
        ({"optimizer": "square"}, "with a method begin.*'square'"),
        ({"optimizer": Mute()}, "with a method begin.*got a Mute, whose own words fail"),
        ({"optimizer": Unset()}, "the field value of Unset has none: AttributeError: .*; give it one"),
        ({"optimizer": Kept(CYCLIC)}, "the field value of Kept is not: InvalidInputError: .* must not hold itself"),
        (
            {"optimizer": Kept({"a": nested(9999)})},
            "the field value of Kept is not: InvalidInputError: .* must be nested less",
        ),
        (
            {"optimizer": Kept(Speechless())},
            r"the field value of Kept is not: ValueError: no words \(.*test_own_opt.*line",
        ),
        ({"space": dfa.Pixels(3)}, "needs the space dfa.LinfBall, got Pixels"),
        ({"prior": lambda images, goals: images}, "a prior needs a dfa.Racos"),
        ({"max_queries": 0}, "max_queries must be"),
        ({"give_up_after": 1}, "give_up_after .* must be"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_does_not_go_with_it_is_refused_before_anything_is_asked(settings, message):
    oracle = Recorder(CLASSIFIER)
    settings = {"optimizer": Steps(), "progress": False, **settings}
    with pytest.raises(dfa.InvalidInputError, match=message):
        dfa.run(oracle, IMAGES, **settings)
    assert not oracle.batches
