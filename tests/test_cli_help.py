"""Help pages: everyday flags first, the others in sections, and all in words of people."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import dfa
from command_line import dfa_says
from dfa import _core
from dfa.cli.commands.app import app
from dfa.cli.commands.flags import Flag, LongCommand, written
from dfa.cli.commands.options import IN_WORDS, optimizer_settings, run_settings
from dfa.cli.commands.wording import in_options
from test_cli_wording import messages

PYTHON = re.compile(
    r"\b(?:None|True|False|int|float|bool|str|tuple|list|dict|Callable|Any|Sequence|ImageSequence|ndarray|ArrayLike)\b"
    r"|\b(?:INTEGER|FLOAT|TEXT|BOOLEAN|RANGE)\b|Racos|Result\.|dfa\.run|\*\*|\b\w+=(?!\w*[,\d])|\(\d+, \d+,|\w \| \w"
)
PAGES = [(), *((name,) for name in app.commands)]


def page(capsys, *words, option=None):
    """Return a help page, of a command that has two the one with every option."""
    is_long = bool(words) and isinstance(app.commands[words[0]], LongCommand)
    status, out, err = dfa_says(capsys, *words, option or ("--help-all" if is_long else "--help"))
    assert (status, err) == (0, "")
    return out


def sections(text):
    """Return the flags of a help page, by the title that they stand below."""
    found, title = {}, ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\w[\w ]*):", line):
            title = heading[1]
        elif flag := re.match(r"  (?:-h, )?(--[\w-]+)", line):
            found.setdefault(title, []).append(flag[1])
    return found


@pytest.mark.parametrize("words", PAGES, ids=lambda words: " ".join(words) or "dfa")
def test_no_page_speaks_python(capsys, words):
    told = page(capsys, *words).partition("Examples:")[0]
    assert PYTHON.findall(" ".join(told.split())) == []


@pytest.mark.parametrize("setting", [*run_settings(), *optimizer_settings()], ids=lambda setting: setting.name)
def test_every_setting_is_told_of(setting):
    assert setting.text


def test_without_docstrings_pages_have_the_flags():
    code = "from dfa.cli.main import main; raise SystemExit(main(['attack', '--help-all']))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert (done.returncode, "--max-queries" in done.stdout, "--samples" in done.stdout) == (0, True, True), done.stderr


def test_what_is_looked_for_would_be_found():
    for text in (
        "None: all",
        "[default: (10, 50, 200)]",
        "--seed INTEGER",
        "x=True",
        "str | None",
        "dfa.Racos(samples=1)",
    ):
        assert PYTHON.search(text), text


def test_everyday_flags_come_first_and_the_optimizers_apart(capsys):
    found = sections(page(capsys, "attack"))
    assert list(found) == ["Options", "The model", "A service", "The images", "The run", "The optimizer"]
    assert found["Options"][0] == "--epsilon"
    assert {"--labels", "--target", "--max-queries", "--out", "--fail-above", "--help"} <= set(found["Options"])
    fields = {f"--{name.replace('_', '-')}" for name in dfa.Racos.__dataclass_fields__}
    assert fields <= set(found["The optimizer"])
    assert not fields & {flag for title in found if title != "The optimizer" for flag in found[title]} - {"--shape"}
    assert len(found["Options"]) < 15


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_first_page_of_attack_fits_on_a_screen(capsys, monkeypatch, option):
    monkeypatch.setenv("COLUMNS", "80")
    told = page(capsys, "attack", option=option)
    assert len(told.splitlines()) <= 60
    found = sections(told)
    assert {"--epsilon", "--labels", "--target", "--max-queries", "--out", "--help-all"} <= set(found["Options"])
    assert {"--mean", "--std", "--value-range"} <= set(found["The model"])
    assert {"--parse", "--rate", "--max-cost"} <= set(found["A service"])
    assert found["The optimizer"] == ["--preset"]
    assert "--epsilon LEVELS" in told
    assert "[default: 10]" in " ".join(told.split())


def test_the_first_page_names_every_option_whole_and_the_whole_page_explains_each(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    every = {option.opts[-1] for option in app.commands["attack"].params if isinstance(option, Flag)}
    assert len(every) > 50
    short = set(re.findall(r"(?<![\w-])--[a-z-]+(?![\w-])", page(capsys, "attack", option="--help")))
    assert every <= short
    whole = page(capsys, "attack")
    assert every | {"--help", "--help-all"} == {flag for flags in sections(whole).values() for flag in flags}
    assert "with one query a candidate" in " ".join(whole.split())


@pytest.mark.parametrize("name", ["audit", "bench", "verify"])
def test_other_commands_have_sections_too(capsys, name):
    found = sections(page(capsys, name))
    assert "--returns" in found["The model"]
    assert "--size" in found["The images"]
    every = {option.opts[-1] for option in app.commands[name].params if isinstance(option, Flag)}
    assert every <= {flag for flags in found.values() for flag in flags}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (600 / (299 * 299 * 3), "0.22 %"),
        (0.95, "95 %"),
        (True, "true"),
        ((10, 50), "10,50"),
        (1.0, "1.0"),
        (256, "256"),
        ("window", "window"),
    ],
)
def test_a_default_reads_as_people_write_it(value, words):
    assert written(value) == words


def test_defaults_of_the_optimizer_are_shown_so(capsys):
    told = " ".join(page(capsys, "attack").split())
    for flag, default in (
        ("--coordinates NUMBER", "0.22 %"),
        ("--rest-ratio SHARE", "95 %"),
        ("--archive true|false", "true"),
        ("--window-halvings N,N,...", "10,50,200,500,1000,2000,4000,6000,8000"),
    ):
        assert re.search(re.escape(flag) + r" .*?\[default: ([^]]*)\]", told)[1] == default
    assert "By default 0.1, and 0.05 for windows on images of 100 rows" in told


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--coordinates", "0.22%"], "coordinates", 0.0022),
        (["--coordinates", "0.5 %"], "coordinates", 0.005),
        (["--coordinates", "3"], "coordinates", 3),
        (["--coordinates", "1e-2"], "coordinates", 0.01),
        (["--window-share", "20 %"], "window_share", 0.2),
        (["--rest-ratio", "0.9"], "rest_ratio", 0.9),
        (["--archive", "false"], "archive", False),
    ],
)
def test_what_is_shown_may_be_written_too(here, capsys, words, field, value):
    base = ("attack", "model.py:classify", "photos", "--max-queries", 30, "--json", "--out", "run")
    assert dfa_says(capsys, *base, *words)[0] == 0
    optimizer = dfa.Result.load("run").config["optimizer"]
    assert optimizer[field] == pytest.approx(value)
    assert type(optimizer[field]) is type(value)


@pytest.mark.parametrize("flag", ["--coordinates", "--window-share", "--rest-ratio"])
def test_what_is_no_share_is_told_of(here, capsys, flag):
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "photos", flag, "half")
    assert (status, "'half' must be a share, such as 0.05" in err or "'half' is not a number" in err) == (2, True)


@pytest.mark.parametrize(("python", "words"), IN_WORDS)
def test_what_docstrings_say_otherwise_they_still_say(python, words):
    assert python in " ".join(f"{dfa.run.__doc__} {dfa.Racos.__doc__}".replace("`", "").split())
    assert python not in words


def test_messages_name_no_none_either():
    # What commands make themselves cannot be wrong.
    unreachable = tuple(
        f"{name} must" for name in ("space", "optimizer", "layout", "names", "labels", "class_names", "prior")
    )
    texts = [text for text in messages() if "None" in text and not text.startswith(unreachable)]
    said = [in_options(text, app.commands["attack"]) for text in texts]
    assert [text for text in said if re.search(r"must be None|unless None", text)] == []
    assert len([text for text in texts if re.search(r"must be None|unless None", text)]) >= 3


def test_help_says_what_depends_on_the_target(capsys):
    told = " ".join(page(capsys, "attack").split())
    assert "towards a target its degree is paper-code" in told
    assert "one query a candidate" in told
    assert "a candidate takes two, itself and a step beyond it" in told
    assert "by labels alone it has not been measured" in told


def test_help_counts_the_textures_as_the_core_does(capsys):
    told = " ".join(page(capsys, "attack").split())
    assert re.findall(r"(\d+) (?:coarse and fine rows|textures)", told) == [str(_core.NUM_TEXTURED_STARTS)] * 2
    assert "With an archive it is not a fixed number" in told
