"""A run's folder survives whatever ends the run, and the run goes on as if nothing had happened."""

from __future__ import annotations

import inspect
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.oracle import Oracle
from dfa.runs import backlog as backlog_module
from dfa.runs import folder as folder_module
from dfa.runs import journal as journal_module
from dfa.runs import store as store_module
from dfa.runs.saved_run import read_run
from dfa.runs.store import Store
from oracles import LazyImages, LinearClassifier, Recorder, Until, raising, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(24, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
SETTINGS = {"epsilon": 8, "max_queries": 150, "batch_size": 4, "progress": False}
INTERVAL = 40


def attack(oracle, folder, images=IMAGES, *, resume=True, interval=INTERVAL, **settings):
    storage = dfa.Storage(folder, resume=resume, interval=interval)
    return dfa.run(oracle, images, store=storage, **{**SETTINGS, **settings})


@pytest.fixture(scope="module")
def whole():
    oracle = Recorder(CLASSIFIER)
    return dfa.run(oracle, IMAGES, **SETTINGS), oracle


def timeless(records):
    """Return records without the one thing that no two runs have in common."""
    return [replace(record, seconds=0.0) for record in records]


def assert_same(result, expected):
    assert timeless(result.records) == timeless(expected.records)
    assert result.images.held() == expected.images.held()
    for index in expected.images.held():
        np.testing.assert_array_equal(result.images[index], expected.images[index])


def cut_short(folder, num_calls, error=None, **settings):
    """Begin a run and let its oracle fail after a number of calls; return how many images it was sent."""
    oracle = Recorder(Until(num_calls, CLASSIFIER, raising(error or OSError("off"))))
    with pytest.raises((dfa.OracleError, KeyboardInterrupt)):
        attack(oracle, folder, **settings)
    return oracle.num_images


# ------------------------------------------------------------------------------------------------------- kill -9

ZYGOTE = """
import os, sys
sys.path.insert(0, {tests!r})
import numpy as np
import dfa
from dfa.engine import stored
from oracles import LinearClassifier, random_images

{of_run}
images, classifier = random_images({number}, {shape}), LinearClassifier({shape})

def run(folder, log, settings):
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    is_saving = False
    settings = of_run(settings)
    def oracle(batch):
        if not is_saving:
            os.write(out, b"%d\\n" % len(batch))
        return classifier(batch)
    def complete_run(*words, **more):
        nonlocal is_saving
        is_saving = True
        return original(*words, **more)
    original, stored.complete_run = stored.complete_run, complete_run
    storage = dfa.Storage(folder, resume=True, interval={interval})
    seen = settings.pop("shown")(oracle)
    dfa.run(seen, images, store=storage, batch_size=4, progress=False, **settings)

for line in iter(sys.stdin.readline, ""):
    folder, log, settings = eval(line)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(folder, log, settings)
            status = 0
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    print(child, flush=True)
    # Not before the parent has sent its signal, lest the number belong to another process by then.
    sys.stdin.readline()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def of_run(settings):
    """Return the settings of `dfa.run` that plain values stand for, and `shown`, through which its oracle is seen."""
    fields = {name: value for name, value in settings.items() if name in ("samples", "positives", "region", "values")}
    others = {name: value for name, value in settings.items() if name not in fields}
    if "space" in settings:
        kind, *numbers = settings["space"]
        others["space"] = getattr(dfa, kind)(*numbers)
    else:
        others["optimizer"] = dfa.Racos(**fields)
    hide = {"top_1": dfa.top_1, "label": dfa.label_only}.get(others.pop("shows", None))
    others["shown"] = (lambda oracle: oracle) if hide is None else (lambda oracle: hide(oracle, num_classes=10))
    return others


class Zygote:
    """A process that has imported everything, and forks a run whenever it is asked to."""

    def __init__(self):
        code = ZYGOTE.format(
            tests=str(Path(__file__).parent),
            number=len(IMAGES),
            shape=SHAPE,
            interval=INTERVAL,
            of_run=inspect.getsource(of_run),
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, folder, log, settings, *, seconds=None, with_signal=signal.SIGKILL):
        """Let a run go on; kill it after some seconds if it has not ended; return its exit status."""
        self._process.stdin.write(repr((str(folder), str(log), settings)) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, with_signal)
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def zygote():
    opened = Zygote()
    yield opened
    opened.end()


def sent_to(log):
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def sent_by_the_books(folder):
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return journal.execute("SELECT COALESCE(SUM(images), 0) FROM sent").fetchone()[0]


def assert_whole_so_far(folder, expected):
    """Check what a killed run left: whole files, true records; return the images that are finished."""
    for path in [*(folder / "images").glob("[0-9]*"), *(folder / "originals").glob("[0-9]*")]:
        with PIL.Image.open(path) as picture:
            picture.load()
    try:
        read = dfa.Result.load(folder)
    except dfa.StoreError:
        # Killed before run.json was there, and so before anything was sent.
        assert not (folder / "run.json").exists()
        return set()
    finished = {record.index for record in read.records if record.status is not dfa.Status.UNFINISHED}
    for index in finished:
        assert timeless([read.records[index]]) == timeless([expected.records[index]])
        if read.records[index].verified:
            np.testing.assert_array_equal(read.images[index], expected.images[index])
    return finished


RUNS = [
    {"epsilon": 8, "max_queries": 150},
    {
        "epsilon": 9,
        "max_queries": 90,
        "targets": 3,
        "samples": 3,
        "positives": 2,
        "region": "ordered",
        "values": "extremes",
    },
]


def kill_until_it_ends(zygote, tmp_path, settings, moments, most_kills):
    """Kill a run at random moments, check what is left each time, and at last let it end; return kills and resent."""
    folder, log = tmp_path / "run", tmp_path / "log"
    arguments = of_run(settings)
    oracle = arguments.pop("shown")(CLASSIFIER)
    expected = dfa.run(oracle, IMAGES, batch_size=4, progress=False, **arguments)
    answers = expected.config["confirmations"].of
    finished: set[int] = set()
    kills = 0
    status = None
    while status != 0:
        patience = moments.uniform(0.0, 0.25) if kills < most_kills else None
        status = zygote.run(folder, log, settings, seconds=patience)
        assert status in (0, -signal.SIGKILL)
        if status == 0:
            break
        kills += 1
        if folder.exists():
            now = assert_whole_so_far(folder, expected)
            assert finished <= now
            finished = now
    result = dfa.Result.load(folder)
    assert_same(result, expected)
    assert dfa.verify(folder, oracle).holds
    # What was sent twice is known, and no more than an interval (and a few questions about the oracle) per kill.
    once = int(expected.queries_sent.sum()) + expected.profile.clean + expected.profile.verification
    books = sent_by_the_books(folder)
    assert result.profile.resent == books - once
    repeated = 4 * answers if answers > 1 else 0
    assert 0 <= result.profile.resent <= kills * (INTERVAL + repeated + 8)
    # Counted before they are sent, so a kill in between counts a batch too many, and never one too few.
    assert 0 <= books - sent_to(log) <= 4 * answers * kills
    return kills, result.profile.resent


def test_a_run_killed_at_any_moment_ends_as_if_nothing_had_happened(zygote, tmp_path):
    moments = random.Random(20190518)
    kills = resent = attempt = 0
    while kills < 50:
        (tmp_path / str(attempt)).mkdir()
        settings = RUNS[attempt % len(RUNS)]
        killed, again = kill_until_it_ends(zygote, tmp_path / str(attempt), settings, moments, 25)
        kills, resent, attempt = kills + killed, resent + again, attempt + 1
    assert resent > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": 12, "max_queries": 150, "shows": "label"},
        {"epsilon": 6, "max_queries": 120, "targets": 3, "shows": "top_1", "confirmations": 2},
        {"space": ("Rectangle", 3, 3), "max_queries": 90, "confirmations": 3},
    ],
)
def test_it_does_whatever_is_searched_and_seen(zygote, tmp_path, settings):
    moments = random.Random(7)
    kills = attempt = 0
    while kills < 8:
        (tmp_path / str(attempt)).mkdir()
        kills += kill_until_it_ends(zygote, tmp_path / str(attempt), settings, moments, 12)[0]
        attempt += 1


def test_an_interrupted_process_leaves_a_run_that_goes_on(zygote, tmp_path, whole):
    folder, log = tmp_path / "run", tmp_path / "log"
    settings = {"epsilon": 8, "max_queries": 150}
    moments = random.Random(1)
    statuses = set()
    for _ in range(12):
        status = zygote.run(folder, log, settings, seconds=moments.uniform(0.02, 0.1), with_signal=signal.SIGINT)
        statuses.add(status)
        if status == 0:
            break
    assert statuses <= {0, 130, -signal.SIGINT}
    assert zygote.run(folder, log, settings) == 0
    assert_same(dfa.Result.load(folder), whole[0])


# -------------------------------------------------------------------------------------------------- resuming, in here


@pytest.mark.parametrize("num_calls", [0, 1, 3, 10, 30, 60, 100, 140])
def test_a_run_that_failed_goes_on(tmp_path, whole, num_calls):
    expected, oracle = whole
    sent = cut_short(tmp_path, num_calls)
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path)
    assert_same(result, expected)
    assert_same(dfa.Result.load(tmp_path), expected)
    # Saving asks about every file. A batch is counted before it is sent, also one that the failure then held back.
    twice = sent + again.num_images - int(expected.success.sum()) - oracle.num_images
    assert twice <= result.profile.resent <= twice + 4
    assert result.profile.resent <= INTERVAL + 8
    for name in ("clean", "verification", "rows_sent", "batches", "rows_capacity"):
        assert getattr(result.profile, name) == getattr(expected.profile, name)


@pytest.mark.parametrize("num_calls", [25, 40, 55, 60, 71, 90, 107])
def test_a_resumed_run_asks_in_the_same_batches(tmp_path, whole, num_calls):
    # So that an oracle whose answers depend on the batch gives the same answers.
    cut_short(tmp_path, num_calls)
    again = Recorder(CLASSIFIER)
    attack(again, tmp_path)
    expected = [batch.tobytes() for batch in whole[1].batches]
    # The first question is whether the oracle is the same, and the last ones are about the files.
    resumed = [batch.tobytes() for batch in again.batches[1 : -math.ceil(whole[0].success.sum() / 4)]]
    assert resumed == expected[-len(resumed) :]


def test_a_run_may_be_cut_short_again_and_again(tmp_path, whole):
    for num_calls in (20, 10, 5, 40, 1, 0, 30):
        cut_short(tmp_path, num_calls)
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_copies_and_unreadable_images_keep_their_names_and_records(tmp_path):
    images = [*IMAGES[:6], IMAGES[2], *IMAGES[6:16], IMAGES[2], IMAGES[8]]

    def unreadable():
        raise OSError("truncated")

    def lazy():
        return LazyImages(images, {4: unreadable})

    expected = dfa.run(CLASSIFIER, lazy(), **SETTINGS)
    assert len({expected.records[index].id for index in (2, 6, 17)}) == 3
    for num_calls in (5, 25, 45):
        cut_short(tmp_path / str(num_calls), num_calls, images=lazy())
        assert_same(attack(CLASSIFIER, tmp_path / str(num_calls), lazy()), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": dfa.Racos.paper(targeted=True), "targets": dfa.rank(2)},
        {
            "optimizer": dfa.Racos(samples=3, positives=2, values="extremes", region="per_coordinate"),
            "epsilon": np.arange(24) % 9 + 3,
        },
        {"labels": CLASSIFIER.classes(IMAGES) * (np.arange(24) % 3 > 0), "ids": np.arange(24)[::-1]},
        {"epsilon": np.random.default_rng(0).integers(1, 12, SHAPE), "max_queries": 33, "batch_size": 7},
    ],
)
def test_whatever_the_settings_a_run_goes_on(tmp_path, settings):
    expected = dfa.run(CLASSIFIER, IMAGES, **{**SETTINGS, **settings})
    cut_short(tmp_path, 31, **settings)
    assert_same(attack(CLASSIFIER, tmp_path, **settings), expected)


@pytest.fixture
def coverage(monkeypatch):
    """Counts what is sent and not covered by a checkpoint."""
    seen = SimpleNamespace(uncovered=0, most=0, covers=0)
    batches = []
    sending, cover = Store.sending, Store.cover

    def count(self, purpose, images):
        sending(self, purpose, images)
        if purpose == "attack":
            batches.append(images)
        seen.uncovered += images
        seen.most = max(seen.most, seen.uncovered)

    def reset(self, checkpoint, *, under_way):
        cover(self, checkpoint, under_way=under_way)
        halves = sum(checkpoint.document["window"]["was_sent"])
        assert under_way == sum(batches[len(batches) - halves :])
        seen.uncovered = under_way
        seen.covers += 1

    monkeypatch.setattr(Store, "sending", count)
    monkeypatch.setattr(Store, "cover", reset)
    return seen


def test_no_more_than_the_interval_is_ever_uncovered(tmp_path, coverage):
    # Many images are skipped, whose clean predictions come one after the other.
    labels = np.where(np.arange(24) < 18, (CLASSIFIER.classes(IMAGES) + 1) % 10, CLASSIFIER.classes(IMAGES))
    attack(CLASSIFIER, tmp_path / "a", labels=labels, interval=16)
    assert coverage.most <= 16
    coverage.uncovered = coverage.most = 0
    attack(CLASSIFIER, tmp_path / "b", interval=100)
    assert 50 < coverage.most <= 100
    assert coverage.covers > 10


def test_by_labels_too_no_more_than_the_interval_is_ever_uncovered(tmp_path, coverage):
    """Each candidate takes two images there, and a batch twice as many as it has rows."""
    attack(dfa.label_only(CLASSIFIER, num_classes=10), tmp_path)
    assert INTERVAL / 2 < coverage.most <= INTERVAL
    assert coverage.covers > 10


def test_repeated_clean_predictions_too_are_covered(tmp_path, coverage):
    """All images are skipped, so that nothing else is sent."""
    labels = (CLASSIFIER.classes(IMAGES) + 1) % 10
    attack(CLASSIFIER, tmp_path, labels=labels, confirmations=3)
    assert INTERVAL / 2 < coverage.most <= INTERVAL
    assert coverage.covers > 0


def test_a_slow_oracle_is_covered_by_the_clock(tmp_path, monkeypatch):
    covers = []
    cover = Store.cover
    monkeypatch.setattr(Store, "cover", lambda self, *a, **k: (covers.append(1), cover(self, *a, **k)))
    attack(CLASSIFIER, tmp_path / "a", interval=10**6)
    assert covers == []
    monkeypatch.setattr(store_module, "_SECONDS", 0.0)
    monkeypatch.setattr(store_module, "_TIMES", 10**6)
    attack(CLASSIFIER, tmp_path / "c", interval=10**6)
    assert len(covers) == 1
    monkeypatch.setattr(store_module, "_TIMES", 0.0)
    attack(CLASSIFIER, tmp_path / "b", interval=10**6)
    assert len(covers) > 20


def test_a_finished_image_lies_in_the_folder_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_module, "_SHARE", math.inf)
    seen = []

    def oracle(images):
        seen.append(len(list((tmp_path / "images").glob("*.png"))) if (tmp_path / "images").exists() else 0)
        return CLASSIFIER(images)

    result = attack(oracle, tmp_path)
    assert seen[-20] > 3
    assert len(list((tmp_path / "originals").glob("*.png"))) == result.success.sum()


@pytest.fixture
def killed(tmp_path, monkeypatch, whole):
    """A folder as a kill leaves it, whose images had no time to become files."""
    folder, left = tmp_path / "run", tmp_path / "left"
    num_calls = 0

    def oracle(images):
        nonlocal num_calls
        num_calls += 1
        if num_calls == 500:
            # So that the other thread comes to wait, and writes nothing meanwhile.
            time.sleep(0.1)
            shutil.copytree(folder, left)
        return CLASSIFIER(images)

    with monkeypatch.context() as patch:
        patch.setattr(backlog_module, "_SHARE", -1.0)
        assert_same(attack(oracle, folder), whole[0])
    assert len(list((folder / "images").iterdir())) == whole[0].success.sum()
    return left


def num_pictures(folder):
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return journal.execute("SELECT COUNT(*) FROM pictures").fetchone()[0]


def test_an_image_that_is_not_a_file_yet_is_read_from_the_journal(killed, whole):
    assert not (killed / "images").exists()
    read = dfa.Result.load(killed)
    found = np.flatnonzero(read.success)
    assert len(found) == num_pictures(killed) > 3
    for index in found:
        np.testing.assert_array_equal(read.images[index], whole[0].images[index])
        np.testing.assert_array_equal(read.originals[index], IMAGES[index])
    verification = dfa.verify(killed, CLASSIFIER)
    assert verification.holds
    assert verification.images == verification.checked["epsilon"] == len(found)
    assert f"{len(found)} images lie in the journal" in str(verification)
    # What lies there is asked about like a file.
    assert not dfa.verify(killed, LinearClassifier(SHAPE, seed=2)).holds


@pytest.mark.parametrize("share", [-1.0, math.inf])
def test_an_image_in_the_journal_becomes_a_file_when_the_run_goes_on(killed, monkeypatch, whole, share):
    monkeypatch.setattr(backlog_module, "_SHARE", share)
    names = {f"{index:06d}.png" for index in np.flatnonzero(dfa.Result.load(killed).success)}
    seen = []

    def looks(images):
        seen.append(
            {path.name for path in killed.glob("images/*.png")} & {path.name for path in killed.glob("or*/*.png")}
        )
        return CLASSIFIER(images)

    assert_same(attack(looks, killed), whole[0])
    # Written before anything else is sent, but for the question whether the oracle is the same; or at the end.
    assert (names <= seen[3]) == (share > 0)
    assert not seen[1] or share > 0
    assert {path.name for path in (killed / "images").iterdir()} == {
        f"{index:06d}.png" for index in whole[0].images.held()
    }
    assert num_pictures(killed) == 0
    assert dfa.verify(killed, CLASSIFIER).holds


def test_an_image_that_became_a_file_lies_in_the_journal_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_module, "_SHARE", -1.0)
    cut_short(tmp_path, 200)
    assert dfa.Result.load(tmp_path).success.sum() > 3
    assert num_pictures(tmp_path) == 0


def test_what_was_found_stays_found_though_the_oracle_has_second_thoughts(tmp_path, whole):
    # The first hits after the last checkpoint are done again, and the oracle is not the same for them.
    num_calls = 200
    cut_short(tmp_path, num_calls, interval=10**5)
    kept = read_run(tmp_path).rows
    found = [index for index, row in kept.items() if row["status"] == "success"]
    assert len(found) > 3

    def harder(images):
        scores = CLASSIFIER(images)
        top = scores.argmax(axis=1)
        scores[np.arange(len(images)), top] += 0.02
        return scores / scores.sum(axis=1, keepdims=True)

    result = attack(harder, tmp_path, interval=10**5)
    for index in found:
        assert timeless([result.records[index]]) == timeless([whole[0].records[index]])
        np.testing.assert_array_equal(result.images[index], whole[0].images[index])


def test_a_run_that_has_ended_is_read_back_without_a_query(tmp_path, whole):
    attack(CLASSIFIER, tmp_path)
    oracle = Recorder(CLASSIFIER)
    result = attack(oracle, tmp_path)
    assert oracle.num_images == 0
    assert_same(result, whole[0])
    with pytest.raises(dfa.StoreError, match=r"config\.epsilon was 8, and is 9"):
        attack(oracle, tmp_path, epsilon=9)
    assert not (tmp_path / "journal.sqlite-wal").exists()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        assert journal.execute("SELECT COUNT(*) FROM checkpoint").fetchone() == (0,)


def test_a_run_that_goes_on_shows_what_is_finished(tmp_path, whole):
    cut_short(tmp_path, 200)
    shown = []

    calls = []

    def looks(images):
        calls.append(1)
        # The first question is whether the oracle is the same.
        if len(calls) == 2:
            shown.append(dfa.Result.load(tmp_path))
            shown.append(dfa.verify(tmp_path, CLASSIFIER))
        return CLASSIFIER(images)

    attack(looks, tmp_path)
    result, verification = shown
    assert result.summary().unfinished > 0
    assert result.summary().verified > 0
    assert verification.holds
    assert "were not finished" in str(verification)


# ------------------------------------------------------------------------------------------------------------ refusals


def test_a_changed_image_is_named(tmp_path):
    cut_short(tmp_path, 40)
    others = IMAGES.copy()
    others[3, 2, 2, 1] ^= 1
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match=r"image 3 must be what it was .*has changed"):
        attack(oracle, tmp_path, others)
    assert oracle.num_images == 0

    def gone():
        raise OSError("gone")

    with pytest.raises(dfa.StoreError, match=r"image 2 must be what it was .*can no longer be read"):
        attack(oracle, tmp_path, LazyImages(IMAGES, {2: gone}))
    attack(oracle, tmp_path)


def test_an_image_changed_before_the_first_checkpoint_is_named_too(tmp_path):
    cut_short(tmp_path, 2, interval=10**6)
    with pytest.raises(dfa.StoreError, match="image 0 must be what it was"):
        attack(CLASSIFIER, tmp_path, 255 - IMAGES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": 9}, "config.epsilon was 8, and is 9"),
        ({"seed": 1}, "config.seed was 0, and is 1"),
        ({"max_queries": 151}, "config.max_queries was 150, and is 151"),
        ({"batch_size": 5}, "config.batch_size was 4, and is 5"),
        ({"optimizer": dfa.Racos(samples=2)}, "config.optimizer.samples was 1, and is 2"),
        ({"objective": "paper"}, 'config.objective was "odds", and is "paper"'),
        ({"targets": 3}, "config.targets was null, and is 3"),
        ({"labels": np.zeros(24, int)}, "inputs.labels was null"),
        ({"ids": np.arange(24)}, "inputs.ids was null"),
        ({"images": IMAGES[:20]}, "config.num_images was 24, and is 20"),
    ],
)
def test_changed_settings_are_named(tmp_path, settings, message):
    cut_short(tmp_path, 30)
    before = sorted(path.name for path in (tmp_path / "images").iterdir())
    with pytest.raises(dfa.StoreError, match=message):
        attack(CLASSIFIER, tmp_path, **settings)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == before


def test_threads_and_the_place_of_the_images_may_change(tmp_path, whole):
    cut_short(tmp_path, 30)
    assert_same(attack(CLASSIFIER, tmp_path, list(IMAGES), threads=2, interval=77), whole[0])


def test_an_oracle_that_answers_otherwise_is_refused(tmp_path, whole):
    cut_short(tmp_path, 60)
    finished = read_run(tmp_path).rows
    with pytest.raises(dfa.StoreError, match=r"the oracle must be the one .*answers otherwise: image \d+ was of class"):
        attack(LinearClassifier(SHAPE, seed=2), tmp_path)
    assert read_run(tmp_path).rows.keys() == finished.keys()
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_a_model_with_another_fingerprint_is_refused(tmp_path):
    class Weighted(Oracle):
        def __init__(self, weights):
            self._weights = weights

        def fingerprint(self):
            return self._weights

        def scores(self, images):
            if self._weights == "dead":
                raise OSError("off")
            return CLASSIFIER(images)

    with pytest.raises(dfa.OracleError):
        attack(Weighted("dead"), tmp_path)
    with pytest.raises(dfa.StoreError, match=r"model\.fingerprint was \"dead\", and is \"alive\""):
        attack(Weighted("alive"), tmp_path)


def test_two_runs_in_one_folder_at_once_are_refused(tmp_path, whole):
    refused = []

    def second(images):
        if not refused:
            with pytest.raises(dfa.StoreError, match="must belong to one process at a time") as caught:
                attack(CLASSIFIER, tmp_path)
            refused.append(caught)
            # Neither may another process, not even to replace it.
            code = (
                "import sys, dfa, numpy\n"
                "try:\n"
                "    dfa.run(lambda x: None, numpy.zeros((1, 2, 2, 1), 'uint8'), store=sys.argv[1], overwrite=True)\n"
                "except dfa.StoreError as error:\n"
                "    print(error)"
            )
            done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
            assert "must belong to one process at a time, and another one is at it" in done.stdout
        return CLASSIFIER(images)

    assert_same(attack(second, tmp_path), whole[0])
    assert refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "must hold a run of version 3 of the layout, got version 2; use the dfa that began it"),
        ({"format": "mine"}, "is another file"),
    ],
)
def test_a_folder_of_another_version_is_told_of(tmp_path, change, message):
    cut_short(tmp_path, 30)
    shutil.copy(tmp_path / "results.json", tmp_path / "kept")
    (tmp_path / "results.json").unlink()
    document = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**document, **change}))
    for act in (lambda: attack(CLASSIFIER, tmp_path), lambda: dfa.Result.load(tmp_path)):
        with pytest.raises(dfa.StoreError, match=message):
            act()


def test_another_dfa_is_named(tmp_path):
    cut_short(tmp_path, 30)
    document = json.loads((tmp_path / "run.json").read_text())
    document["config"]["versions"]["dfa"] = "0.0.9"
    (tmp_path / "run.json").write_text(json.dumps(document))
    with pytest.raises(dfa.StoreError, match=r'config.versions.dfa was "0.0.9"'):
        attack(CLASSIFIER, tmp_path)


def test_a_damaged_journal_is_told_of(tmp_path):
    cut_short(tmp_path, 30)
    (tmp_path / "results.json").unlink()
    for path in tmp_path.glob("journal.sqlite*"):
        path.unlink()
    with pytest.raises(dfa.StoreError, match=r"its journal\.sqlite is missing"):
        dfa.Result.load(tmp_path)
    (tmp_path / "journal.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(dfa.StoreError, match="must be the journal of a run, and cannot be read"):
        dfa.Result.load(tmp_path)
    with pytest.raises(dfa.StoreError, match="journal"):
        attack(CLASSIFIER, tmp_path)


def test_an_image_file_that_is_gone_is_told_of(tmp_path):
    cut_short(tmp_path, 200)
    next((tmp_path / "images").glob("*.png")).unlink()
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match="cannot read the image"):
        attack(oracle, tmp_path)
    assert oracle.num_images == 0


def test_words_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(dfa.InvalidInputError, match="either resumed or overwritten"):
        dfa.run(CLASSIFIER, IMAGES, store=tmp_path, resume=True, overwrite=True)
    with pytest.raises(dfa.InvalidInputError, match="needs the folder of the run"):
        dfa.run(CLASSIFIER, IMAGES, resume=True)
    with pytest.raises(dfa.InvalidInputError, match="at least four batches"):
        dfa.run(CLASSIFIER, IMAGES, store=dfa.Storage(tmp_path, interval=1023))


def test_a_run_that_was_cut_short_is_not_begun_anew_by_accident(tmp_path):
    cut_short(tmp_path, 30)
    with pytest.raises(dfa.StoreError, match=r"must not hold a saved result"):
        attack(CLASSIFIER, tmp_path, resume=False)
    (tmp_path / "results.json").unlink()
    with pytest.raises(dfa.StoreError, match=r"holds one that has not ended; resume it \(resume=True\)"):
        attack(CLASSIFIER, tmp_path, resume=False)
    dfa.run(CLASSIFIER, IMAGES[:2], store=tmp_path, overwrite=True, **SETTINGS)
    assert len(dfa.Result.load(tmp_path).records) == 2
    assert len(list((tmp_path / "images").iterdir())) <= 2


def test_a_result_saved_over_a_run_leaves_nothing_of_it(tmp_path, whole):
    cut_short(tmp_path, 30)
    whole[0].save(tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "images",
        "journal.lock",
        "originals",
        "records.csv",
        "results.json",
    ]
    assert_same(dfa.Result.load(tmp_path), whole[0])


# ------------------------------------------------------------------------------------------ full and read-only disks


def test_a_journal_that_cannot_grow_ends_the_run_and_loses_nothing(tmp_path, monkeypatch, whole):
    open_journal = journal_module.open_journal

    def small(folder):
        journal = open_journal(folder)
        journal.execute("PRAGMA max_page_count = 12")
        return journal

    oracle = Recorder(CLASSIFIER)
    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "open_journal", small)
        with pytest.raises(
            dfa.StoreError, match=r"journal\.sqlite: database or disk is full; make room.*resume"
        ) as full:
            attack(oracle, tmp_path)
    assert full.value.result.success.any()
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path)
    assert_same(result, whole[0])
    assert result.profile.resent <= INTERVAL + 8


def test_an_image_that_cannot_be_written_ends_the_run_and_loses_nothing(tmp_path, monkeypatch, whole):
    fill = folder_module._fill
    written = []

    def fill_up(path, content):
        if Path(path).parent.name == "images":
            written.append(path)
            if len(written) > 4:
                fill(path, content[:10])
                raise OSError(28, "No space left on device")
        return fill(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "_fill", fill_up)
        with pytest.raises(dfa.StoreError, match=r"cannot write .*No space left"):
            attack(CLASSIFIER, tmp_path)
    assert sorted((tmp_path / "images").glob(".*")) == []
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_a_read_only_folder_is_refused_before_any_query(tmp_path, monkeypatch):
    oracle = Recorder(CLASSIFIER)

    def refuse(*_):
        raise PermissionError(13, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "_fill", refuse)
        with pytest.raises(dfa.StoreError, match=r"cannot write .*Read-only file system"):
            attack(oracle, tmp_path, resume=False)
    assert oracle.num_images == 0
