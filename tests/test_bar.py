"""The progress bar: who sees it, and what it says."""

from __future__ import annotations

import io
import re
import sys
import warnings
from types import SimpleNamespace

import dfa
from dfa.engine import bar
from oracles import LinearClassifier, random_images

SHAPE = (6, 5, 3)
IMAGES = random_images(12, SHAPE)


class Terminal(io.StringIO):
    def __init__(self, *, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


def drawn(monkeypatch, *, is_terminal):
    stream = Terminal(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    result = dfa.run(LinearClassifier(SHAPE), IMAGES, epsilon=10, max_queries=60)
    return stream.getvalue().rpartition("\r")[2], int(result.success.sum())


LINE = r"dfa: 100%\|[^|]*\| 12/12 \[\d\d:\d\d<00:00, (\d+) fell, [\d,]+ queries/s\]"


def test_a_terminal_shows_how_many_fell_and_how_fast(monkeypatch):
    line, number = drawn(monkeypatch, is_terminal=True)
    assert re.fullmatch(LINE, line.strip()).group(1) == str(number)
    assert 0 < number < 12


def test_it_is_looked_after_in_every_turn_of_a_run(monkeypatch):
    turns = []
    monkeypatch.setattr(bar.Bar, "look", lambda self: turns.append(self))
    drawn(monkeypatch, is_terminal=True)
    assert len(turns) > 3


def test_a_file_is_left_alone(monkeypatch):
    assert drawn(monkeypatch, is_terminal=False)[0] == ""


def test_a_notebook_without_widgets_shows_a_line_and_warns_of_nothing(monkeypatch):
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    # By these tqdm knows one.
    for name in ("IPython.core.interactiveshell", "ipykernel", "ipykernel.zmqshell"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    for name in ("tqdm.auto", "tqdm.autonotebook", "tqdm.notebook"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with warnings.catch_warnings(record=True) as warned:
        # Where they were errors, tqdm would swallow them.
        warnings.simplefilter("always")
        line, number = drawn(monkeypatch, is_terminal=False)
    assert [str(each.message) for each in warned] == []
    assert re.fullmatch(LINE, line.strip()).group(1) == str(number)


def test_it_is_drawn_again_while_no_image_is_settled(monkeypatch):
    seconds, asked, told = [0.0], [1000], []
    monkeypatch.setattr(bar.time, "monotonic", lambda: seconds[0])
    quiet = SimpleNamespace(
        set_postfix_str=lambda text, refresh: told.append(text),
        refresh=lambda: told.append("drawn"),
    )
    shown = bar.Bar(quiet, lambda: asked[0])
    for seconds[0], asked[0] in ((0.6, 1000), (0.7, 1100), (2.6, 2000)):
        shown.look()
    # What was asked before it began is not of this run's speed.
    assert told == ["0 fell", "drawn", "0 fell, 500 queries/s", "drawn"]


def test_no_stream_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert bar.open_bar(3, lambda: 0) is None
