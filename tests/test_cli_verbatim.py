"""Texts of others (paths, names, errors) reach the terminal as they are: no markup, no format, no control sequence."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, attack, dfa_says
from dfa.checks import printable
from dfa.cli.commands.screen import Screen

COMMANDS = Path(__file__).parents[1] / "python" / "dfa" / "cli"
ODD_NAME = "a [bold]b [x] {x} {0} :smile: %s c"
ODD = f"{ODD_NAME} [/bold] [/]"


def test_odd_paths_are_printed_as_they_are(here, capsys):
    np.save(f"{ODD_NAME}.npy", IMAGES)
    (here / f"{ODD_NAME}.py").write_text(MODEL)
    words = (f"{ODD_NAME}.py:classify", f"{ODD_NAME}.npy", "--max-queries", 60, "--epsilon", 12)
    folder = f"{ODD_NAME} run"
    status, out, err = dfa_says(capsys, "attack", *words, "--out", folder)
    assert status == 0, err
    assert f"10 images of {ODD_NAME}.npy" in err
    assert f"Kept in {folder}; look at it with: dfa report '{folder}'" in out
    status, out, err = dfa_says(capsys, "resume", folder, "--trust")
    assert (status, f"{ODD_NAME}.py:classify" in err) == (0, True)
    pytest.importorskip("matplotlib")
    status, out, _ = dfa_says(capsys, "report", folder)
    assert (status, f"{folder}/report.html (" in out) == (0, True)


def test_odd_errors_are_printed_as_they_are(here, capsys):
    (here / "model.py").write_text(f"def f(images):\n    raise OSError({ODD!r})\n")
    status, _, err = dfa_says(capsys, "attack", "model.py:f", "photos", "--out", "run")
    assert (status, ODD in err) == (3, True)


def test_odd_findings_are_printed_as_they_are(here, capsys):
    attack(capsys, "--out", "run")
    document = json.loads((here / "run" / "results.json").read_text())
    document["config"]["targets"] = "[red]x[/red][/x]"
    (here / "run" / "results.json").write_text(json.dumps(document))
    status, out, _ = dfa_says(capsys, "verify", "run", "--model", "model.py:classify")
    assert (status, "[red]x[/red][/x]" in "".join(out.replace("│", "").split())) == (1, True)


def test_what_a_terminal_would_obey_is_shown_as_an_escape(here, capsys):
    name = "a\x1b[31mb\u202ec\udcff\x9b"
    assert printable(name) == "a\\x1b[31mb\\u202ec\\udcff\\x9b"
    assert printable("é жλ 漢\n\t'\"") == "é жλ 漢\n\t'\""
    (here / "photos").rename(here / "p\x1b[31m")
    words = ("attack", "model.py:classify", "p\x1b[31m", "--max-queries", 5, "--out", "r\x1b[31m")
    status, out, err = dfa_says(capsys, *words)
    assert (status, "\x1b" in out + err, "Kept in r\\x1b[31m" in out) == (0, False, True)
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "gone\x1b[31m", "--out", "x")
    assert (status, "\x1b" in err) == (2, False)


def test_the_screen_takes_text_for_text(capsys):
    Screen().print("[bold]b[/bold] :smile: 10")
    assert capsys.readouterr().out == "[bold]b[/bold] :smile: 10\n"


def test_commands_write_to_the_screen_alone():
    written = {path: ast.parse(path.read_text(encoding="utf-8")) for path in COMMANDS.rglob("*.py")}
    imports = {
        (path.name, node.module)
        for path, tree in written.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "rich"
    }
    assert {name for name, _ in imports} == {"screen.py", "progress.py"}
    assert {module for name, module in imports if name == "progress.py"} == {"rich.progress"}
    columns = [
        node
        for tree in written.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "TextColumn"
    ]
    assert len(columns) == 1
    # What is printed otherwise goes through `printable`, or is of dfa alone.
    for path, tree in written.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                (text,) = node.args
                safe = isinstance(text, ast.Constant) or ast.unparse(text).startswith(("printable(", "json.dumps("))
                assert safe, f"{path.name}: {ast.unparse(node)}"
