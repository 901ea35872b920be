"""What several files say of a release is the same in all of them; workflows are pinned and may only read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOWEST = "3.11"


def text_of(name: str) -> str:
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"{name} is in the repository alone")
    return path.read_text(encoding="utf-8")


def citation() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    read: dict[str, Any] = yaml.safe_load(text_of("CITATION.cff"))
    return read


def test_the_citation_has_what_its_format_asks_for() -> None:
    read = citation()
    assert read["cff-version"] == "1.2.0"
    cited = [read["preferred-citation"], *read["references"]]
    for entry in (read, *cited):
        assert entry["title"]
        assert entry["authors"]
        assert all(set(author) in ({"name"}, {"family-names", "given-names"}) for author in entry["authors"])
    assert read["message"]
    assert all(entry["type"] in {"article", "conference-paper"} for entry in cited)


def test_the_paper_is_the_same_wherever_it_is_cited() -> None:
    paper = citation()["preferred-citation"]
    assert PROJECT["project"]["urls"]["Paper"] == f"https://doi.org/{paper['doi']}"
    guide = " ".join(text_of("docs/guides/citing.md").split())
    for each in (f"{{{paper['doi']}}}", paper["title"], paper["journal"], str(paper["year"])):
        assert each in guide
    assert " and ".join(f"{each['family-names']}, {each['given-names']}" for each in paper["authors"]) in guide


def test_the_version_is_the_same_everywhere() -> None:
    version = PROJECT["project"]["version"]
    assert citation()["version"] == version
    assert re.findall(r"^## (.+)$", text_of("CHANGELOG.md"), re.MULTILINE)[0] == version


def test_the_lowest_python_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["requires-python"] == f">={LOWEST}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{LOWEST.replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == LOWEST
    named = [
        line.rpartition(" :: ")[2]
        for line in PROJECT["project"]["classifiers"]
        if re.search(r"Python :: 3\.\d+$", line)
    ]
    assert named[0] == LOWEST
    assert PROJECT["tool"]["cibuildwheel"]["build"].split() == [f"cp{each.replace('.', '')}-*" for each in named]
    assert f"Python {LOWEST} or newer" in text_of("README.md")


def test_hooks_run_the_versions_that_make_lint_runs() -> None:
    hooks = set(re.findall(r'additional_dependencies: \["(.+?)"\]', text_of(".pre-commit-config.yaml")))
    assert {each.partition("==")[0] for each in hooks} == {"ruff", "clang-format"}
    assert hooks <= set(PROJECT["dependency-groups"]["core"])
    makefile = text_of("Makefile")
    assert "--group core\n" in makefile
    lint = re.search(r"^lint: \$\(TOOLS\)/installed\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert lint is not None
    assert all(line.startswith("\t$(TOOLS)/bin/") for line in lint[1].splitlines())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_pinned_and_may_only_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (.+)", text)
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)
    assert "\npermissions:\n  contents: read\n" in text
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "\nconcurrency:\n" in text


def test_links_of_the_readme_work_outside_the_repository(tmp_path: Path) -> None:
    script = ROOT / ".github" / "absolute_links.py"
    text_of(".github/absolute_links.py")
    readme = tmp_path / "README.md"
    readme.write_text(text_of("README.md"), encoding="utf-8")
    place = {"GITHUB_SERVER_URL": "https://host", "GITHUB_REPOSITORY": "owner/name", "GITHUB_SHA": "abc"}
    subprocess.run([sys.executable, script, readme], env=os.environ | place, check=True)
    made = readme.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", made)
    assert targets
    relative = [each for each in targets if not each.startswith(("https://", "#"))]
    assert relative == []
    own = [each.removeprefix("https://host/owner/name/") for each in targets if "//host/" in each]
    assert any(each.startswith("raw/abc/docs/") and each.endswith(".png") for each in own)
    for each in own:
        way, revision, name = each.split("/", 2)
        assert (way, revision) == ("raw" if name.endswith(".png") else "blob", "abc")
        assert (ROOT / name.partition("#")[0]).exists()


def test_every_build_for_publishing_has_such_links() -> None:
    text = text_of(".github/workflows/wheels.yml")
    builds = re.findall(r"run: python -m (?:build|cibuildwheel)", text)
    assert len(builds) == 2
    assert len(re.findall(r"absolute_links\.py README\.md\n(?:.*\n)*?.*python -m (?:build|cibuildwheel)", text)) == 2
