"""Reports of folders that come from anybody: what stands in them is text, words and data, wherever a page shows it."""

from __future__ import annotations

import ast
import html
import json
import os
import re
import shutil
import subprocess

import pytest

import dfa
from dfa.checks import as_text
from oracles import LinearClassifier, random_images

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from dfa.views.report import write_report

SHAPE = (6, 6, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    settings = {"epsilon": 9, "max_queries": 150, "progress": False, "seed": 1}
    dfa.run(LinearClassifier(SHAPE), random_images(30, SHAPE), store=folder, **settings)
    return folder


def changed(run, folder, **config):
    """Return a copy of a run with other settings."""
    shutil.copytree(run, folder)
    for file in (folder / "run.json", folder / "results.json"):
        document = json.loads(file.read_text())
        document["config"].update(config)
        file.write_text(json.dumps(document))
    return folder


def reproduction(folder):
    text = write_report(folder).read_text()
    return html.unescape(re.search(r"<h3>How to reproduce</h3>\s*<pre>(.*?)</pre>", text, re.DOTALL).group(1))


CALL = "__import__('os').system('id')"


@pytest.mark.parametrize(
    "config",
    [
        {"targets": {"j": f"1), **{CALL} or dict("}},
        {"optimizer": {f"samples={CALL}, positives": 1, "placements": f"{CALL}"}},
        {"space": {"kind": f"Rectangle({CALL})", "form": "images"}},
        {"space": {"kind": "Pixels", "number": CALL}},
        {"objective": f"'{CALL}\n{CALL}#"},
    ],
    ids=lambda config: next(iter(config)),
)
def test_the_python_of_a_report_is_data_but_for_calls_of_dfa(run, tmp_path, config):
    code = ast.parse(reproduction(changed(run, tmp_path / "run", **config)))
    calls = [ast.unparse(node.func) for node in ast.walk(code) if isinstance(node, ast.Call)]
    assert "dfa.run" in calls
    assert all(call.startswith("dfa.") for call in calls)
    assert {node.id for node in ast.walk(code) if isinstance(node, ast.Name)} <= {"dfa", "oracle", "images", "result"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_shell_takes_the_words_of_a_report_for_words(run, tmp_path):
    folder = tmp_path / "a run;touch x;#'$(id)"
    words = ["--overwrite", "photos\ndfa attack\x1b[2J'`id`\\", "a b"]
    given = {"model": words[0], "images": words[1], "folder": words[2], "epsilon": "$(id)"}
    command = {"preset": "default", "channels": "auto", "settings": {"seed": ";id"}, "optimizer": {}, **given}
    changed(run, folder)
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, "command": command}))
    text = reproduction(folder)
    assert len(text.splitlines()) == 2
    shown = html.unescape(re.search("<code>(dfa verify.*?)</code>", (folder / "report.html").read_text()).group(1))
    script = f'cd() {{ dfa "$@"; }}\ndfa() {{ printf \'%s\\0\' "$@"; }}\n{text}\n{shown}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout.decode().split("\0")[:-1] == [
        *(words[2], "attack", "--epsilon", "$(id)", "--seed", ";id", "--", words[0], words[1]),
        *("verify", str(folder), "--model", "MODEL"),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}


NAMES = ["$x^{2$", "_hidden", "<b>x", "\\g<1>", b"caf\xe9", "x\ny\x1b[31m", '"onload=alert(1) x="', "a-b"]


def test_runs_of_any_name_are_compared(run, tmp_path):
    folders = [tmp_path / os.fsdecode(name) for name in (*NAMES, "a b")]
    for folder in folders:
        changed(run, folder)
    for compared in (folders[:4], folders[4:]):
        text = write_report(compared, gallery=1).read_text()
        ids = re.findall(r'\bid="([^"]*)"', text)
        assert len(ids) == len(set(ids))
        legend = [html.unescape(each) for each in re.findall(r"<text[^>]*>([^<]*)</text>", text)]
        for folder in compared:
            shown = "".join(each if each.isprintable() else " " for each in as_text(folder.name))
            assert legend.count(shown) == 3, folder.name
        assert not set(re.findall(r" on\w+=", re.sub(r'"[^"]*"', "", text.partition("<script>")[0])))


@pytest.mark.parametrize(
    "config",
    [
        {"oracle": {"framework": "keras"}},
        {"shape": None},
        {"class_names": ["\ud800"] * 10},
    ],
    ids=lambda config: next(iter(config)),
)
def test_settings_of_any_kind_are_reported(run, tmp_path, config):
    assert "How to reproduce" in write_report(changed(run, tmp_path / "run", **config)).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": 3}, "runs must be results, or the folders of runs, got 3"),
        ({"runs": ["a", None]}, "runs must be results, or the folders of runs, got None"),
        ({"runs": {"a": 3}}, "runs must be results, or the folders of runs, got 3"),
        ({"gallery": -1}, "gallery must be an integer of at least 0, got -1"),
        ({"gallery": "all"}, "gallery must be an integer of at least 0, got 'all'"),
        ({"out": 3}, "out must be a path, got 3"),
    ],
)
def test_what_is_no_run_no_number_and_no_file_is_refused(run, tmp_path, arguments, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        write_report(**{"runs": run, "out": tmp_path / "report.html", **arguments})


TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_names_cannot_turn_what_a_page_says_after_them(tmp_path):
    images = random_images(8, SHAPE)
    classes = [f"{number}{TURNS}" for number in range(10)]
    names = [f"{TURNS}gnp.{number}.exe" for number in range(8)]
    settings = {"epsilon": 20, "max_queries": 60, "progress": False, "names": names, "class_names": classes}
    result = dfa.run(LinearClassifier(SHAPE), images, **settings, store=tmp_path / TURNS)
    assert result.success.any()
    pages = [write_report(tmp_path / TURNS).read_text(), result._repr_html_()]
    pages.append(write_report({TURNS: result, "b": result}, tmp_path / "both.html").read_text())
    for page in pages:
        assert not set(page) & set(TURNS)
    assert all("\\u202e\\u2066" in page for page in pages)
    assert "\\u2069gnp.3.exe" in pages[0]
