"""Two models, or two versions of one, under the same attack on the same images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dfa.checks import as_array, counted
from dfa.errors import InvalidInputError
from dfa.results.rates import CONFIDENCE, mcnemar
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.runs.folder import plain
from dfa.runs.loading import epsilon_of
from dfa.verdicts.words import budget_words, is_wrong, named

_CHANCE: Final = 1 - CONFIDENCE
"""What chance alone does less often than this is taken for more than chance."""

_ATTACK: Final = (
    "space",
    "epsilon",
    "targets",
    "max_queries",
    "max_seconds",
    "give_up_after",
    "confirmations",
    "objective",
    "optimizer",
    "prior",
)
"""The settings of a run that say how hard it tried; seeds, batches and threads may differ."""

_SHOWN: Final = 3
_NAMED: Final = 10
"""Images that fell since the baseline, by name; of others their number."""
_LONGEST: Final = 80


@dataclass(frozen=True)
class Comparison:
    """Two models, or two versions of one, under the same attack on the same images.

    Broken is an image that the attack made adversarial. In an untargeted run with labels it is also one that the model
    got wrong before, so that what is not broken is what `Summary.robust_accuracy` counts.

    Attributes:
        both: Images broken in both results.
        only_a: In the first alone.
        only_b: In the second alone.
        neither: In neither of them, by the budget of the attack; a larger one may break them.
        p_value: How likely chance alone parts the two so far, by McNemar's exact test, two-sided: where the models are
            equally hard to break, an image broken in one alone is as likely broken in either.
        difference: The share that is not broken in the second, less that in the first: -1..1, above 0 where the second
            model is the harder one to break. With labels, the difference in robust accuracy.
        fell: Places, in the second result, of the images that are broken there alone.
        mended: Likewise, of those broken in the first alone.
        left_out: Images that count nowhere, because one of the runs has no answer about them: errors, unfinished ones,
            attacks that the clock or an unconfirmed claim ended (`Record.is_open`), and with targets those that one of
            the models has in another class than their label, or in the target.
        budget: What the attack might spend on an image, in words.
        versions: Of dfa, that the results are of. Where they differ, so may the attack.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    difference: float
    fell: tuple[int, ...] = ()
    mended: tuple[int, ...] = ()
    left_out: int = 0
    budget: str = ""
    versions: tuple[str, str] = ("", "")

    @property
    def number(self) -> int:
        """Images that are compared."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def is_worse(self) -> bool:
        """Whether the second model is easier to break than the first, beyond chance: a p-value below 0.05.

        So much takes six images that are broken there alone, if none is broken in the first alone.
        """
        return self.only_b > self.only_a and self.p_value < _CHANCE

    def __str__(self) -> str:
        """Return one sentence."""
        left = f", with {counted(self.left_out, 'more image')} left out" if self.left_out else ""
        other, own = self.versions
        attack = f", attacked by dfa {other} and by dfa {own}" if other != own else ""
        return (
            f"of {counted(self.number, 'image')}, {self.both:,} are broken in both, {self.only_a:,} in the first "
            f"alone, {self.only_b:,} in the second alone, and {self.neither:,} in neither (not broken by "
            f"{self.budget}); the share that is not broken goes from first to second by "
            f"{100 * self.difference:+.1f} points, p = {self.p_value:.2g} by McNemar's exact test, "
            f"{self._judged()}{left}{attack}"
        )

    def _judged(self) -> str:
        if self.p_value >= _CHANCE:
            return "which is within chance"
        return f"so the second is {'worse' if self.is_worse else 'better'} beyond chance"


def told_against(comparison: Comparison, result: Result, baseline: str) -> list[str]:
    """Return what is said of a result beside its baseline: the comparison, and the images that fell since.

    Args:
        comparison: Of the baseline with the result.
        result: The second of the two.
        baseline: What the first is called.
    """
    told = [f"against {baseline}, the first of the two: {comparison}"]
    names = [named(result.records[place]) for place in comparison.fell]
    if names:
        more = [f"and {len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
        told.append(f"not broken in {baseline}, and now: {', '.join([*names[:_NAMED], *more])}")
    return told


def compare(result_a: Result, result_b: Result) -> Comparison:
    """Compare two models, or two versions of one, that were attacked alike on the same images.

    Images are matched by their records' ids, whatever their order. An id is made of the image's bytes, unless the run
    was given `ids`; where both results keep the original of an image, these are held together as well.

    Args:
        result_a: The first, such as the model that is in use.
        result_b: The second, such as the one that may take its place.

    Raises:
        InvalidInputError: The results are not of the same images, labels, or attack (space, epsilon, targets, budget,
            confirmations, objective, optimizer, prior); the message says which. Or no image is left to compare.
        StoreError: An original that a folder should hold cannot be read.
    """
    for each in (result_a, result_b):
        if not isinstance(each, Result):
            raise InvalidInputError(
                f"results must be dfa.Result, got {type(each).__name__}; read one from its folder with dfa.Result.load"
            )
    pairs, num_lost = _pairs(result_a, result_b)
    _refuse_other_labels(pairs, result_a, result_b)
    _refuse_other_attack(pairs, result_a, result_b)
    broken = [
        (is_broken(a), is_broken(b), b.index) for a, b in pairs if is_broken(a) is not None and is_broken(b) is not None
    ]
    if not broken:
        raise InvalidInputError(
            f"results must both have an answer about some image, and of {len(pairs):,} there is none that both attacked"
        )
    _refuse_other_bytes(pairs, result_a, result_b)
    counts = Counter(each[:2] for each in broken)
    only_a, only_b = counts[True, False], counts[False, True]
    return Comparison(
        both=counts[True, True],
        only_a=only_a,
        only_b=only_b,
        neither=counts[False, False],
        p_value=mcnemar(only_a, only_b),
        difference=(only_a - only_b) / len(broken),
        fell=tuple(sorted(place for a, b, place in broken if b and not a)),
        mended=tuple(sorted(place for a, b, place in broken if a and not b)),
        left_out=len(pairs) - len(broken) + num_lost,
        budget=budget_words(result_b.config),
        versions=(_version(result_a.config), _version(result_b.config)),
    )


def is_broken(record: Record) -> bool | None:
    """Tell whether an image is broken, or was wrong from the start; None where its run has no answer about it."""
    if record.status is Status.SKIPPED:
        return True if record.target is None and is_wrong(record) else None
    if record.is_open:
        return None
    return record.verified if record.status in (Status.SUCCESS, Status.FAILURE) else None


def _pairs(result_a: Result, result_b: Result) -> tuple[list[tuple[Record, Record]], int]:
    """Return the records of each image, in the order of the second result, and how many have no partner.

    An image that one of the runs never read has no id there. It is known by its file, or without one by its place.

    Raises:
        InvalidInputError: One has images that the other has not.
    """
    first, second = (dict(_by_id(each.records)) for each in (result_a, result_b))
    unread = [{_place(record) for record in each.records if _is_unread(record)} for each in (result_a, result_b)]
    for known, other, lost, words in (
        (first, second, unread[1], ("first", "second")),
        (second, first, unread[0], ("second", "first")),
    ):
        alone = [record for key, record in known.items() if key not in other and _place(record) not in lost]
        if alone:
            raise InvalidInputError(
                f"the results must be of the same images, and {len(alone):,} of {len(known):,} of the {words[0]} are "
                f"not in the {words[1]} ({_listed(map(named, alone))}); attack the same files, resized alike"
            )
    pairs = [(first[key], record) for key, record in second.items() if key in first]
    return pairs, len(unread[0] | unread[1])


def _is_unread(record: Record) -> bool:
    return record.id == 0 and record.status in (Status.ERROR, Status.UNFINISHED)


def _place(record: Record) -> Hashable:
    return record.index if record.source is None else record.source


def _by_id(records: Iterable[Record]) -> Iterator[tuple[Hashable, Record]]:
    """Yield records under their ids; one that was seen before is told by how often."""
    seen: Counter[int] = Counter()
    for record in records:
        if _is_unread(record):
            continue
        yield (record.id, seen[record.id]), record
        seen[record.id] += 1


def _refuse_other_labels(pairs: Sequence[tuple[Record, Record]], result_a: Result, result_b: Result) -> None:
    other = [(a, b) for a, b in pairs if a.label != b.label]
    if other:
        a, b = other[0]
        first, second = (
            each.class_name(record.label) or "none" for each, record in zip((result_a, result_b), (a, b), strict=True)
        )
        raise InvalidInputError(
            f"the results must be of the same labels, and {len(other):,} of {len(pairs):,} differ: {named(b)} has "
            f"{first!r} in the first and {second!r} in the second; give both runs the same labels"
        )


def _refuse_other_attack(pairs: Sequence[tuple[Record, Record]], result_a: Result, result_b: Result) -> None:
    for name in _ATTACK:
        a, b = (plain(each.config.get(name)) for each in (result_a, result_b))
        if name == "targets" and isinstance(a, list) and isinstance(b, list):
            # By image and not by place, as records have them.
            asked = ((first.target, second.target) for first, second in pairs)
            a, b = _first_other(both for both in asked if None not in both)
        elif name == "epsilon":
            a, b = _epsilons(pairs, result_a, result_b)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            part = next(each for each in (*a, *b) if each not in a or each not in b or a[each] != b[each])
            name, a, b = f"{name} ({part})", a.get(part), b.get(part)
        hint = "; to compare optimizers, take dfa.suite or dfa.write_report" if name.startswith("optimizer") else ""
        raise InvalidInputError(
            f"the results must be of one attack, and {name} is {_short(a)} in the first and {_short(b)} in the second; "
            f"attack both with the same settings{hint}"
        )


def _epsilons(pairs: Sequence[tuple[Record, Record]], result_a: Result, result_b: Result) -> tuple[Any, Any]:
    """Return the epsilon of both runs, or where each image has its own, that of the first image that has another."""
    results = (result_a, result_b)
    values = [epsilon_of(each) for each in results]
    arrays = [as_array("epsilon", None if isinstance(value, dict) else value) for value in values]
    # One per image, or one per image and coordinate.
    if all(
        array.ndim in (1, 4) and len(array) == len(each.records) for array, each in zip(arrays, results, strict=True)
    ):
        of_images = ((arrays[0][a.index], arrays[1][b.index]) for a, b in pairs)
        return _first_other((a.tolist(), b.tolist()) for a, b in of_images)
    return plain(values[0]), plain(values[1])


def _first_other(values: Iterable[tuple[Any, Any]]) -> tuple[Any, Any]:
    return next(((a, b) for a, b in values if a != b), (None, None))


def _refuse_other_bytes(pairs: Sequence[tuple[Record, Record]], result_a: Result, result_b: Result) -> None:
    originals_a, originals_b = result_a.originals, result_b.originals
    if originals_a is None or originals_b is None:
        return
    for a, b in pairs:
        # What is read back from a folder has the originals of these alone.
        if a.verified and b.verified and not np.array_equal(originals_a[a.index], originals_b[b.index]):
            raise InvalidInputError(
                f"the results must be of the same images, and {named(a)} of the first has the id of {named(b)} of the "
                "second and other pixels; leave ids out, which are then made of the pixels"
            )


def _version(config: Mapping[str, Any]) -> str:
    versions = config.get("versions")
    return str(versions.get("dfa", "")) if isinstance(versions, Mapping) else ""


def _listed(names: Iterable[str]) -> str:
    words = list(names)
    return ", ".join([*words[:_SHOWN], *(["..."] if len(words) > _SHOWN else [])])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
