"""What was paid for in queries is not lost, whatever ends a run."""

from __future__ import annotations

import _thread
import collections
import dataclasses
import json
import shutil
import signal
import sys
import threading
import time
import traceback

import numpy as np
import pytest

import dfa
from dfa.engine import loop as runner
from dfa.results.images import AdversarialImages
from dfa.runs import backlog as backlog_module
from oracles import LazyImages, LinearClassifier, Recorder, Until, brightness, never, raising, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(24, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)
STRIPED = dataclasses.replace(dfa.Racos(), start="stripes", starts=None, archive=False)


def attack(oracle, images=IMAGES, **settings):
    # A small batch, so that some images are finished long before others.
    return dfa.run(oracle, images, **{"epsilon": 8, "max_queries": 150, "batch_size": 4, "threads": 1, **settings})


def assert_keeps_what_is_finished(result, oracle, whole):
    """Check a partial result against the run that was not cut short, and against what the oracle was asked."""
    assert [record.index for record in result.records] == list(range(len(IMAGES)))
    for index, (record, expected) in enumerate(zip(result.records, whole.records, strict=True)):
        image = result.images[index]
        assert (image is not None) == record.found
        if image is not None:
            assert (image == whole.images[index]).all()
            assert CLASSIFIER.classes(image[None])[0] != CLASSES[index]
            assert (record.linf, record.l0, record.l2) == (expected.linf, expected.l0, expected.l2)
            assert record.queries == expected.queries
            assert record.trace == expected.trace
        if record.status is dfa.Status.UNFINISHED:
            assert record.reason != ""
            assert record.queries_sent <= expected.queries_sent
            assert record.trace == expected.trace[: len(record.trace)]
        else:
            assert record.status is expected.status
            assert (record.queries, record.queries_sent) == (expected.queries, expected.queries_sent)
    summary = result.summary()
    assert summary.unfinished + summary.attacked == len(IMAGES)
    profile = result.profile
    assert oracle.num_images == profile.clean + profile.verification + result.queries_sent.sum()


@pytest.fixture(scope="module")
def whole():
    return attack(CLASSIFIER)


def number_of_calls():
    oracle = Recorder(CLASSIFIER)
    attack(oracle)
    return len(oracle.batches)


NUM_CALLS = number_of_calls()


@pytest.mark.parametrize("num_calls", [0, 1, 2, 7, NUM_CALLS // 3, NUM_CALLS // 2, NUM_CALLS - 3, NUM_CALLS - 1])
def test_an_oracle_that_raises_gives_back_what_is_finished(whole, num_calls):
    cause = OSError("the line is dead")
    oracle = Recorder(Until(num_calls, CLASSIFIER, raising(cause)))
    with pytest.raises(dfa.OracleError, match=r"failed on a batch of shape .*OSError: the line is dead") as caught:
        attack(oracle)
    assert caught.value.__cause__ is cause
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    # The batch of the other half of the window may be on its way already.
    assert len(oracle.batches) <= num_calls + 2
    unfinished = [record for record in result.records if record.status is dfa.Status.UNFINISHED]
    assert all("the line is dead" in record.reason for record in unfinished)
    assert unfinished
    if num_calls >= NUM_CALLS // 3:
        assert result.success.any()
    if num_calls >= NUM_CALLS - 3:
        assert dfa.Status.FAILURE in result.status
    if num_calls > 7:
        assert any(record.queries_sent > 0 for record in unfinished)


def all_nan(images):
    return np.full((len(images), 10), np.nan)


def logits(images):
    return CLASSIFIER.activations(images)


def a_row_too_few(images):
    return CLASSIFIER(images)[1:]


def a_row_too_many(images):
    return CLASSIFIER(np.concatenate([images, images[:1]]))


def another_number_of_classes(images):
    return np.full((len(images), 4), 0.25)


UNUSABLE = [
    (all_nan, "must answer with finite scores; it gave nan for class 0 in row 0"),
    (logits, "must answer with probabilities within.*looks like logits.*returns='logits'"),
    (a_row_too_few, r"one row per image and one column per class; it gave shape \("),
    (a_row_too_many, r"one row per image and one column per class; it gave shape \("),
    (another_number_of_classes, "must score the same classes every time; it gave 4 columns, and 10 before"),
]


@pytest.mark.parametrize(
    ("answer", "message", "num_calls"),
    # The first answer cannot have another number of classes than before.
    [(*each, NUM_CALLS // 2) for each in UNUSABLE] + [(*each, 0) for each in UNUSABLE[:-1]],
)
def test_an_answer_that_cannot_be_used_gives_back_what_is_finished(whole, answer, message, num_calls):
    oracle = Recorder(Until(num_calls, CLASSIFIER, answer))
    with pytest.raises(dfa.OracleError, match=message) as caught:
        attack(oracle)
    assert_keeps_what_is_finished(caught.value.result, oracle, whole)
    assert caught.value.result.success.any() == (num_calls > 0)


def interrupt(images):
    raise KeyboardInterrupt


def interrupt_the_main_thread(images):
    assert threading.current_thread() is not threading.main_thread()
    return after_the_interrupt(_thread.interrupt_main, images)


def send_a_signal(images):
    main = threading.main_thread().ident
    assert main is not None
    # To that thread, as from a keyboard, which wakes it from waiting; `interrupt_main` does not.
    return after_the_interrupt(lambda: signal.pthread_kill(main, signal.SIGINT), images)


def after_the_interrupt(act, images):
    # Before it, the main thread comes to wait for the answer; after it, it is interrupted while still waiting.
    time.sleep(0.02)
    act()
    time.sleep(0.05)
    return CLASSIFIER(images)


@pytest.fixture
def interruptible():
    """Let SIGINT raise KeyboardInterrupt, which a process started in the background is born ignoring."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("how", [interrupt, interrupt_the_main_thread, send_a_signal])
@pytest.mark.parametrize("num_calls", [0, 1, NUM_CALLS // 3, NUM_CALLS // 2, NUM_CALLS - 1])
def test_an_interrupt_gives_back_what_is_finished(whole, how, num_calls):
    once = iter([how])
    oracle = Recorder(Until(num_calls, CLASSIFIER, lambda images: next(once, CLASSIFIER)(images)))
    # Not a bare `except Exception`, and no other KeyboardInterrupt, which would end the tests as well.
    with pytest.raises(KeyboardInterrupt, match="what was finished is in the `result` of this error") as caught:
        attack(oracle)
    # The call under way cannot be broken off, but its end is waited for: nobody would count what came after.
    assert not oracle.is_busy
    assert isinstance(caught.value, dfa.Interrupted)
    assert not isinstance(caught.value, Exception)
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    unfinished = [record for record in result.records if record.status is dfa.Status.UNFINISHED]
    assert unfinished
    assert all("interrupted" in record.reason for record in unfinished)
    assert result.success.any() == (num_calls >= NUM_CALLS // 3)


def test_a_partial_result_can_be_summed_up_and_saved(tmp_path):
    with pytest.raises(dfa.OracleError, match="off") as caught:
        attack(Until(NUM_CALLS // 2, CLASSIFIER, raising(OSError("off"))))
    result = caught.value.result
    assert "unfinished" in str(result.summary())
    report = result.save(tmp_path / "partial", oracle=CLASSIFIER)
    assert report.written == report.verified == sum(record.found for record in result.records) > 0


def test_images_found_but_not_yet_verified_are_kept():
    # All images fall to the first candidates, and the verification of the first batch of them fails.
    images = np.full((6, *SHAPE), 127, dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(6)
    seen = set()

    def fails_to_verify(batch):
        keys = [image.tobytes() for image in batch]
        if seen.intersection(keys):
            raise OSError("asked before")
        seen.update(keys)
        return brightness(batch)

    with pytest.raises(dfa.OracleError, match="asked before") as caught:
        dfa.run(fails_to_verify, images, max_queries=100, optimizer=STRIPED)
    result = caught.value.result
    assert not result.success.any()
    for record, image in zip(result.records, result.images, strict=True):
        assert record.status is dfa.Status.UNFINISHED
        assert record.found
        assert record.reason.startswith("found but not verified: ")
        assert "asked before" in record.reason
        assert brightness(image[None])[0, 1] > 0.5
        assert record.linf == np.abs(image.astype(int) - images[record.index]).max() <= 10
        assert record.degree == 0.0
        assert record.trace[-1] == (record.queries, 0.0)
    assert len(result.images.held()) == 6


def test_a_hit_in_an_iteration_that_is_not_finished_is_kept():
    # Ten candidates per iteration, one per batch: the first is adversarial, the fourth is never answered.
    def class_one(batch):
        return np.repeat([[0.25, 0.75]], len(batch), axis=0)

    answers = Until(1, never, Until(3, class_one, raising(OSError("off"))))
    optimizer = dfa.Racos.paper(targeted=True)
    with pytest.raises(dfa.OracleError, match="off") as caught:
        dfa.run(answers, IMAGES[:1], optimizer=optimizer, batch_size=1)
    (record,) = caught.value.result.records
    assert record.status is dfa.Status.UNFINISHED
    assert record.found
    assert (record.queries, record.queries_sent) == (1, 4)
    assert record.linf == np.abs(caught.value.result.images[0].astype(int) - IMAGES[0]).max() <= 10


def unreadable():
    raise OSError("truncated file")


@pytest.mark.parametrize(
    ("give", "reason"),
    [
        (unreadable, "image 5 cannot be read: OSError: truncated file"),
        (lambda: IMAGES[5, :4], r"image 5 must have the shape of the first, (6, 6, 3), got (4, 6, 3)"),
        (lambda: IMAGES[5, :, :, :1], r"image 5 must have the shape of the first, (6, 6, 3), got (6, 6, 1)"),
        (lambda: IMAGES[5] / 255, "image 5 must be uint8 of shape (H, W, C), got float64 of shape (6, 6, 3)"),
        (lambda: IMAGES[5, :, :, 0], "image 5 must be uint8 of shape (H, W, C), got uint8 of shape (6, 6)"),
        (lambda: None, "image 5 must be uint8 of shape (H, W, C), got object"),
    ],
    ids=["raises", "shape", "channels", "float", "grey", "none"],
)
def test_one_image_that_cannot_be_used_costs_the_others_nothing(give, reason):
    alone = dataclasses.replace(dfa.Racos(), archive=False)
    whole = attack(CLASSIFIER, optimizer=alone)
    result = attack(CLASSIFIER, LazyImages(IMAGES, {5: give}), optimizer=alone)
    assert result.records[5].status is dfa.Status.ERROR
    assert reason in result.records[5].reason
    assert result.images[5] is None
    assert result.records[5].queries_sent == 0
    assert result.summary().errors == 1
    assert result.summary().attacked == len(IMAGES) - 1
    for index in range(len(IMAGES)):
        if index != 5:
            assert result.records[index].trace == whole.records[index].trace
            assert result.records[index].status is whole.records[index].status


def test_a_run_may_hold_more_unreadable_images_than_batches():
    broken = dict.fromkeys(range(1, 24), unreadable)
    result = attack(CLASSIFIER, LazyImages(IMAGES, broken), batch_size=2)
    assert [record.status for record in result.records[1:]] == [dfa.Status.ERROR] * 23
    assert result.records[0].queries_sent > 0


def test_a_list_of_mixed_shapes_says_which_image_is_the_odd_one():
    mixed = [IMAGES[0], IMAGES[1, :5], IMAGES[2]]
    result = attack(CLASSIFIER, mixed)
    assert [record.status is dfa.Status.ERROR for record in result.records] == [False, True, False]
    assert "image 1 must have the shape of the first" in result.records[1].reason


class ReadsOnce:
    """Gives every image once, and then something else."""

    def __init__(self, then):
        self._given = set()
        self._then = then

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        if index and index in self._given:
            return self._then(index)
        self._given.add(index)
        return IMAGES[index].copy()


def gone(index):
    raise FileNotFoundError(f"{index}.png")


def another(index):
    return 255 - IMAGES[index]


@pytest.mark.parametrize("then", [gone, another])
def test_an_image_that_cannot_be_read_a_second_time_costs_nothing_that_was_found(whole, then):
    # A file removed, or a random augmentation, while the run goes on.
    result = attack(CLASSIFIER, ReadsOnce(then))
    assert result.queries.tolist() == whole.queries.tolist()
    for record, image in zip(result.records[1:], result.images[1:], strict=True):
        if whole.records[record.index].verified:
            assert record.found
            assert (image == whole.images[record.index]).all()


@pytest.mark.parametrize("then", [gone, another])
def test_an_interrupt_keeps_what_was_found_also_where_an_image_cannot_be_read_a_second_time(whole, then):
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, raising(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt, match="what was finished is in the `result` of this error") as caught:
        attack(oracle, ReadsOnce(then))
    assert caught.value.result.success.any()


def test_an_interrupt_while_an_image_is_read_keeps_every_image_that_was_found(whole):
    # A lazily read set is where an interrupt most likely falls when the oracle is fast.
    for num_reads in (1, 5, 20, 24, 30, 40, 60):
        reads = 0

        class Interrupting(LazyImages):
            def __getitem__(self, index):
                nonlocal reads
                reads += 1
                if reads == num_reads:  # noqa: B023
                    raise KeyboardInterrupt
                return super().__getitem__(index)

        oracle = Recorder(CLASSIFIER)
        try:
            result = attack(oracle, Interrupting(IMAGES))
        except dfa.Interrupted as error:
            result = error.result
        except KeyboardInterrupt:
            # Before the loop, when the first image is looked at, there is nothing to lose.
            assert oracle.num_images == 0
            continue
        assert_keeps_what_is_finished(result, oracle, whole)
        # Whatever the oracle was asked and found adversarial is there, but for what was still under way.
        lost = [
            index
            for index, record in enumerate(result.records)
            if record.queries_sent and record.queries_sent >= whole.records[index].queries_sent and not record.found
            if whole.records[index].found
            if not any((image == whole.images[index]).all() for image in oracle.batches[-1])
        ]
        assert lost == []


class InterruptAt:
    """Raises KeyboardInterrupt when the main thread reaches a line of the runner for the n-th time."""

    def __init__(self, line, nth):
        self.reached = collections.Counter()
        self._at = (line, nth)

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _enter(self, frame, event, argument):
        return self._step if frame.f_code.co_filename == runner.__file__ else None

    def _step(self, frame, event, argument):
        if event == "line":
            line = frame.f_lineno
            self.reached[line] += 1
            if (line, self.reached[line]) == self._at:
                raise KeyboardInterrupt
        return self._step


def test_an_interrupt_at_any_line_of_the_loop_loses_nothing():
    # Of as many classes as there are images, so that the objective can tell which image it is asked about.
    images = IMAGES[np.unique(CLASSES, return_index=True)[1]][:6]
    classes = CLASSIFIER.classes(images).tolist()
    assert len(set(classes)) == 6

    def run(oracle, hits):
        def degree(scores, goals):
            degrees = dfa.objectives.LOG.untargeted(scores, goals)
            hits.append({classes.index(goal) for goal in goals[degrees == 0.0]})
            return degrees

        return dfa.run(oracle, images, epsilon=14, objective=degree, max_queries=7, batch_size=3, threads=1)

    with InterruptAt(0, 0) as lines:
        whole = run(CLASSIFIER, [])
    assert 2 <= whole.success.sum() < 6
    moments = {(line, nth) for line, times in lines.reached.items() for nth in ((times + 1) // 2, times)}
    failures = []
    for moment in sorted(moments):
        oracle, hits = Recorder(CLASSIFIER), []
        try:
            with InterruptAt(*moment):
                run(oracle, hits)
        except dfa.Interrupted as error:
            problem = what_is_wrong(error.result, whole, oracle, set().union(*hits[:-1]))
        except KeyboardInterrupt:
            problem = "a bare KeyboardInterrupt" if oracle.num_images else ""
        except Exception as error:
            problem = repr(error)
        else:
            problem = "not interrupted"
        if problem:
            failures.append((*moment, problem))
    assert failures == []


def what_is_wrong(result, whole, oracle, known):
    """Return what a partial result lacks; `known` are the images of whose hit the loop had been told."""
    if len(result.records) != 6:
        return "a record is missing"
    if oracle.num_images != result.profile.clean + result.profile.verification + result.queries_sent.sum():
        return "queries are not counted"
    for record, expected in zip(result.records, whole.records, strict=True):
        image = result.images[record.index]
        if (image is not None) != (record.found and record.reason != "not verified"):
            return "an image without a record, or a record without an image"
        if record.index in known and not record.found:
            return "a hit is lost"
        if record.found and (record.queries != expected.queries or record.trace != expected.trace):
            return "wrong queries at the hit"
        if record.status is not dfa.Status.UNFINISHED and record.status is not expected.status:
            return "a wrong status"
    return ""


@pytest.mark.parametrize("error", [dfa.InvalidInputError("mine"), dfa.StoreError("mine"), dfa.ObjectiveError("mine")])
def test_an_oracle_that_raises_an_error_of_this_package_loses_nothing_either(whole, error):
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, raising(error)))
    with pytest.raises(dfa.DfaError, match="mine") as caught:
        attack(oracle)
    assert_keeps_what_is_finished(caught.value.result, oracle, whole)


# ------------------------------------------------------------------------------------------------- store=


def saved(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_stored_run_lies_in_the_folder(tmp_path, whole):
    result = attack(CLASSIFIER, store=tmp_path / "new" / "run")
    assert outcome(result) == outcome(whole)
    read = dfa.Result.load(tmp_path / "new" / "run")
    assert outcome(read) == outcome(whole)
    for index in whole.images.held():
        assert (read.images[index] == whole.images[index]).all()
    document = saved(tmp_path / "new" / "run")
    assert document["complete"]
    assert document["saved"]["verified"] == whole.success.sum()


def outcome(result):
    return [(record.status, record.queries, record.trace, record.linf) for record in result.records]


def test_a_second_run_into_one_folder_is_refused_before_any_query(tmp_path):
    attack(CLASSIFIER, store=tmp_path)
    before = (tmp_path / "results.json").read_bytes()
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match=r"must not hold a saved result.*overwrite=True"):
        attack(oracle, store=tmp_path)
    assert oracle.num_images == 0
    assert (tmp_path / "results.json").read_bytes() == before
    attack(oracle, IMAGES[:3], store=str(tmp_path), overwrite=True)
    assert oracle.num_images > 0
    assert len(saved(tmp_path)["records"]) == 3


def test_a_folder_that_cannot_be_written_is_refused_before_any_query(tmp_path):
    (tmp_path / "file").write_text("in the way")
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match=r"cannot write .*file"):
        attack(oracle, store=tmp_path / "file" / "run")
    assert oracle.num_images == 0


def test_a_bad_argument_leaves_no_folder_behind(tmp_path):
    with pytest.raises(dfa.InvalidInputError, match="ids must be"):
        attack(CLASSIFIER, store=tmp_path / "run", ids=[1, 2])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [OSError("off"), KeyboardInterrupt()])
def test_a_run_cut_short_is_saved_as_far_as_it_got(tmp_path, whole, error):
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, raising(error)))
    with pytest.raises((dfa.OracleError, KeyboardInterrupt), match=r"off|what was finished") as caught:
        attack(oracle, store=tmp_path)
    partial = caught.value.result
    read = dfa.Result.load(tmp_path)
    assert outcome(read) == outcome(partial)
    assert read.images.held() == partial.images.held() != []
    for index in partial.images.held():
        assert (read.images[index] == whole.images[index]).all()
    # An oracle that just failed is not asked about the files.
    assert saved(tmp_path)["saved"]["unchecked"] == len(read.images.held())


def test_a_partial_result_that_cannot_be_saved_is_told_of_and_kept(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    # No file is written while the oracle breaks the folder, which would be the first to fail now and then.
    monkeypatch.setattr(backlog_module, "_SHARE", -1.0)

    def breaks_both(images):
        shutil.rmtree(folder)
        folder.write_text("in the way")
        raise OSError("off")

    with pytest.raises(dfa.OracleError, match="off") as caught:
        attack(Until(NUM_CALLS // 2, CLASSIFIER, breaks_both), store=folder)
    assert caught.value.result.success.any()
    assert "could not be saved" in "".join(traceback.format_exception(caught.value))


def test_an_objective_that_fails_saves_what_was_found(tmp_path):
    calls = 0

    def degree(scores, classes):
        nonlocal calls
        calls += 1
        if calls > NUM_CALLS // 2:
            raise ValueError("enough")
        return dfa.objectives.LOG.untargeted(scores, classes)

    with pytest.raises(dfa.ObjectiveError, match="enough"):
        attack(CLASSIFIER, store=tmp_path, objective=degree)
    assert dfa.Result.load(tmp_path).images.held()


def test_a_folder_that_breaks_ends_the_run_and_does_not_cost_what_was_found(tmp_path, whole):
    folder = tmp_path / "run"

    def breaks(images):
        if folder.is_dir():
            shutil.rmtree(folder)
            folder.write_text("in the way")
        return CLASSIFIER(images)

    oracle = Recorder(breaks)
    with pytest.raises(dfa.StoreError, match="cannot write") as caught:
        attack(oracle, store=folder)
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    assert any(record.found for record in result.records)
    # Going on would pay for queries whose answers nobody keeps.
    assert len(oracle.batches) < NUM_CALLS / 2


def test_an_interrupt_or_a_failing_oracle_while_saving_does_not_cost_the_result(tmp_path, whole):
    oracle = Recorder(Until(NUM_CALLS, CLASSIFIER, raising(OSError("off"))))
    with pytest.raises(dfa.OracleError, match=r"the files are written, but .* are not checked") as failed:
        attack(oracle, store=tmp_path / "failed")
    assert outcome(failed.value.result) == outcome(whole)

    oracle = Recorder(Until(NUM_CALLS, CLASSIFIER, raising(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt, match="in the `result` of this error") as interrupted:
        attack(oracle, store=tmp_path / "interrupted")
    assert isinstance(interrupted.value, dfa.Interrupted)
    assert outcome(interrupted.value.result) == outcome(whole)


def test_a_disk_that_is_full_keeps_what_was_kept(monkeypatch, whole):
    put = AdversarialImages.put
    held = []

    def put_until_full(self, index, image):
        if len(held) == 5:
            raise dfa.StoreError("no room")
        held.append(index)
        put(self, index, image)

    monkeypatch.setattr(AdversarialImages, "put", put_until_full)
    with pytest.raises(dfa.StoreError, match="no room") as caught:
        attack(CLASSIFIER)
    assert caught.value.result.images.held() == sorted(held)
