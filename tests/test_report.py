"""The report: what it says, that it needs nothing from elsewhere, and how a browser takes it."""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import dfa
from browser import PROGRAM, browser
from dfa.results.rates import clopper_pearson
from dfa.views.charts import PALETTE, calls_chart
from oracles import LinearClassifier, Until, raising, random_images

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from dfa.views import run_charts
from dfa.views.report import write_report

SHAPE = (6, 6, 3)
NUMBER = 60
IMAGES = random_images(NUMBER, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)


def attack(folder, images=IMAGES, **settings):
    settings = {"epsilon": 9, "max_queries": 150, "progress": False, "seed": 1, **settings}
    return dfa.run(CLASSIFIER, images, store=folder, **settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "first <run>"
    attack(folder)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "second"
    # Long names, which must find room on a phone.
    names = [f"photographs/{'of-many-animals-' * 4}{number}.jpg" for number in range(NUMBER)]
    class_names = [f"{'long_name_' * 5}{number}" for number in range(10)]
    attack(folder, optimizer=dfa.Racos.paper(), epsilon=12, names=names, class_names=class_names)
    return folder


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return write_report(run, tmp_path_factory.mktemp("page") / "report.html")


def cells(html, column):
    body = re.search(r'class="sortable".*?<tbody>(.*?)</tbody>', html, re.DOTALL).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)[column] for row in rows]


def test_no_matplotlibrc_says_how_it_looks(run, page, tmp_path):
    """Matplotlib takes one from the folder that one is in; LaTeX would run what stands there."""
    import matplotlib

    def drawn(folder):
        html = write_report(run, folder / "report.html").read_text()
        figure = calls_chart(2.0, np.array([1.0, 2.0]), 3.0)
        return [re.sub(r"<dc:date>.*?</dc:date>", "", each) for each in (html, figure._repr_svg_())]

    (tmp_path / "evil").mkdir()
    plain = drawn(tmp_path)
    evil = {"text.usetex": True, "axes.facecolor": "red", "font.family": "Evil", "lines.marker": "x"}
    evil |= {"savefig.facecolor": "red", "savefig.bbox": "tight"}
    with matplotlib.rc_context({"svg.hashsalt": "evil", **evil}):
        assert drawn(tmp_path / "evil")[0] == plain[0]
        assert not re.search("Evil|#ff0000", drawn(tmp_path / "evil")[1])
        assert all(matplotlib.rcParams[name] in (value, [value]) for name, value in evil.items())


def test_a_matplotlibrc_that_cannot_be_read_is_named(run, tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff")
    code = "import sys, dfa.views.report as report; report.write_report(*sys.argv[1:])"
    words = [sys.executable, "-c", code, str(run), str(tmp_path / "report.html")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert "MissingDependencyError: charts need matplotlib, which cannot be imported: UnicodeDecodeError" in done.stderr
    assert "is there a matplotlibrc in the current folder?" in done.stderr


def test_it_says_what_the_run_found(run, page):
    html = page.read_text()
    result = dfa.Result.load(run)
    summary = result.summary()
    assert 10 < summary.verified < summary.attacked
    assert f"<b>{100 * summary.TSR:.1f} %</b>" in html
    assert f"of {summary.attacked} attacked images fell" in html
    assert f"<b>{summary.queries_sent:,}</b>" in html
    for figure in (summary.queries_mean, summary.queries_median, summary.queries_p90):
        assert f"<b>{figure:,.{0 if figure >= 100 or figure == int(figure) else 1}f}</b>" in html
    assert re.search(r"[\d,.]+ with failures at their budget", html)
    assert cells(html, 1) == [status.value for status in result.status]
    assert cells(html, 6) == [str(queries) for queries in result.queries]
    assert len(re.findall("<figure>", html)) == summary.verified
    within = np.count_nonzero(result.queries[result.success] <= 10) / summary.attacked
    assert f'<td data-label="within 10">{100 * within:.1f} %</td>' in html
    assert f'<td data-label="within 150">{100 * summary.TSR:.1f} %</td>' in html
    assert "dfa.Racos(samples=1" in html
    assert dfa.__version__ in html


def test_it_begins_with_the_verdict(run, page):
    html = page.read_text().replace("\N{NO-BREAK SPACE}", " ")
    summary = dfa.Result.load(run).summary()
    low, high = clopper_pearson(summary.verified, 60)
    rate = f"{100 * summary.TSR:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
    words = f"{summary.verified} of 60 images fell to changes of at most 9 grey levels within 150 queries: {rate}."
    assert f"<h1>{words}</h1>" in html
    assert f"{60 - summary.verified} not broken by 150 queries" in html
    assert "robust" not in html.lower().replace("mnist_robust", "")
    created = dt.datetime.fromisoformat(json.loads((run / "run.json").read_text())["created"])
    assert f"{created.day} {created:%B} {created.year}</p>" in html
    for letters, value in {"SR": summary.SR, "TSR": summary.TSR, "GAP": summary.GAP}.items():
        assert f"<dt>{letters} {100 * value:.1f} %</dt>" in html
    assert f"<dt>ATC {summary.ATC:.3g} s</dt>" in html
    assert re.search(r"image \d+, and the same with every value 9 up or down", html)


def test_results_need_no_folder(tmp_path):
    results = {
        name: dfa.run(CLASSIFIER, IMAGES[:30], epsilon=epsilon, max_queries=60, progress=False)
        for name, epsilon in {"a <b>": 3, "c": 20}.items()
    }
    html = results["c"].report(tmp_path / "one.html", gallery=5).read_text()
    assert "30 images fell to changes of at most 20 grey levels within 60" in html
    assert len(re.findall("<figure>", html)) == 5
    assert "dfa verify" not in html
    html = dfa.write_report(results, tmp_path / "both.html").read_text()
    assert "2 runs compared" in html
    assert "<td>epsilon</td><td>3</td><td>20</td>" in html
    assert '<a href="#run-1">a &lt;b&gt;</a>' in html
    with pytest.raises(dfa.InvalidInputError, match="out must be the file to write"):
        dfa.write_report(results["c"])


def test_few_images_have_a_bar_each_and_no_curve(page, tmp_path):
    html = attack(tmp_path / "run", IMAGES[:9]).report(tmp_path / "few.html").read_text()
    svg = re.search(r"<svg[^>]*queries of each image.*?</svg>", html, re.DOTALL).group(0)
    assert len(re.findall(r">\d: \d<", svg)) == 9
    assert "success against" not in html
    assert "queries of each image" not in page.read_text()


def test_it_says_how_many_were_right_where_labels_tell(page, tmp_path):
    labels = CLASSIFIER.classes(IMAGES)
    labels[:3] = (labels[:3] + 1) % 10
    attack(tmp_path / "run", labels=labels)
    html = write_report(tmp_path / "run", tmp_path / "page.html").read_text()
    left = f"{100 * dfa.Result.load(tmp_path / 'run').summary().robust_accuracy:.1f} %"
    assert "<b>95.0 %</b><span>clean accuracy: 57 of 60 right before the attack; right after it: " in html
    assert f"right after it: {left}, not broken by 150 queries</span>" in html
    assert "accuracy" not in page.read_text()


def test_it_says_how_many_were_given_up_at_rest(page, tmp_path):
    assert "given up at rest" not in page.read_text()
    result = attack(tmp_path / "run", IMAGES[:20], epsilon=4, give_up_after=24)
    assert result.summary().at_rest > 0
    html = write_report(tmp_path / "run", tmp_path / "report.html").read_text()
    assert f"<b>{result.summary().at_rest}</b><span>given up at rest: not broken by" in html
    assert f"by {result.summary().queries_at_rest:,.1f} queries (mean)" in html
    assert "give_up_after=24," in html


def test_names_are_text_and_no_markup(page):
    html = page.read_text()
    assert "first &lt;run&gt;" in html
    assert "<run>" not in html


def test_nothing_in_it_comes_from_elsewhere(page):
    html = page.read_text()
    loads = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", html)
    assert loads
    assert {load[:1] == "#" or load.startswith("data:") for load in loads} == {True}
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_it_draws_how_full_the_calls_were_as_the_run_kept_it(run, page, monkeypatch, tmp_path):
    profile = dfa.Result.load(run).profile
    over_time = profile.calls_over_time
    # What a run that is gone on with would have sent twice, this one has not.
    assert (sum(over_time.calls), sum(over_time.rows)) == (profile.batches, profile.rows_sent)
    drawn = []

    def draw(*what):
        drawn.append(what)
        return calls_chart(*what)

    monkeypatch.setattr(run_charts, "calls_chart", draw)
    write_report(run, tmp_path / "r.html")
    ((seconds, rows, most),) = drawn
    assert seconds == over_time.seconds
    assert most == profile.rows_capacity / profile.batches
    expected = [sent / calls if calls else np.nan for calls, sent in zip(over_time.calls, over_time.rows, strict=True)]
    np.testing.assert_array_equal(rows, expected)
    assert 'aria-label="first &lt;run>: images per call"' in page.read_text()


def test_parts_without_a_call_are_gaps_in_the_chart():
    axes = calls_chart(0.5, np.array([8.0, np.nan, 2.0]), 10.0).axes[0]
    (stairs,) = axes.patches
    values, edges, _ = stairs.get_data()
    np.testing.assert_array_equal(values, [8.0, np.nan, 2.0])
    np.testing.assert_array_equal(edges, [0.0, 0.5, 1.0, 1.5])
    assert axes.lines[0].get_ydata() == [10.0, 10.0]
    assert axes.get_xlim() == (0.0, 1.5)
    assert axes.get_ylim()[0] == 0.0
    assert axes.get_ylim()[1] > 10.0


def test_a_gallery_that_is_too_large_says_so(run, tmp_path):
    html = write_report(run, tmp_path / "r.html", gallery=7).read_text()
    assert len(re.findall("<figure>", html)) == 7
    assert re.search(r"7 of \d+ are shown, evenly chosen", html)
    assert len(re.findall("<figure>", write_report(run, tmp_path / "r.html", gallery=0).read_text())) == 0


def test_runs_are_compared(run, other, tmp_path):
    html = write_report([run, other], tmp_path / "both.html").read_text()
    assert "2 runs compared" in html
    assert "they attacked different images" not in html
    assert "<td>epsilon</td><td>9</td><td>12</td>" in html
    assert "<td>optimizer.samples</td><td>1</td><td>3</td>" in html
    assert "<td>max_queries</td>" not in html
    assert 'aria-label="success against queries"' in html
    assert html.count('class="sortable"') == 2
    one, two = (dfa.Result.load(folder).success for folder in (run, other))
    (table,) = re.findall(r"The same images in both</h3>.*?</table>", html, re.DOTALL)
    numbers = [int(each) for each in re.findall(r"<td>(\d+)</td>", table)]
    assert numbers == [(one & two).sum(), (one & ~two).sum(), (~one & two).sum(), (~one & ~two).sum()]
    names = ["second", "first &lt;run&gt;"] if two.sum() > one.sum() else ["first &lt;run&gt;", "second"]
    assert re.search(rf"<h1>Of 2 runs, {names[0]} \(\d+ of 60 images, .*\) broke most, and {names[1]} \(", html)


def test_runs_on_other_images_are_told_apart(run, tmp_path):
    attack(tmp_path / "less", IMAGES[:5])
    html = write_report([run, tmp_path / "less"], tmp_path / "both.html").read_text()
    assert "they attacked different images" in html


def test_a_run_that_has_not_ended_is_shown_as_such(run, tmp_path):
    dies = Until(12, CLASSIFIER, raising(OSError("off")))
    with pytest.raises(dfa.OracleError, match="off"):
        dfa.run(dies, IMAGES, epsilon=9, max_queries=150, progress=False, batch_size=8, store=tmp_path / "dead")
    html = write_report(tmp_path / "dead").read_text()
    assert (tmp_path / "dead" / "report.html").exists()
    assert "This run has not ended" in html
    assert re.search(r"<h1>So far (\d+|none) of \d+ images fell to", html)
    assert "unfinished" in cells(html, 1)


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_images_of_any_number_of_channels_are_shown(tmp_path, channels):
    shape = (5, 4, channels)
    folder = tmp_path / "run"
    dfa.run(LinearClassifier(shape), random_images(8, shape), epsilon=20, max_queries=99, progress=False, store=folder)
    assert "data:image/png" in write_report(folder).read_text()


def test_large_images_are_thumbnails_and_nothing_found_is_no_gallery(tmp_path):
    shape = (200, 90, 3)
    images = random_images(3, shape)
    dfa.run(LinearClassifier(shape), images, epsilon=20, max_queries=50, progress=False, store=tmp_path / "large")
    html = write_report(tmp_path / "large").read_text()
    assert "data:image/jpeg" in html
    assert len(html) < 400_000

    def never(batch):
        return np.broadcast_to([0.75, 0.25], (len(batch), 2))

    dfa.run(never, images, max_queries=5, progress=False, store=tmp_path / "none")
    html = write_report(tmp_path / "none").read_text()
    assert "<figure>" not in html
    assert "<b>0.0 %</b>" in html
    assert "<h1>None of 3 images fell to changes of at most 10 grey levels within 5 queries" in html
    assert "mid-grey, and the same with every value 10 up or down" in html


@pytest.mark.parametrize(
    "config",
    [
        {"shape": None},
        {"shape": ...},
        {"oracle": {"framework": "keras"}},
        {"oracle": {"backend": "jax"}},
        {"oracle": None},
    ],
)
def test_settings_that_are_missing_are_left_out(run, tmp_path, config):
    folder = shutil.copytree(run, tmp_path / "run")
    for name in ("run.json", "results.json"):
        document = json.loads((folder / name).read_text())
        document["config"] |= config
        document["config"] = {name: each for name, each in document["config"].items() if each is not ...}
        (folder / name).write_text(json.dumps(document))
    assert "images of" in write_report(folder).read_text()


def test_the_page_may_lie_in_the_current_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write_report(run, "page.html").read_text().lower().startswith("<!doctype html>")
    monkeypatch.chdir(shutil.copytree(run, tmp_path / "here"))
    assert write_report(".").resolve() == tmp_path / "here" / "report.html"


@pytest.mark.filterwarnings("ignore::dfa.MostSkippedWarning")
def test_a_run_of_skipped_images_has_a_report(tmp_path):
    wrong = (CLASSIFIER.classes(IMAGES[:4]) + 1) % 10
    dfa.run(CLASSIFIER, IMAGES[:4], wrong, progress=False, store=tmp_path / "run")
    html = write_report(tmp_path / "run").read_text()
    assert "4 skipped" in html
    assert "nan" not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL).lower()


def test_what_cannot_be_reported_is_refused(tmp_path, run):
    with pytest.raises(dfa.StoreError, match="must be a saved result"):
        write_report(tmp_path)
    with pytest.raises(dfa.InvalidInputError, match=f"about 1 to {len(PALETTE)} runs, got 0"):
        write_report([])


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_named(run, monkeypatch, tmp_path, package):
    def refuse(name, *rest):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return original(name, *rest)

    original = importlib.import_module
    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(dfa.MissingDependencyError, match=r"pip install .*\[report\]"):
        write_report(run, tmp_path / "r.html")


def test_a_result_plots_itself(run):
    result = dfa.Result.load(run)
    figure = result.plot()
    (line,) = figure.axes[0].lines
    x, y = line.get_data()
    share = {most: np.count_nonzero(result.queries[result.success] <= most) / result.summary().attacked for most in x}
    assert y[0] == 0.0
    for queries, height in zip(x[1:], y[1:], strict=True):
        assert height <= share[queries] + 1e-12
    assert y[-1] == result.summary().TSR
    assert x[-1] == 150
    assert figure._repr_svg_().startswith("<?xml")


# ------------------------------------------------------------------------------------------------------ in a browser

in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine (apt install chromium)")


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


def shown_figures(chromium):
    return chromium.evaluate(
        "Array.from(document.querySelectorAll('.gallery figure')).filter(f => f.offsetParent).length"
        " + ' of ' + document.querySelectorAll('.gallery figure').length"
    )


LOADED = """Promise.all(Array.from(document.querySelectorAll('figure:not(.large) img')).filter(i => i.offsetParent)
    .map(i => { i.loading = 'eager'; return i.decode().then(() => i.naturalWidth); }))"""

# What sticks out to a side, is wider than the box that would cut it off, or is a chart's word beyond the chart.
CUT_OFF = """(() => {
    const shown = Array.from(document.querySelectorAll('header *, main *, footer')).filter(e => e.offsetParent);
    const cut = shown.filter(e => {
        const box = e.getBoundingClientRect();
        const hides = getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1;
        return hides || box.left < -1 || box.right > innerWidth + 1;
    });
    const words = Array.from(document.querySelectorAll('svg text')).filter(e => {
        const [box, chart] = [e.getBoundingClientRect(), e.closest('svg').getBoundingClientRect()];
        return box.left < chart.left - 1 || box.right > chart.right + 1 || box.bottom > chart.bottom + 1;
    });
    return [...cut, ...words].map(e => e.outerHTML.slice(0, 120));
})()"""


@in_a_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_a_browser_has_nothing_to_complain_of(chromium, page, width, dark, tmp_path):
    chromium.open(page, width=width, dark=dark)
    assert chromium.complaints == []
    assert [url for url in chromium.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    widths = chromium.evaluate(LOADED)
    assert len(widths) == 24
    assert min(widths) > 10
    assert chromium.evaluate(CUT_OFF) == []
    large = chromium.evaluate("Array.from(document.querySelectorAll('.large img')).map(i => i.clientWidth)")
    assert len(large) == 6
    assert min(large) > 300
    ground = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 27)" if dark else "rgb(247, 248, 250)")
    assert chromium.evaluate("document.querySelectorAll('svg[role=img]').length") == 5
    chromium.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@in_a_browser
def test_the_gallery_turns_its_pages_without_scripts(chromium, page):
    chromium.open(page, scripts=False)
    first, total = map(int, shown_figures(chromium).split(" of "))
    assert (first, total) == (24, chromium.evaluate("document.querySelectorAll('.gallery figure').length"))
    assert total > 24
    chromium.evaluate("location.hash = document.querySelector('.pages a:nth-child(2)').getAttribute('href')")
    assert shown_figures(chromium) == f"{min(24, total - 24)} of {total}"
    assert len(chromium.evaluate(LOADED)) == min(24, total - 24)
    assert chromium.evaluate("document.querySelectorAll('.sortable tbody tr').length") == NUMBER
    assert chromium.complaints == []


@in_a_browser
def test_the_table_is_sorted_and_filtered(chromium, page, run):
    chromium.open(page)
    queries = "Array.from(document.querySelectorAll('.sortable tbody tr')).map(r => Number(r.cells[6].textContent))"
    click = "document.querySelectorAll('.sortable th button')[6].click()"
    expected = sorted(dfa.Result.load(run).queries.tolist())
    chromium.evaluate(click)
    assert chromium.evaluate(queries) == expected
    chromium.evaluate(click)
    assert chromium.evaluate(queries) == expected[::-1]
    chromium.evaluate(
        "const s = document.querySelector('select'); s.value = 'success'; s.dispatchEvent(new Event('change'))"
    )
    shown = chromium.evaluate("document.querySelectorAll('.sortable tbody tr:not([hidden])').length")
    assert shown == dfa.Result.load(run).success.sum()
    assert chromium.complaints == []


@in_a_browser
def test_a_comparison_shows(chromium, run, other, tmp_path):
    page = write_report([run, other], tmp_path / "both.html")
    for width in (390, 1280):
        chromium.open(page, width=width)
        assert chromium.complaints == []
        assert chromium.evaluate(CUT_OFF) == []
        assert chromium.evaluate("document.querySelectorAll('svg').length") == 13


@in_a_browser
def test_it_is_printed_dark_on_white_without_what_is_turned_over(chromium, page):
    chromium.open(page, width=760, dark=True)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    chromium.call("Emulation.setEmulatedMedia", media="print", features=dark)
    style = "getComputedStyle(document.body)"
    assert chromium.evaluate(f"[{style}.backgroundColor, {style}.color]") == ["rgb(255, 255, 255)", "rgb(22, 25, 29)"]
    shown = "Array.from(document.querySelectorAll({!r})).filter(e => e.offsetParent).length"
    assert chromium.evaluate(shown.format("table.sortable, .gallery, .tools")) == 0
    assert chromium.evaluate(shown.format(".large, pre, dl")) == 8
    assert chromium.evaluate(CUT_OFF) == []
    chromium.call("Emulation.setEmulatedMedia", media="")
    pdf = base64.b64decode(chromium.call("Page.printToPDF", printBackground=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 5


@in_a_browser
def test_what_is_cut_off_would_be_found(chromium, page, tmp_path):
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text(page.read_text().replace("white-space: pre-wrap", "overflow: auto"))
    chromium.open(spoiled, width=390)
    assert any(each.startswith("<pre") for each in chromium.evaluate(CUT_OFF))


@in_a_browser
def test_a_browser_that_would_complain_is_heard(chromium, page, tmp_path):
    # The checks above can fail: a page with an error and a request of its own.
    spoiled = tmp_path / "spoiled.html"
    text = page.read_text().replace("default-src 'none'; ", "")
    spoiled.write_text(text.replace("<main>", '<main><img src="no.png"><script>nothing()</script>'))
    chromium.open(spoiled)
    assert any("nothing is not defined" in each for each in chromium.complaints)
    assert any(url.endswith("no.png") for url in chromium.requests)
