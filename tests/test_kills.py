"""A run's folder survives whatever ends the process, at any moment, and the run ends as if nothing had happened."""

from __future__ import annotations

import inspect
import random
import signal
import sqlite3
from contextlib import closing

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.runs.saved_run import holds_nothing_paid, holds_run, journal_rows
from outcomes import timeless
from small_problem import CLASSIFIER, IMAGES, SHAPE
from stored_runs import INTERVAL, assert_same, run_whole
from zygote import Zygote


@pytest.fixture(scope="module")
def whole():
    return run_whole()


RUN = """
import numpy as np
import dfa
from oracles import LinearClassifier, random_images

{of_run}
images, classifier = random_images({number}, {shape}), LinearClassifier({shape})

def run(folder, log, settings):
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    settings = of_run(settings)
    def oracle(batch):
        os.write(out, b"%d\\n" % len(batch))
        return classifier(batch)
    storage = dfa.Storage(folder, resume=True, interval={interval})
    seen = settings.pop("shown")(oracle)
    dfa.run(seen, images, store=storage, batch_size=4, progress=False, **settings)
"""


def of_run(settings):
    """Return the settings of `dfa.run` that plain values stand for, and `shown`, through which its oracle is seen."""
    fields = {name: value for name, value in settings.items() if name in ("samples", "positives", "region", "values")}
    others = {name: value for name, value in settings.items() if name not in fields}
    if "steps" in settings:
        from own_optimizers import Steps

        others["optimizer"] = Steps(others.pop("steps"))
    elif "space" in settings:
        kind, *numbers = settings["space"]
        others["space"] = getattr(dfa, kind)(*numbers)
    else:
        others["optimizer"] = dfa.Racos(**fields)
    hide = {"top_1": dfa.top_1, "label": dfa.label_only}.get(others.pop("shows", None))
    others["shown"] = (lambda oracle: oracle) if hide is None else (lambda oracle: hide(oracle, num_classes=10))
    return others


@pytest.fixture(scope="module")
def zygote():
    code = RUN.format(number=len(IMAGES), shape=SHAPE, interval=INTERVAL, of_run=inspect.getsource(of_run))
    with closing(Zygote(code)) as opened:
        yield opened


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
        # Killed before the run was there as a whole, and so before anything was sent.
        assert not holds_run(folder) or holds_nothing_paid(folder)
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
    probes = 0
    while status != 0:
        # Killed after its last word: it is read back, once four originals have shown that the oracle is the same.
        probes += 4 * (holds_run(folder) and not holds_nothing_paid(folder) and journal_rows(folder).is_over)
        patience = moments.uniform(0.0, 0.25) if kills < most_kills else None
        status = zygote.run(str(folder), str(log), settings, seconds=patience)
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
    assert result.profile.files >= answers * expected.success.sum()
    assert result.profile.resent == books - once - result.profile.files
    repeated = 4 * answers if answers > 1 else 0
    assert 0 <= result.profile.resent <= kills * (INTERVAL + repeated + 8)
    # Counted before they are sent: two batches and claims that a kill cuts off are counted too many, and none too few.
    assert -probes <= books - sent_to(log) <= 3 * 4 * answers * kills
    return kills, result.profile.resent


def test_a_run_killed_at_any_moment_ends_as_if_nothing_had_happened(zygote, tmp_path, killed):
    moments = random.Random(20190518)
    kills = resent = attempt = 0
    while kills < killed:
        (tmp_path / str(attempt)).mkdir()
        settings = RUNS[attempt % len(RUNS)]
        more, again = kill_until_it_ends(zygote, tmp_path / str(attempt), settings, moments, 25)
        kills, resent, attempt = kills + more, resent + again, attempt + 1
    assert resent > 0


@pytest.mark.weekly_but(2)
@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": 12, "max_queries": 150, "shows": "label"},
        {"epsilon": 6, "max_queries": 120, "targets": 3, "shows": "top_1", "confirmations": 2},
        {"space": ("Rectangle", 3, 3), "max_queries": 90, "confirmations": 3},
        {"steps": 5, "epsilon": 8, "max_queries": 150},
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
        status = zygote.run(
            str(folder), str(log), settings, seconds=moments.uniform(0.02, 0.1), with_signal=signal.SIGINT
        )
        statuses.add(status)
        if status == 0:
            break
    assert statuses <= {0, 130, -signal.SIGINT}
    assert zygote.run(str(folder), str(log), settings) == 0
    assert_same(dfa.Result.load(folder), whole[0])
