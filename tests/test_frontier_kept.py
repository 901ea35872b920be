"""What `dfa.frontier` keeps in a folder: read back, gone on with, replaced, and at one search's hands at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dfa
from oracles import LinearClassifier, random_images

SHAPE = (6, 6, 1)
IMAGES = random_images(5, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)


def search(oracle=CLASSIFIER, images=IMAGES, labels=None, **settings):
    return dfa.frontier(
        oracle, images, labels, **{"max_epsilon": 20, "max_queries": 150, "progress": False, **settings}
    )


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def found():
    return search(max_epsilon=4)


def test_what_is_read_back_is_what_was_saved(found, tmp_path):
    assert {each.state.value for each in found.records} == {"broken", "held"}
    found.save(tmp_path)
    read = dfa.Frontier.load(tmp_path)
    assert read.records == found.records
    assert read.document() == found.document()
    for image, original in zip(read.images, found.images, strict=True):
        np.testing.assert_array_equal(image, original)
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    read.save(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda document: document.update(format="dfa-results"), "dfa-frontier"),
        (lambda document: document.update(largest=0), "largest must be in 1"),
        (lambda document: document.update(max_queries="150"), "max_queries must be an integer"),
        (lambda document: document["records"][0].update(index=1), "records.0.index must be in 0..0"),
        (lambda document: document["records"][0]["record"].update(index=1), "records.0.index must be in 0..0"),
        (lambda document: document["records"][0].update(state="broken", critical=None), "record 0 contradicts itself"),
        (lambda document: document["records"][0].update(state="held", critical=None, attempts=[]), "contradicts"),
        (lambda document: document["records"][0].update(attempts=[[99, 1, True]]), "records.0.attempts must be in 1"),
        (lambda document: document["records"][0]["record"].update(queries=-1), "records.0.queries must be 0 or more"),
        (
            lambda document: document["records"][0].update(queries=0),
            "records.0.queries, beside those of attempts, must",
        ),
        (lambda document: document["records"][0].update(queries=151), "records.0.queries must be in 0..150"),
        (
            lambda document: document["records"][0].update(attempts=[[4, 10**9, True]]),
            "records.0.queries, beside those",
        ),
        (lambda document: document["records"][0].update(unconfirmed=99), "records.0.unconfirmed must be in 0"),
        (
            lambda document: document["records"][0].update(
                state="skipped", critical=None, attempts=[[4, 5, False]], queries=5, unconfirmed=0
            ),
            "record 0 contradicts itself: skipped",
        ),
        (lambda document: document.update(unit="<script>"), "unit must be one of epsilon, size, got '<script>'"),
        (lambda document: document.update(largest=256), "largest must be in 1..255"),
        (lambda document: document["config"].update(shape="x"), "config"),
    ],
)
def test_a_document_that_is_damaged_is_refused(found, tmp_path, damage, words):
    document = json.loads(found.save(tmp_path).read_text())
    damage(document)
    (tmp_path / "frontier.json").write_text(json.dumps(document))
    with pytest.raises(dfa.StoreError, match=words):
        dfa.Frontier.load(tmp_path)


def test_images_that_are_missing_or_damaged_or_links_are_refused(found, tmp_path):
    found.save(tmp_path / "kept")
    first, second, *_ = sorted((tmp_path / "kept" / "critical").iterdir())
    content = second.read_bytes()
    (tmp_path / "elsewhere.png").write_bytes(content)
    second.unlink()
    with pytest.raises(dfa.StoreError, match=f"has no file {second.name}"):
        dfa.Frontier.load(tmp_path / "kept")
    second.symlink_to(tmp_path / "elsewhere.png")
    first.write_bytes(content[:-30])
    read = dfa.Frontier.load(tmp_path / "kept")
    for each, words in ((first, "cut off"), (second, "symbolic link")):
        with pytest.raises(dfa.StoreError, match=words):
            read.images[int(each.stem)]
    with pytest.raises(dfa.StoreError, match=r"frontier\.json"):
        dfa.Frontier.load(tmp_path / "nowhere")


def test_a_folder_that_holds_a_frontier_is_refused_before_the_first_query(found, tmp_path):
    found.save(tmp_path / "saved")
    with pytest.raises(dfa.OracleError):
        search(fails_after(150), store=tmp_path / "begun")
    for name, state in (("saved", "holds one;"), ("begun", "holds one that has not ended")):
        with pytest.raises(dfa.StoreError, match=f"{name} must not hold a frontier, and {state}"):
            search(fails_after(0), store=tmp_path / name)


def test_overwriting_leaves_nothing_of_an_earlier_frontier_and_all_other_files(tmp_path):
    before = search(store=tmp_path)
    assert before.rounds > 2
    others = {"notes.txt", "round-002/notes.txt", "critical/notes.png", "round-old/run.json"}
    (tmp_path / "round-old").mkdir()
    for name in others:
        (tmp_path / name).write_text("mine")
    with pytest.raises(dfa.OracleError):
        search(fails_after(0), store=tmp_path, overwrite=True)
    assert files_in(tmp_path) == others
    search(store=tmp_path)
    after = search(images=IMAGES[:2], max_epsilon=1, store=tmp_path, overwrite=True)
    assert after.rounds == 1
    left = files_in(tmp_path)
    assert others <= left
    assert not {name for name in left - others if name.startswith("round-") and not name.startswith("round-001/")}
    held = {f"critical/{index:06d}.png" for index in after.images.held()}
    assert {name for name in left if name.startswith("critical/")} == {*held, "critical/notes.png"}
    assert dfa.Frontier.load(tmp_path).records == after.records


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_epsilon": 3}, "max_epsilon was 2, and is 3"),
        ({"seed": 9}, "config.seed was 0, and is 9"),
        ({"max_queries": 60}, "config.max_queries was 50, and is 60"),
        ({"space": dfa.Pixels}, 'space.* was .*Pixels"'),
        ({"images": IMAGES[:1]}, "config.num_images was 2, and is 1"),
        ({"labels": np.zeros(2, dtype=int)}, "inputs.labels was null, and is"),
    ],
)
@pytest.mark.parametrize("space", [None, lambda side: dfa.Rectangle(side, side)], ids=["ball", "rectangle"])
def test_what_was_begun_otherwise_is_not_replaced_by_going_on_with_it(tmp_path, space, settings, words):
    begun = {"images": IMAGES[:2], "max_epsilon": 2, "max_queries": 50, "store": tmp_path, "space": space}
    search(**begun)
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    with pytest.raises(dfa.StoreError, match=f"must be resumed as it was begun, and this differs: .*{words}"):
        search(fails_after(0), resume=True, **begun | settings)
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before
    assert search(resume=True, **begun | {"threads": 2}).records == dfa.Frontier.load(tmp_path).records


def test_a_frontier_that_does_not_say_how_it_was_begun_is_not_gone_on_with(found, tmp_path):
    found.save(tmp_path)
    for damage, words in ((lambda file: None, "the file is missing"), (lambda file: file.write_text("["), "Expecting")):
        damage(tmp_path / "begun.json")
        with pytest.raises(dfa.StoreError, match=f"must say what the frontier there was begun with.*{words}"):
            search(fails_after(0), store=tmp_path, resume=True)
    search(images=IMAGES[:1], store=tmp_path, overwrite=True)
    search(images=IMAGES[:1], store=tmp_path, resume=True)


def test_what_died_before_its_first_round_does_not_stand_in_the_way(tmp_path):
    (tmp_path / "begun.json").write_text("{}")
    search(images=IMAGES[:1], max_epsilon=1, store=tmp_path)


def test_a_folder_is_at_the_hands_of_one_search(tmp_path):
    refused = []

    def begin_another(record):
        for more in ({"overwrite": True}, {"resume": True}, {}):
            with pytest.raises(dfa.StoreError, match="must belong to one process at a time") as caught:
                search(store=tmp_path, **more)
            refused.append(caught)

    found = search(store=tmp_path, progress=begin_another)
    assert len(refused) == 3 * len(IMAGES)
    assert dfa.Frontier.load(tmp_path).records == found.records


def test_no_frontier_is_saved_over_a_search_that_is_going_on(found, tmp_path):
    refused = []

    def save_another(record):
        with pytest.raises(dfa.StoreError, match="must belong to one process at a time") as caught:
            found.save(tmp_path)
        refused.append(caught)

    searched = search(store=tmp_path, progress=save_another)
    assert len(refused) == len(IMAGES)
    assert dfa.Frontier.load(tmp_path).records == searched.records
    found.save(tmp_path)
    assert dfa.Frontier.load(tmp_path).records == found.records


def test_a_search_that_fails_at_once_leaves_nothing(tmp_path):
    with pytest.raises(dfa.OracleError):
        search(fails_after(0), store=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def fails_after(number):
    left = number

    def classify(images):
        nonlocal left
        left -= len(images)
        if left < 0:
            raise RuntimeError("no more")
        return CLASSIFIER(images)

    return classify


def test_a_search_of_a_service_is_not_kept(tmp_path):
    oracle = dfa.HttpOracle("http://127.0.0.1:9/", parse=lambda reply: reply, num_classes=3, k=3, price=1, max_cost=5)
    with pytest.raises(dfa.InvalidInputError, match="cannot be kept in a folder"):
        search(oracle, store=tmp_path / "new")
