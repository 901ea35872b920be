"""Parts of a set of images, attacked in runs of their own, and joined to one result."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.data import ImageSet
from oracles import Until, raising
from outcomes import outcomes, timeless
from small_problem import CLASSES, CLASSIFIER, IMAGES, SHAPE

FAST = {"epsilon": 8, "max_queries": 150, "batch_size": 4, "progress": False}
ALONE = {**FAST, "optimizer": dfa.Racos(archive=False)}
PAGE = Path(__file__).parents[1] / "docs" / "guides" / "many-devices.md"

# Copies in three parts, one image that cannot be attacked, and one that the model gets wrong.
MIXED = [*IMAGES[:7], IMAGES[2], np.zeros((5, 5, 3), np.uint8), *IMAGES[9:13], IMAGES[2], *IMAGES[14:]]
LABELS = np.array([int(CLASSIFIER.classes(each[None])[0]) if each.shape == SHAPE else 0 for each in MIXED])
LABELS[11] += 1
LABELS %= 10

# To the last bit, whatever the batch.
EXACT = """
import numpy as np

def exact(images):
    weights = np.random.default_rng(1).integers(-9, 10, (images[0].size, 10)).astype(np.float64)
    scores = images.reshape(len(images), -1).astype(np.float64) @ weights
    scores -= scores.min(axis=1, keepdims=True) - 1
    return scores / scores.sum(axis=1, keepdims=True)
"""


def images():
    names = [f"file-{place}" for place in range(len(MIXED))]
    return ImageSet(MIXED, names=names, labels=LABELS, class_names=list("abcdefghij"))


def attack_parts(folder, whole, number, *, oracle=CLASSIFIER, **settings):
    """Attack all parts, and return their folders, the last one first."""
    folders = [folder / f"part-{each}" for each in range(1, number + 1)]
    for place, out in enumerate(folders, start=1):
        dfa.run(oracle, whole.part(place, of=number), store=out, **{**ALONE, **settings})
    return folders[::-1]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three parts of the images, which no test changes."""
    return attack_parts(tmp_path_factory.mktemp("three"), ImageSet(IMAGES), 3)


def content(folder):
    """Return what results.json says but for times, and what differs between calls."""
    document = json.loads((folder / "results.json").read_text())
    for record in document["records"]:
        record["seconds"] = 0
    return document["config"], document["records"], document["saved"]


@pytest.mark.weekly_but(2)
@pytest.mark.filterwarnings("ignore::dfa.errors.MostSkippedWarning")
@pytest.mark.parametrize("number", [1, 3, 5, len(MIXED)])  # in the last one a part is all that cannot be attacked
def test_parts_of_independent_images_are_one_run_over_all(tmp_path, number):
    whole = dfa.run(CLASSIFIER, images(), store=tmp_path / "whole", **ALONE)
    folders = attack_parts(tmp_path, images(), number)
    merged = dfa.merge(tmp_path / "merged", folders)
    assert timeless(merged.records) == timeless(whole.records)
    assert outcomes(merged) == outcomes(whole)
    copies = [record.id for record in merged.records if record.source in ("file-2", "file-7", "file-13")]
    assert len(set(copies)) == 3
    statuses = set(merged.status)
    assert {dfa.Status.SUCCESS, dfa.Status.SKIPPED, dfa.Status.ERROR} <= statuses
    config, *rest = content(tmp_path / "merged")
    expected, *expected_rest = content(tmp_path / "whole")
    assert rest == expected_rest
    assert config == {**expected, "merged": {"parts": number}}
    for index in whole.images.held():
        for place in ("images", "originals"):
            file = f"{place}/{index:06}.png"
            assert (tmp_path / "merged" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert (tmp_path / "merged" / "records.csv").exists()
    assert dfa.verify(tmp_path / "merged", CLASSIFIER, originals=MIXED).holds


def test_what_each_image_has_of_its_own_is_joined(tmp_path):
    """Epsilons, targets, and the ids that a user gives."""
    numbers = np.arange(len(IMAGES))
    own = {"epsilon": 5 + numbers % 7, "targets": (CLASSES + 1) % 10, "ids": 3 * numbers, "max_queries": 600}
    whole = dfa.run(CLASSIFIER, IMAGES, store=tmp_path / "whole", **{**ALONE, **own})
    folders = []
    for each in (1, 2, 3):
        part = ImageSet(IMAGES).part(each, of=3)
        settings = {
            name: value[part.which.places] if isinstance(value, np.ndarray) else value for name, value in own.items()
        }
        folders.append(tmp_path / str(each))
        dfa.run(CLASSIFIER, part, store=folders[-1], **{**ALONE, **settings})
    merged = dfa.merge(tmp_path / "merged", folders)
    assert whole.success.any()
    assert timeless(merged.records) == timeless(whole.records)
    assert content(tmp_path / "merged")[0] == {**content(tmp_path / "whole")[0], "merged": {"parts": 3}}
    kept = [np.load(tmp_path / name / "epsilon.npy") for name in ("merged", "whole")]
    np.testing.assert_array_equal(*kept)
    assert dfa.verify(tmp_path / "merged", CLASSIFIER, originals=IMAGES).holds


def test_an_epsilon_of_every_coordinate_goes_along(tmp_path):
    shape = (160, 160, 3)  # more than run.json keeps
    epsilon = np.full(shape, 9)
    epsilon[:3] = 0
    some = np.random.default_rng(0).integers(118, 138, (2, *shape), dtype=np.uint8)

    def bright(asked):
        light = asked.mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - light, light], axis=1)

    folders = attack_parts(tmp_path, ImageSet(some), 2, oracle=bright, epsilon=epsilon, max_queries=60)
    dfa.merge(tmp_path / "merged", folders)
    np.testing.assert_array_equal(np.load(tmp_path / "merged" / "epsilon.npy"), epsilon)
    (tmp_path / "merged" / "epsilon.npy").unlink()
    assert "sha256" in dfa.Result.load(tmp_path / "merged").config["epsilon"]


def test_a_part_learns_from_its_own_images_alone():
    whole = dfa.run(CLASSIFIER, IMAGES, **FAST)
    part = dfa.run(CLASSIFIER, ImageSet(IMAGES).part(2, of=3), **FAST)
    alone = dfa.run(CLASSIFIER, IMAGES[8:16], **FAST)
    assert outcomes(part) == outcomes(alone)
    assert outcomes(part) != outcomes(replace_index(whole, 8, 16))


def replace_index(result, start, stop):
    """Return a slice of a result, its records numbered from 0."""
    records = [replace(record, index=record.index - start) for record in result.records[start:stop]]
    found = type("", (), {})()
    found.records, found.images = records, result.images[start:stop]
    return found


def test_parts_are_neighbours_and_all_of_them():
    for total, of in [(24, 5), (5, 5), (7, 2), (1, 1), (1_000_000, 16)]:
        places = [dfa.data.as_images(np.zeros((total, 1, 1, 1), np.uint8)).part(each + 1, of=of) for each in range(of)]
        assert [part.which.places.start for part in places] == [0, *(part.which.places.stop for part in places[:-1])]
        assert places[-1].which.places.stop == total
        sizes = {len(part) for part in places}
        assert max(sizes) - min(sizes) <= 1


def test_a_part_has_its_own_labels_and_names_and_no_other():
    part = images().part(2, of=3)
    assert part.names == [f"file-{place}" for place in range(8, 16)]
    np.testing.assert_array_equal(part.labels, LABELS[8:16])
    assert part.class_names == list("abcdefghij")
    assert len(part.before) == 8
    bare = part.without_labels()
    assert (bare.labels, bare.which, len(bare.before)) == (None, part.which, 8)


@pytest.mark.parametrize(
    ("number", "of", "words"),
    [
        (0, 3, "number must be an integer of at least 1, got 0"),
        (4, 3, "part must be 1/3 to 3/3, got 4/3"),
        (1, 0, "of must be an integer of at least 1, got 0"),
        (1, 25, "each part must have an image, and the images are 24, got part 1/25; make fewer parts"),
    ],
)
def test_no_other_parts_are_made(number, of, words):
    with pytest.raises(dfa.InvalidInputError, match=f"^{re.escape(words)}$"):
        ImageSet(IMAGES).part(number, of=of)


def test_what_is_no_whole_sequence_is_not_parted():
    with pytest.raises(dfa.InvalidInputError, match=r"whole sequence to be parted, and are part 1/2 already"):
        ImageSet(IMAGES).part(1, of=2).part(1, of=2)
    with pytest.raises(dfa.InvalidInputError, match=r"whole sequence to be parted, and are of no length"):
        ImageSet(iter(IMAGES)).part(1, of=2)


def test_queries_are_summed_and_the_longest_wall_counts(tmp_path, three):
    parts = [dfa.Result.load(folder).profile for folder in three]
    merged = dfa.merge(tmp_path / "merged", three).profile
    for name in ("rows_sent", "rows_capacity", "batches", "clean", "verification", "files", "oracle"):
        assert getattr(merged, name) == pytest.approx(sum(getattr(each, name) for each in parts)), name
    assert merged.wall == max(each.wall for each in parts)
    assert sum(merged.calls_over_time.calls) == merged.batches
    assert sum(merged.calls_over_time.rows) == merged.rows_sent


def test_no_folder_of_a_part_is_changed(tmp_path, three):
    before = {path: path.read_bytes() for folder in three for path in folder.rglob("*") if path.is_file()}
    dfa.merge(tmp_path / "merged", three)
    assert {path: path.read_bytes() for folder in three for path in folder.rglob("*") if path.is_file()} == before


def test_a_file_that_answers_refuted_stays_so(tmp_path):
    """Of a model whose answers change, what was seen when a part ended is what the result says."""
    calls = {"moods": 0}

    def moody(asked):
        calls["moods"] += 1
        return CLASSIFIER(asked)

    folders = attack_parts(tmp_path, ImageSet(IMAGES), 2, oracle=moody)
    row = {}

    def refute(document):
        row.update(next(row for row in document["records"] if row["file"]))
        document["records"][row["index"]].update(png_verified=False, png_problem="still of class 3", png_agreeing=0)

    changed(folders[0], refute)
    asked = calls["moods"]
    merged = dfa.merge(tmp_path / "merged", folders)
    assert calls["moods"] == asked
    assert merged.refuted == {12 + row["index"]: "still of class 3"}
    assert {index: answers.number for index, answers in merged.fresh.items()} == dict.fromkeys(merged.images.held(), 1)


def changed(folder, change):
    """Change what results.json of a folder says."""
    document = json.loads((folder / "results.json").read_text())
    change(document)
    (folder / "results.json").write_text(json.dumps(document))


def test_what_workers_did_and_when_is_told_of_all_parts(tmp_path):
    folders = attack_parts(tmp_path, ImageSet(IMAGES), 2)[::-1]
    share = {"name": "worker 0", "rows": 5, "calls": 2, "busy": 1.0, "idle": 0.5, "lost": 1}
    over_time = {"seconds": 1 / 64, "calls": [0, 3], "rows": [0, 9]}
    later = {"seconds": 2.0, "calls": [0, 5], "rows": [0, 7]}
    for folder, when in zip(folders, (over_time, later), strict=True):
        changed(folder, lambda document, when=when: document["profile"].update(workers=[share], calls_over_time=when))
    profile = dfa.merge(tmp_path / "merged", folders).profile
    assert [each.name for each in profile.workers] == ["part 1/2, worker 0", "part 2/2, worker 0"]
    assert [each.rows for each in profile.workers] == [5, 5]
    assert profile.calls_over_time.save() == {"seconds": 2.0, "calls": [3, 5], "rows": [9, 7]}


def test_a_part_whose_files_were_not_asked_about_has_not_ended(tmp_path):
    """Every image of it has its record, and the oracle failed behind that."""
    folders = attack_parts(tmp_path, ImageSet(IMAGES), 2)
    (tmp_path / "part-2").rename(tmp_path / "other")
    number = dfa.Result.load(tmp_path / "other").profile.batches
    for calls in range(number, number + 60):
        oracle = Until(calls, CLASSIFIER, raising(OSError("off")))
        try:
            dfa.run(oracle, ImageSet(IMAGES).part(2, of=2), store=tmp_path / "part-2", overwrite=True, **ALONE)
        except dfa.OracleError as error:
            if dfa.Status.UNFINISHED not in error.result.status:
                break
    else:
        pytest.fail("no call was about the files")
    with pytest.raises(dfa.StoreError, match=r"all parts must have ended, and \S*part-2 has not"):
        dfa.merge(tmp_path / "merged", folders)


@pytest.mark.parametrize("part", [{"number": 1, "of": 1, "total": 23}, {"number": 3, "of": 2, "total": 24}, "1/1"])
def test_a_folder_that_tells_of_another_part_than_it_has_is_refused(tmp_path, part):
    (folder,) = attack_parts(tmp_path, ImageSet(IMAGES), 1)
    changed(folder, lambda document: document["config"].update(part=part))
    with pytest.raises(dfa.StoreError, match=r"must be as it was saved"):
        dfa.merge(tmp_path / "merged", [folder])


def test_more_parts_than_memory_holds_are_told_of_as_missing(tmp_path):
    (folder,) = attack_parts(tmp_path, ImageSet(IMAGES), 1)
    part = {"number": 1, "of": 10**15, "total": len(IMAGES) * 10**15}
    changed(folder, lambda document: document["config"].update(part=part))
    with pytest.raises(
        dfa.StoreError, match=r"all 1000000000000000 parts must be there, and 2, 3, .* more of them are"
    ):
        dfa.merge(tmp_path / "merged", [folder])


REFUSED = {
    "a gap": (lambda part: [part(1), part(3)], r"all 3 parts must be there, and 2 of them is not"),
    "twice": (
        lambda part: [part(1), part(2), part(2, "again"), part(3)],
        r"each part must be there once, and .*2 and .*again are both part 2/3; leave one of them out",
    ),
    "another seed": (lambda part: [part(1), part(2, seed=1), part(3)], r"2 differs from .*1: config\.seed was 0"),
    "another epsilon": (lambda part: [part(1), part(2), part(3, epsilon=9)], r"config\.epsilon was 8, and is 9"),
    "another optimizer": (
        lambda part: [part(1), part(2, optimizer=dfa.Racos()), part(3)],
        r"config\.optimizer\.archive was false, and is true",
    ),
    "another set": (
        lambda part: [part(1), part(2, whole=IMAGES[:23]), part(3)],
        r"config\.part\.total was 24, and is 23",
    ),
    "other parts": (lambda part: [part(1), part(2, of=4), part(3)], r"config\.part\.of was 3, and is 4"),
    "another oracle": (
        lambda part: [part(1), part(2, oracle=dfa.as_oracle(CLASSIFIER.activations, returns="logits")), part(3)],
        r"config\.oracle\.\w+ was .*probabilities.*, and is .*logits",
    ),
    "not ended": (
        lambda part: [part(1), part(2, oracle=Until(9, CLASSIFIER, raising(OSError("off")))), part(3)],
        r"all parts must have ended, and \S*2 has not; resume them \(resume=True\)",
    ),
    "a whole run": (
        lambda part: [part(1), part(1, "whole", of=None), part(3)],
        r"whole must hold the run of a part, and holds one of a whole set of images; begin it with dfa attack --part",
    ),
}


@pytest.mark.weekly_but(5)
@pytest.mark.parametrize("name", REFUSED)
def test_what_are_not_all_parts_of_one_run_is_refused(tmp_path, name):
    def part(number, word=None, *, of=3, whole=IMAGES, oracle=CLASSIFIER, **settings):
        folder = tmp_path / (word or str(number))
        some = whole if of is None else ImageSet(whole).part(number, of=of)
        try:
            dfa.run(oracle, some, store=folder, **{**ALONE, **settings})
        except dfa.OracleError:
            assert isinstance(oracle, Until)
        return folder

    folders, words = REFUSED[name]
    with pytest.raises(dfa.StoreError, match=words):
        dfa.merge(tmp_path / "merged", folders(part))
    assert not (tmp_path / "merged").exists()


def test_a_part_of_another_version_is_refused_by_name(tmp_path):
    folders = attack_parts(tmp_path, ImageSet(IMAGES), 2)
    changed(folders[0], lambda document: document["config"]["versions"].update(dfa="0.1.0"))
    with pytest.raises(dfa.StoreError, match=r"config\.versions\.dfa was .*, and is \"0\.1\.0\""):
        dfa.merge(tmp_path / "merged", folders)


def test_an_image_that_is_not_what_it_was_is_refused(tmp_path):
    folders = attack_parts(tmp_path, ImageSet(IMAGES), 2)
    file = min((folders[1] / "originals").iterdir())
    PIL.Image.fromarray(IMAGES[20]).save(file)
    with pytest.raises(dfa.StoreError, match=r"part-1 has ended, and image \d+ cannot be read back"):
        dfa.merge(tmp_path / "merged", folders)
    assert not (tmp_path / "merged").exists()


def test_the_result_needs_a_folder_of_its_own(tmp_path, three):
    with pytest.raises(dfa.InvalidInputError, match=r"a folder of its own, and .* is a part; choose another"):
        dfa.merge(three[0], three, overwrite=True)
    for nothing in ([], str(three[0])):
        with pytest.raises(dfa.InvalidInputError, match=r"parts must be a list of run folders"):
            dfa.merge(tmp_path / "merged", nothing)
    dfa.merge(tmp_path / "merged", three)
    with pytest.raises(dfa.StoreError, match=r"overwrite=True"):
        dfa.merge(tmp_path / "merged", three)
    dfa.merge(tmp_path / "merged", three, overwrite=True)


def test_parts_that_were_saved_and_not_kept_are_merged_too(tmp_path):
    folders = []
    for each in (1, 2):
        folders.append(tmp_path / str(each))
        dfa.run(CLASSIFIER, ImageSet(IMAGES).part(each, of=2), **ALONE).save(folders[-1])
    merged = dfa.merge(tmp_path / "merged", folders)
    assert timeless(merged.records) == timeless(dfa.run(CLASSIFIER, IMAGES, **ALONE).records)


def test_a_part_is_resumed_as_that_part_alone(tmp_path):
    oracle = Until(12, CLASSIFIER, raising(OSError("off")))
    storage = dfa.Storage(tmp_path / "part", interval=40, resume=True)
    whole = ImageSet(MIXED)
    with pytest.raises(dfa.OracleError):
        dfa.run(oracle, whole.part(3, of=4), store=storage, **ALONE)
    with pytest.raises(dfa.StoreError, match=r"config\.part\.number was 3, and is 2"):
        dfa.run(CLASSIFIER, whole.part(2, of=4), store=storage, **ALONE)
    resumed = dfa.run(CLASSIFIER, whole.part(3, of=4), store=storage, **ALONE)
    assert outcomes(resumed) == outcomes(dfa.run(CLASSIFIER, whole.part(3, of=4), **ALONE))


def test_the_commands_of_the_page_merge_three_parts_to_one_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("click")
    from command_line import dfa_says, go_to_workplace

    go_to_workplace(tmp_path, monkeypatch)
    (tmp_path / "exact.py").write_text(EXACT)
    section = PAGE.read_text("utf-8").partition("\n## SLURM\n")[2].partition("\n## ")[0]
    script = next(block for block in re.findall(r"^```[^\n]*\n(.*?)^```$", section, re.S | re.M) if "--array" in block)
    assert "#SBATCH --array=1-16" in script
    (line,) = re.findall(r"\bdfa attack .*", script.replace("\\\n", " "))
    (merging,) = re.findall(r"^\$ dfa (merge .*)$", section, re.M)
    fast = ["--max-queries", "60", "--batch-size", "32"]
    for task in (3, 1, 2):
        # sixteen parts would want as many photographs
        told = line.replace('"$OUT"', f"runs/parts/{task}").replace("$SLURM_ARRAY_TASK_ID/16", f"{task}/3")
        words = [{"model.pt": "exact.py:exact"}.get(word, word) for word in shlex.split(told)[1:]]
        status, _, err = dfa_says(capsys, *words, *fast)
        assert status == 0, err
        assert f"part {task}/3: images " in err
    words = shlex.split(merging, comments=True)
    assert words[-1] == "runs/parts/*"
    status, out, err = dfa_says(capsys, *words[:-1], *sorted(Path("runs/parts").iterdir()))
    assert status == 0, err
    assert f"dfa report {words[1]}" in out
    merged = dfa.Result.load(words[1])
    whole = [word for word in shlex.split(line)[1:] if not word.startswith("$")]
    place = whole.index("--part")
    whole = [{"model.pt": "exact.py:exact"}.get(word, word) for word in whole[:place]]
    assert dfa_says(capsys, *whole, *fast, "--out", "runs/whole")[0] == 0
    assert timeless(merged.records) == timeless(dfa.Result.load("runs/whole").records)
    assert dfa_says(capsys, "report", words[1])[0] == 0
    assert dfa_says(capsys, "verify", words[1], "--model", "exact.py:exact")[0] == 0


def test_a_command_attacks_its_part_with_labels_and_targets_of_the_whole(tmp_path, monkeypatch, capsys):
    pytest.importorskip("click")
    import command_line
    from command_line import dfa_says

    folder = command_line.go_to_workplace(tmp_path, monkeypatch)
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    for index in (1, 8):
        PIL.Image.fromarray(command_line.IMAGES[index]).save(folder / "photos" / f"p{index}.jpg", exif=turned)
    (folder / "photos" / "p9.jpg").write_text("no image")
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"p{each}.jpg,{each % 3}\n" for each in range(10)))
    (folder / "targets.csv").write_text(
        "file,target\n" + "".join(f"p{each}.jpg,{3 + each % 5}\n" for each in range(10))
    )
    words = ("--labels", "labels.csv", "--target", "targets.csv", "--part", "3/3", "--out", "out")
    status, document, _ = command_line.attack(capsys, *words)
    result = dfa.Result.load("out")
    assert [record.source for record in result.records] == ["p6.jpg", "p7.jpg", "p8.jpg", "p9.jpg"]
    assert [record.label for record in result.records] == [0, 1, 2, 0]
    assert [record.target for record in result.records] == [4, 5, 6, None]
    assert document["exif_orientation_not_applied"] == 1
    assert "part 3/3: images 7 to 10 of 10" in document["notes"]
    assert [error["file"] for error in document["errors"]] == ["p9.jpg"]
    assert dfa_says(capsys, "resume", "out", "--trust", "--json")[0] == status
    report = dfa_says(capsys, "report", "out")
    assert report[0] == 0
    assert "--part 3/3" in (folder / "out" / "report.html").read_text()


def test_an_array_with_channels_first_is_parted_too(tmp_path, monkeypatch, capsys):
    pytest.importorskip("click")
    from command_line import dfa_says, go_to_workplace

    go_to_workplace(tmp_path, monkeypatch)
    np.save("images.npy", IMAGES.transpose(0, 3, 1, 2))
    words = ["attack", "model.py:classify", "images.npy", "--image-layout", "NCHW", "--max-queries", "30"]
    status, _, err = dfa_says(capsys, *words, "--part", "2/12", "--out", "out")
    assert status == 0, err
    result = dfa.Result.load("out")
    assert (len(result.records), result.config["shape"]) == (2, list(SHAPE))


@pytest.mark.parametrize("word", ["3", "0/3", "4/3", "a/b", "1/99"])
def test_a_word_that_is_no_part_is_refused(tmp_path, monkeypatch, capsys, word):
    pytest.importorskip("click")
    from command_line import dfa_says, go_to_workplace

    go_to_workplace(tmp_path, monkeypatch)
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "photos", "--part", word, "--out", "out")
    assert status == 2
    assert "part must" in err or "--part must" in err
    assert not Path("out").exists()


def test_merging_tells_what_it_refuses(tmp_path, monkeypatch, capsys, three):
    pytest.importorskip("click")
    from command_line import dfa_says

    monkeypatch.chdir(tmp_path)
    status, out, _ = dfa_says(capsys, "merge", "all", *three, "--json")
    document = json.loads(out)
    assert (status, document["parts"], document["summary"]["total"]) == (0, 3, len(IMAGES))
    status, _, err = dfa_says(capsys, "merge", "all", *three)
    assert status == 4
    assert "--overwrite" in err
    assert dfa_says(capsys, "merge", "all", *three, "--overwrite")[0] == 0
    assert dfa_says(capsys, "merge", "other", *three[:2])[0] == 4
