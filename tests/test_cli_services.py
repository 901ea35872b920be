"""Services on the command line: attacked, resumed, verified and replayed."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import dfa
import http_servers
from command_line import IMAGES, dfa_says, go_to_workplace
from oip_servers import Model, serving

PARSE = """
def parse(reply):
    return {each["name"]: each["confidence"] for each in reply["labels"]}

def parse_all(reply):
    return [parse({"labels": labels}) for labels in reply["answers"]]

def bare(image):
    import io, PIL.Image
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "PNG")
    return file.getvalue(), "image/png"
"""
FAST = ("--max-queries", 40, "--epsilon", 24)
SECRET = "s3cr3t-of-the-service"


def workplace(tmp_path, monkeypatch):
    """Change to a folder with images and what reads replies about them, and return it."""
    folder = go_to_workplace(tmp_path, monkeypatch)
    (folder / "mine.py").write_text(PARSE)
    (folder / "names.txt").write_text("\n".join(http_servers.NAMES))
    np.save("images.npy", IMAGES)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    return workplace(tmp_path, monkeypatch)


@pytest.fixture
def service():
    with http_servers.served() as service:
        yield service


def words(service, *more):
    named = ("--parse", "mine.py:parse", "--k", 5, "--class-names", "names.txt")
    return (service.url, "images.npy", *named, *FAST, *more)


def attacked(capsys, service, *more, out="run"):
    status, told, err = dfa_says(capsys, "attack", *words(service, "--out", out, "--json", *more))
    assert status == 0, err
    return json.loads(told)


def refused(capsys, *given):
    status, _, err = dfa_says(capsys, "attack", *given)
    assert status == 2, err
    return err


def change_command(run, **changed):
    document = json.loads((run / "run.json").read_text())
    document["command"].update(changed)
    (run / "run.json").write_text(json.dumps(document))


def command_of(run):
    return json.loads((run / "run.json").read_text())["command"]


def test_a_service_is_attacked_and_what_it_took_is_told(here, capsys, service):
    money = ("--price", "0.5", "--currency", "EUR", "--max-cost", "5000")
    document = attacked(capsys, service, *money, "--rate", "5000/s", "--rate", "999999/h", "--concurrency", 3)
    told, use = document["service"], document["service"]["use"]
    assert document["summary"]["TSR"] > 0
    assert use["requests"] == service.requests == told["asked"] - told["from_record"] - told["coalesced"]
    assert (use["cost_low"], use["cost_high"], told["currency"]) == (*2 * (0.5 * service.requests,), "EUR")
    config = dfa.Result.load("run").config["oracle"]
    assert (config["rate"], config["concurrency"], config["max_cost"]) == (["5000/s", "999999/h"], 3, "5000")
    command = command_of(here / "run")
    assert (command["rate"], command["price"]) == ("5000/s,999999/h", "0.5")
    before = service.requests
    status, out, _ = dfa_says(capsys, "attack", *words(service, "--out", "told", "--price", "0.0015"))
    assert (status, service.requests > before) == (0, True)
    sent = service.requests - before
    assert re.search(rf"asked about +{told['asked']} images *\n", out)
    assert re.search(rf"requests sent +{sent}, with {sent} images", out)
    assert re.search(rf"cost +{0.0015 * sent:.6f}".rstrip("0"), out)


def test_other_models_tell_of_no_service(here, capsys):
    status, out, _ = dfa_says(capsys, "attack", "model.py:classify", "images.npy", *FAST, "--out", "run", "--json")
    assert (status, json.loads(out)["service"]) == (0, None)
    status, out, _ = dfa_says(capsys, "attack", "model.py:classify", "images.npy", *FAST, "--out", "told")
    assert (status, "service" in out) == (0, False)


@pytest.mark.weekly_but(2)
@pytest.mark.parametrize(
    ("more", "kind", "of_one"),
    [
        ((), "application/json", b'{"image"'),
        (("--encode", "png"), "image/png", b"\x89PNG"),
        (("--encode", "mine.py:bare"), "image/png", b"\x89PNG"),
        (("--images-per-request", 4, "--parse", "mine.py:parse_all"), "application/json", b'{"images"'),
    ],
)
def test_images_are_posted_as_words_say(here, capsys, service, more, kind, of_one):
    expected = attacked(capsys, service, out="first")["summary"]["queries_sent"]
    service.bodies.clear()
    service.headers.clear()
    assert attacked(capsys, service, *more)["summary"]["queries_sent"] == expected
    assert {headers["Content-Type"] for headers in service.headers} == {kind}
    assert all(body.startswith(of_one) for body in service.bodies)


def test_all_scores_are_taken_where_that_is_said(here, capsys, service):
    service.k = 8
    (here / "all.py").write_text(
        f"NAMES = {http_servers.NAMES}\ndef parse(reply):\n"
        "    found = {each['name']: each['confidence'] for each in reply['labels']}\n"
        "    return [found[name] for name in NAMES]\n"
    )
    given = (service.url, "images.npy", "--parse", "all.py:parse", "--returns", "probabilities", "--num-classes", 8)
    assert dfa_says(capsys, "attack", *given, *FAST, "--out", "run")[0] == 0


def test_secrets_are_sent_and_lie_nowhere(here, capsys, service, monkeypatch):
    monkeypatch.setenv("VISION_TOKEN", SECRET)
    monkeypatch.setenv("VISION_KEY", f"key-{SECRET}")
    secret = ("--token-env", "VISION_TOKEN", "--header", "X-Api-Key=VISION_KEY", "--header", "X-Too=VISION_KEY")
    attacked(capsys, service, *secret)
    assert {each["Authorization"] for each in service.headers} == {f"Bearer {SECRET}"}
    assert (
        {each["X-Api-Key"] for each in service.headers}
        == {f"key-{SECRET}"}
        == {each["X-Too"] for each in service.headers}
    )
    for file in (here / "run").rglob("*"):
        assert file.is_dir() or SECRET.encode() not in file.read_bytes(), file
    assert command_of(here / "run")["header"] == "X-Api-Key=VISION_KEY,X-Too=VISION_KEY"
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 0


@pytest.mark.parametrize(
    "address",
    [
        f"https://me:{SECRET}@vision.example/v1",
        f"https://{SECRET}@vision.example/v1",
        f"https://vision.example/v1?key={SECRET}",
        f"https://vision.example/v1?a=1&subscription-key={SECRET}",
        f"https://vision.example/v1?code={SECRET}",
        "https://vision.example/v1?api_key=tiny-AbCdEf0",
        "https://vision.example/v1?sig=AbCdEf0",
        "https://vision.example/v1?x=AbCdEf0123456789AbCdEf01",
        "https://vision.example/v1?AbCdEf0123456789AbCdEf01",
        f"oip+https://me:{SECRET}@vision.example/resnet",
    ],
)
def test_addresses_with_secrets_are_refused_unseen(here, capsys, address):
    err = refused(capsys, address, "images.npy", "--parse", "mine.py:parse", "--out", "run")
    assert "--token-env NAME or --header" in err
    assert not re.search(f"{SECRET}|AbCdEf0", err)
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--header", f"X-Api-Key={SECRET}"), "--header X-Api-Key= must be followed by the NAME of an environment"),
        (("--header", "X-Api-Key=s3cr3t_of_the_service"), "--header X-Api-Key= must be followed by the NAME"),
        (("--header", f"Authorization: Bearer {SECRET}"), "--header must be NAME=VARIABLE"),
        (("--header", f"X-Key={SECRET},,"), "nothing stands before or behind a comma"),
        (("--token-env", SECRET), "--token-env must be followed by the NAME of an environment variable"),
        (("--token-env", "S3CR3T"), "--token-env must be followed by the NAME of an environment variable"),
    ],
)
def test_a_secret_in_place_of_its_name_is_refused_unseen(here, capsys, service, more, message):
    err = refused(capsys, *words(service, *more, "--out", "run"))
    assert (message in err, service.requests) == (True, 0), err
    assert not re.search("s3cr3t", err, re.IGNORECASE)
    assert not (here / "run").exists()


@pytest.mark.parametrize("word", ["ftp://host/x", "oip://host/m", "grpc://host:1/m", "oip+http://host:8000", "http:/x"])
def test_other_addresses_are_refused_with_those_that_there_are(here, capsys, word):
    err = refused(capsys, word, "images.npy")
    assert "https://HOST/PATH" in err
    assert "oip+http://HOST:PORT/NAME:VERSION" in err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("http://h/x", "images.npy"), "a service needs --parse MODULE:FUNCTION"),
        (("http://h/x", "images.npy", "--parse", "mine.py:gone"), "has no 'gone'"),
        (("http://h/x", "images.npy", "--parse", "mine.py:PARSE"), "has no 'PARSE'"),
        (("http://h/x", "images.npy", "--parse", "mine.py:parse"), "--num-classes must be an integer of 2 or more"),
        (
            ("http://h/x", "images.npy", "--parse", "mine.py:parse", "--num-classes", 9),
            "--returns top_k shows, must be",
        ),
        (("http://h/x", "images.npy", "--parse", "mine.py:parse", "--mean", "0", "--std", "1"), "not with --mean, --s"),
        (("http://h/x", "images.npy", "--parse", "mine.py:parse", "--shows", "label"), "leave it out"),
        (("http://h/x", "images.npy", "--parse", "mine.py:parse", "--workers", 2), "leave --workers out"),
        (("oip+http://h/m", "images.npy", "--parse", "mine.py:parse"), "--parse are of services at http"),
        (("model.py:classify", "images.npy", "--rate", "20/s", "--k", 3), "--rate is of a service, and model.py:class"),
        (("model.py:classify", "images.npy", "--price", 1, "--workers", 2), "--price is of a service"),
        (("model.py:classify", "images.npy", "--dry-run"), "dfa bench tells it of other models"),
        (("model.py:classify", "images.npy", "--pilot", 3), "add --dry-run"),
        (("model.py:classify", "images.npy", "--prior", "http://h/x"), "--prior must be a model with gradients"),
    ],
)
def test_words_that_do_not_go_together(here, capsys, given, message):
    assert message in refused(capsys, *given)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--rate", "20"), "--rate must be a number of requests per s, min, h or day"),
        (("--rate-file", "rates"), "pass --rate too"),
        (("--max-cost", "5"), "pass --price too"),
        (("--price", "cheap"), "--price must be an amount of money"),
        (("--timeout", "0"), "--timeout must be a finite number of seconds above 0"),
        (("--encode", "jpeg"), "'jpeg' must be module:attribute"),
        (("--encode", "png", "--images-per-request", 2), "pass 'png-base64' or a function"),
    ],
)
def test_numbers_and_ways_that_are_none(here, capsys, service, more, message):
    assert message in refused(capsys, *words(service, *more))


@pytest.mark.parametrize("command", ["bench", "audit"])
def test_commands_that_ask_no_service_say_which_do(here, capsys, command):
    np.save("vectors.npy", IMAGES / 255)
    more = ("vectors.npy",) if command == "audit" else ()
    status, _, err = dfa_says(capsys, command, "https://host/path", "images.npy", *more)
    assert (status, "give MODULE:oracle" in err) == (2, True), err


class TestTrust:
    @pytest.mark.parametrize("command", ["verify", "resume"])
    @pytest.mark.parametrize("name", ["parse", "encode"])
    def test_functions_that_only_the_folder_names_are_not_loaded(self, here, capsys, service, tmp_path, command, name):
        attacked(capsys, service)
        mark = tmp_path / "mark"
        (here / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n{PARSE}")
        change_command(here / "run", **{name: "evil.py:parse"})
        before = service.requests
        status, _, err = dfa_says(capsys, command, "run")
        assert (status, f"--{name} ..." in err, service.url in err) == (2, True, True), err
        assert (mark.exists(), service.requests) == (False, before)

    @pytest.mark.parametrize("command", ["verify", "resume"])
    def test_none_is_loaded_from_the_run_folder(self, here, capsys, service, command):
        attacked(capsys, service)
        shutil.copy(here / "mine.py", here / "run" / "mine.py")
        change_command(here / "run", parse="run/mine.py:parse")
        named = ("--model", service.url, "--parse", "mine:parse", "--k", 5, "--class-names", "names.txt")
        status, _, err = dfa_says(capsys, command, "run", "--trust")
        assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), err
        assert "--parse run/mine.py:parse" in err
        if command == "verify":
            (here / "package").symlink_to(here / "run")
            named = (*named[:3], "package.mine:parse", *named[4:])
            status, _, err = dfa_says(capsys, command, "run", *named)
            assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), err

    def test_where_secrets_would_go_is_shown_and_named_again(self, here, capsys, service, monkeypatch):
        monkeypatch.setenv("VISION_TOKEN", SECRET)
        attacked(capsys, service, "--token-env", "VISION_TOKEN", "--price", "0.25")
        before = service.requests
        for command in ("verify", "resume"):
            status, _, err = dfa_says(capsys, command, "run")
            lines = err.splitlines()
            assert status == 2
            assert {"  token env   VISION_TOKEN", "  price       0.25"} <= set(lines)
            assert f"  model       {service.url}  (a service, which is sent images)" in lines
        named = ("--model", service.url, "--parse", "mine.py:parse", "--images", "images.npy")
        status, _, err = dfa_says(capsys, "resume", "run", *named)
        assert (status, "these are missing: --token-env (it was VISION_TOKEN)" in err) == (2, True), err
        assert service.requests == before
        assert dfa_says(capsys, "resume", "run", *named, "--token-env", "VISION_TOKEN")[0] == 0

    def test_a_run_is_verified_as_it_was_asked(self, here, capsys, service):
        attacked(capsys, service, "--encode", "png")
        before = service.requests
        status, out, _ = dfa_says(capsys, "verify", "run", "--trust")
        assert status == 0
        assert service.requests > before
        assert f"the service: {service.requests - before} requests sent for this" in " ".join(out.split())
        assert b"PNG" in service.bodies[-1][:4]
        given = ("--model", service.url, "--parse", "mine.py:parse", "--k", 5, "--class-names", "names.txt")
        assert dfa_says(capsys, "verify", "run", *given)[0] == 0
        status, _, err = dfa_says(capsys, "verify", "run", "--parse", "mine.py:parse")
        assert (status, "--parse is of the model that --model names" in err) == (2, True), err
        status, _, err = dfa_says(capsys, "verify", "run", "--model", "model.py:classify", "--rate", "9/s")
        assert (status, "--rate is of a service" in err) == (2, True), err


def test_a_run_that_failed_goes_on(here, capsys, service):
    expected = attacked(capsys, service, out="whole")
    whole, service.requests = service.requests, 0
    service.fault = lambda number: http_servers.status(400) if number > 60 else None
    status, _, err = dfa_says(capsys, "attack", *words(service, "--out", "run", "--price", "2", "--concurrency", 1))
    assert (status, "refuses the request, status 400" in err) == (3, True), err
    assert "(61 requests sent, for 120.00 until then); then go on with: dfa resume run" in err
    service.fault = lambda number: None
    status, out, err = dfa_says(capsys, "resume", "run", "--trust", "--json")
    assert status == 0, err
    found = json.loads(out)
    # One was refused, and one looks whether the model is still the same.
    assert service.requests == whole + 2 == found["service"]["use"]["requests"]
    for name in ("TSR", "queries_sent"):
        assert found["summary"][name] == expected["summary"][name]


def test_a_run_that_may_cost_more_goes_on(here, capsys, service):
    money = ("--price", "0.5", "--max-cost", "20")
    status, _, err = dfa_says(capsys, "attack", *words(service, *money, "--out", "run"))
    assert (status, "resume it with a higher --max-cost (40 requests sent, for 20.00 until then)" in err) == (3, True)
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 3
    assert service.requests == 40
    more = ("--max-cost", "5000", "--concurrency", 2, "--rate", "9999/s", "--retries", 1, "--timeout", "9")
    status, out, err = dfa_says(capsys, "resume", "run", "--trust", "--json", *more)
    assert (status, "  max cost    5000" in err.splitlines(), "  rate        9999/s" in err.splitlines()) == (
        0,
        True,
        True,
    )
    use = json.loads(out)["service"]["use"]
    assert (use["requests"], use["cost_low"]) == (service.requests, 0.5 * service.requests)


def otherwise(service, after):
    """Let a service have another model after so many requests."""
    answer = service.answer

    def answered(body, kind):
        found = answer(body, kind)
        if service.requests > after:
            for each in found["labels"]:
                each["name"] = http_servers.NAMES[-1 - http_servers.NAMES.index(each["name"])]
        return found

    service.answer = answered


def test_a_service_that_changes_ends_the_run_or_is_told_of(here, capsys, service):
    otherwise(service, 100)
    watched = ("--watch-every", 20, "--concurrency", 1)
    status, _, err = dfa_says(capsys, "attack", *words(service, *watched, "--out", "run"))
    assert (
        status,
        "no longer answers as it did" in err,
        "to go on all the same: dfa resume run --on-drift mark" in err,
    ) == (3, True, True)
    service.requests = 0
    status, out, _ = dfa_says(capsys, "attack", *words(service, *watched, "--on-drift", "mark", "--out", "marked"))
    assert (status, "the service answered otherwise than before" in " ".join(out.split())) == (0, True), out
    service.requests = 0
    document = attacked(capsys, service, *watched, "--on-drift", "mark", out="again")
    assert document["service"]["drifts"][0]["sent"] >= 20
    service.requests = 0
    assert attacked(capsys, service, "--watch-every", 0, out="unwatched")["service"]["drifts"] == []
    assert command_of(here / "unwatched")["watch_every"] == 0


class TestReplay:
    def test_a_run_is_replayed_without_the_service(self, here, capsys):
        with http_servers.served() as service:
            attacked(capsys, service)
        # As for whoever is handed the folder, the images and the names.
        (here / "names.txt").rename(here / "classes.txt")
        given = ("--images", "images.npy", "--class-names", "classes.txt")
        status, out, err = dfa_says(capsys, "replay", "run", *given)
        assert (status, "the same, to the bit" in out) == (0, True), err
        (here / "classes.txt").rename(here / "names.txt")
        (here / "mine.py").write_text("raise RuntimeError('nothing of the model is loaded')")
        sent = int(dfa.Result.load("run").queries_sent.sum())
        status, out, err = dfa_says(capsys, "replay", "run", "--trust")
        assert (status, out) == (0, f"the same, to the bit: 10 images, {sent} queries, nothing was sent\n"), err
        status, out, err = dfa_says(capsys, "replay", "run", "--images", "images.npy", "--json")
        told = json.loads(out)
        assert (status, told["same"], told["queries_sent"], told["differences"]) == (0, True, sent, []), err

    @pytest.mark.parametrize("part", [(), ("--part", "2/3")])
    def test_folders_labels_targets_and_parts_are_those_of_the_run(self, here, capsys, service, part):
        named = ("--parse", "mine.py:parse", "--k", 8, "--class-names", "names.txt", "--target", "class:fern")
        service.k = 8
        given = (service.url, "photos", *named, *FAST, *part, "--out", "run")
        status, _, err = dfa_says(capsys, "attack", *given)
        assert status in (0, 5), err
        before = service.requests
        status, out, err = dfa_says(capsys, "replay", "run", "--trust")
        assert (status, "the same, to the bit" in out) == (0, True), (out, err)
        assert service.requests == before

    def test_what_differs_is_named(self, here, capsys, service):
        attacked(capsys, service)
        document = json.loads((here / "run" / "results.json").read_text())
        found = next(row for row in document["records"] if row["status"] == "success")
        found["queries"] += 1
        (here / "run" / "results.json").write_text(json.dumps(document))
        status, out, _ = dfa_says(capsys, "replay", "run", "--trust")
        assert (status, "another end than that of the run: 1 difference\n" in out) == (1, True), out
        queries = found["queries"]
        assert f"image {found['index']}: queries was {queries}, and is {queries - 1}" in out

    def test_an_image_that_is_another_one_is_named(self, here, capsys, service):
        attacked(capsys, service)
        file = min((here / "run" / "images").iterdir())
        with PIL.Image.open(file) as picture:
            changed = np.array(picture)
        changed[0, 0, 0] ^= 1
        PIL.Image.fromarray(changed).save(file)
        status, out, _ = dfa_says(capsys, "replay", "run", "--trust")
        assert (status, f"image {int(file.stem)}: the adversarial image is another one" in out) == (1, True), out

    def test_images_that_are_others_are_not_in_the_record(self, here, capsys, service):
        attacked(capsys, service)
        np.save("others.npy", 255 - IMAGES)
        status, _, err = dfa_says(capsys, "replay", "run", "--images", "others.npy")
        assert (status, "has no answer about" in err) == (3, True), err
        np.save("more.npy", np.concatenate([IMAGES, IMAGES[:1]]))
        status, out, _ = dfa_says(capsys, "replay", "run", "--images", "more.npy")
        assert (status, "the run has 10 images, and 11 were attacked now" in out) == (1, True), out

    def test_nothing_is_read_that_only_the_folder_names(self, here, capsys, service, tmp_path):
        attacked(capsys, service)
        status, _, err = dfa_says(capsys, "replay", "run")
        assert (status, "dfa replay" in err, "--images ..." in err, "--model" in err) == (2, True, True, False), err
        (here / "evil.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()")
        change_command(here / "run", space="evil.py:space")
        status, _, err = dfa_says(capsys, "replay", "run", "--images", "images.npy")
        assert (status, "these are missing: --space (it was evil.py:space)" in err) == (2, True), err
        assert not (tmp_path / "mark").exists()

    def test_runs_that_cannot_be_replayed(self, here, capsys, service):
        assert dfa_says(capsys, "attack", "model.py:classify", "images.npy", *FAST, "--out", "plain")[0] == 0
        status, _, err = dfa_says(capsys, "replay", "plain", "--trust")
        assert (status, "this one keeps none: only runs of services do" in err) == (4, True), err
        oracle = dfa.HttpOracle(service.url, parse=http_servers.parse, classes=http_servers.NAMES, k=5)
        dfa.run(oracle, IMAGES, epsilon=24, max_queries=20, store="python", progress=False)
        oracle.close()
        status, _, err = dfa_says(capsys, "replay", "python", "--trust")
        assert (status, "dfa.run(dfa.ReplayOracle(folder), images, ...)" in err) == (4, True), err
        service.fault = lambda number: http_servers.status(400) if number > service.requests - 1 > 60 else None
        service.requests = 0
        assert dfa_says(capsys, "attack", *words(service, "--out", "half"))[0] == 3
        status, _, err = dfa_says(capsys, "replay", "half", "--trust")
        assert (status, "has not ended" in err, "dfa resume" in err) == (4, True, True), err


class TestOip:
    @staticmethod
    def model():
        def predict(taken):
            scores = np.stack([http_servers.scores((255 * image).round().astype(np.uint8)) for image in taken])
            return {"scores": scores}

        return Model(predict, [("x", "FP64", [-1, *IMAGES.shape[1:]])], [("scores", "FP64", [-1, 8])], ["1", "2"])

    @pytest.mark.parametrize("end", ["/resnet", "/resnet:2", "/v2/models/resnet", "/v2/models/resnet/versions/2"])
    def test_a_model_on_a_server_is_attacked(self, here, capsys, end):
        with serving({"resnet": self.model()}) as server:
            word = f"oip+{server.url}{end}"
            given = ("--value-range", "0,1", "--images-per-request", 4, *FAST, "--out", "run")
            status, out, err = dfa_says(capsys, "attack", word, "images.npy", *given, "--json")
            assert status == 0, err
            told = json.loads(out)
            assert told["summary"]["TSR"] > 0
            posted = [path for method, path in server.asked if method == "POST"]
            versions = "/versions/2" if end.endswith("2") else ""
            assert set(posted) == {f"/v2/models/resnet{versions}/infer"}
            assert told["service"]["use"]["requests"] == len(posted)
            assert dfa_says(capsys, "verify", "run", "--trust")[0] == 0
            sent = len(server.asked)
            assert dfa_says(capsys, "replay", "run", "--trust")[0] == 0
            assert len(server.asked) == sent
