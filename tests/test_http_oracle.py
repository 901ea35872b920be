"""Services that take images over HTTP, as oracles: what is sent, what is read, and what nobody gets to see."""

from __future__ import annotations

import base64
import copy
import io
import json
import pickle
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import numpy as np
import PIL.Image
import pytest

import dfa
import http_servers
from dfa.errors import InvalidInputError, OracleError, PartialAnswer
from dfa.oracle.gate import Gate, Purpose
from dfa.oracle.png import encode_png
from dfa.oracle.services.credentials import masked
from dfa.oracle.services.names import ClassTable
from http_servers import NAMES, parse, parse_all, pixels, scores, served, status
from oracles import random_images

IMAGES = random_images(5)


@pytest.fixture(autouse=True)
def directly(monkeypatch):
    """Leave out what proxies the machine has, and long pauses."""
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("dfa.oracle.services.patience._LONGEST_PAUSE", 0.002)


def oracle_of(service, **arguments):
    given = {"parse": parse, "classes": NAMES, "k": 5} | arguments
    return dfa.HttpOracle(service.url if hasattr(service, "url") else service, **given)


def expected(images, k=5):
    dense = np.stack([scores(image) for image in images])
    ids = np.argsort(-dense, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(dense, ids, axis=1)


def assert_same(answer, images, k=5):
    for got, wanted in zip(answer, expected(images, k), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("shape", [(6, 6, 3), (1, 1, 1), (5, 7, 1), (9, 4, 4), (90, 80, 3), (200, 150, 1), (70, 70, 4)])
def test_a_png_is_read_as_the_image_that_it_was_made_of(shape):
    for image in (*random_images(2, shape), np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
        png = encode_png(image)
        np.testing.assert_array_equal(pixels(png), image)
        with PIL.Image.open(io.BytesIO(png)) as picture:
            picture.verify()
    assert len(encode_png(np.zeros((200, 200, 3), np.uint8))) < 10_000


def as_json(image):
    return {"image": base64.b64encode(encode_png(image)).decode()}


@pytest.mark.parametrize(
    ("encode", "kind"),
    [
        ("png-base64", "application/json"),
        ("png", "image/png"),
        (lambda image: (encode_png(image), "image/png"), "image/png"),
        (as_json, "application/json"),
    ],
)
def test_an_image_is_sent_in_the_way_that_is_asked_for(encode, kind):
    with served() as service:
        oracle = oracle_of(service, encode=encode)
        oracle.prepare(IMAGES.shape[1:], 1)
        assert_same(oracle.scores(IMAGES[:1]), IMAGES[:1])
        assert service.headers[0]["Content-Type"] == kind
        assert (oracle.rows_per_call, oracle.calls_at_once, oracle.keeps_record) == (1, 8, True)


def test_bytes_of_a_function_are_sent_as_they_are_and_it_may_not_change_the_image():
    seen = []

    def encode(image):
        seen.append((image.shape, image.dtype, image.flags.writeable))
        return image.tobytes()

    with served() as service:
        service.fault = lambda number: http_servers.says(b"3.5;1.5", "text/plain")
        oracle = dfa.HttpOracle(
            service.url,
            encode=encode,
            parse=lambda reply: [float(each) for each in reply.split(b";")],
            returns="logits",
        )
        assert oracle.scores(IMAGES[:1]) == [[3.5, 1.5]]
        assert service.bodies == [IMAGES[0].tobytes()]
        assert service.headers[0]["Content-Type"] == "application/octet-stream"
    assert seen == [((6, 6, 3), np.uint8, False)]


def test_several_images_go_in_one_request():
    with served() as service:
        oracle = oracle_of(service, parse=parse_all, images_per_request=2, concurrency=1)
        assert (oracle.rows_per_call, oracle.calls_at_once) == (2, 1)
        assert_same(oracle.scores(IMAGES), IMAGES)
        assert [len(json.loads(body)["images"]) for body in service.bodies] == [2, 2, 1]
        assert (oracle.books.use.requests, oracle.books.use.images) == (3, 5) == (service.requests, service.images)
        listed = oracle_of(
            service,
            parse=parse_all,
            images_per_request=2,
            encode=lambda images: {"images": [as_json(image)["image"] for image in images]},
        )
        assert_same(listed.scores(IMAGES[:3]), IMAGES[:3])


def test_what_was_answered_before_a_request_fails_is_not_lost():
    with served() as service:
        service.fault = lambda number: status(400) if number == 3 else None
        with pytest.raises(PartialAnswer) as caught:
            oracle_of(service, concurrency=1).scores(IMAGES)
        assert list(caught.value.rows) == [0, 1]
        assert_same(caught.value.answers, IMAGES[:2])
        assert service.requests == 3
        service.requests = 0
        with pytest.raises(PartialAnswer) as caught:
            oracle_of(service, concurrency=4).scores(IMAGES)
        rows = list(caught.value.rows)
        assert 1 < len(rows) < len(IMAGES)
        assert_same(caught.value.answers, IMAGES[rows])
        service.fault = lambda number: status(400)
        with pytest.raises(OracleError, match="status 400") as alone:
            oracle_of(service).scores(IMAGES)
        assert type(alone.value) is OracleError


REPLY = {"labels": [{"name": "crow", "confidence": 0.25}, {"name": "eel", "confidence": 0.5}]}


@pytest.mark.parametrize(
    ("returns", "read", "answer"),
    [
        ("top_k", {"eel": 0.25, "crow": 0.5}, ([[0, 2, -1]], [[0.5, 0.25, 0.0]])),
        ("top_k", [("fern", 0.25), ("eel", 0.25), (0, 0.5)], ([[0, 3, 2]], [[0.5, 0.25, 0.25]])),
        ("top_1", ("jay", np.float32(0.5)), ([7], [0.5])),
        ("label", "iris", [6]),
        ("label", np.int64(4), [4]),
        ("probabilities", [0.125] * 8, [[0.125] * 8]),
    ],
)
def test_what_was_read_is_the_answer(returns, read, answer):
    with served() as service:
        oracle = oracle_of(
            service, parse=lambda reply: read, returns=returns, k=3 if returns == "top_k" else None, tolerance=0.01
        )
        got = oracle.scores(IMAGES[:1])
    assert json.loads(json.dumps(got, default=np.ndarray.tolist)) == json.loads(json.dumps(answer))


@pytest.mark.parametrize(
    ("returns", "read", "told"),
    [
        ("top_k", [("crow", 0.25)] * 4, r"no more than k=3 labels, and gave 4"),
        ("top_k", {"emu": 0.25}, r"the label 'emu' is none of the 8 names of classes="),
        ("top_k", {"crow": "high"}, "a score must be a number, got 'high'"),
        ("top_k", {"crow": True}, "a score must be a number, got True"),
        ("top_k", ["crow", "eel"], r"a dict of scores by label, or a list of pairs"),
        ("top_k", None, "and gave None"),
        ("top_k", {-1: 0.5}, "its id from 0 on, got -1"),
        ("top_k", {None: 0.5}, "a label must be the name of a class"),
        ("top_1", "crow", r"a pair \(label, score\), and gave 'crow'"),
        ("label", 0.5, r"a label must be the name of a class, or its id from 0 on, got 0\.5"),
        ("label", ["crow"], "a label must be the name of a class"),
        ("probabilities", {"crow": 1.0}, "of scores by label pass returns='top_k'"),
        ("logits", 3.0, "one score per class"),
    ],
)
def test_what_cannot_be_an_answer_is_told_with_the_reply(returns, read, told):
    with served() as service:
        oracle = oracle_of(service, parse=lambda reply: read, returns=returns, k=3 if returns == "top_k" else None)
        with pytest.raises(
            OracleError, match=rf"the reply of {service.url} cannot be used, .*{told}.*; it begins '\{{"
        ):
            oracle.scores(IMAGES[:1])
        assert service.requests == oracle.books.use.billed_low == 1


def test_a_parse_that_fails_is_told_with_its_place_and_the_reply():
    with served() as service:
        with pytest.raises(OracleError, match=r"parse failed on it: KeyError: 'answers' \(.*http_servers.py") as caught:
            oracle_of(service, parse=parse_all).scores(IMAGES[:1])
        assert isinstance(caught.value.__cause__, KeyError)
        two = oracle_of(service, parse=lambda reply: [{}], images_per_request=2)
        with pytest.raises(OracleError, match=r"parse must return a list of 2, one per image of the request, and gave"):
            two.scores(IMAGES[:2])


@pytest.mark.parametrize("encode", [lambda image: image, lambda image: 1 / 0, lambda image: float("nan")])
def test_an_encode_that_fails_is_told(encode):
    oracle = oracle_of("http://127.0.0.1:9/", encode=encode)
    with pytest.raises(OracleError, match=r"encode must return bytes.*of shape \(1, 6, 6, 3\) it failed: \w+Error"):
        oracle.scores(IMAGES[:1])
    assert oracle.books.use.requests == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"parse": "labels"}, "parse must be a function of a reply, got str"),
        ({"encode": "jpeg"}, "encode must be 'png' or 'png-base64' or a function, got 'jpeg'"),
        ({"encode": "png", "images_per_request": 2}, "encode='png' posts one image, got images_per_request=2"),
        ({"images_per_request": 0}, "images_per_request must be"),
        ({"k": None}, "k, the number of classes"),
        ({"k": 9}, r"integer of 1\.\.8, got 9"),
        ({"classes": None}, "num_classes must be an integer of 2 or more"),
        ({"num_classes": 9}, "classes has 8 names, and num_classes=9"),
        ({"classes": "abc"}, "classes must be the names of all classes"),
        ({"classes": [1, 2]}, "classes must be the names of all classes"),
        ({"classes": ["a", "b", "a"]}, "distinct names, got 'a' more than once"),
        ({"returns": "best"}, "returns must be one of"),
        ({"rate": "fast"}, "rate must be a number of requests"),
        ({"max_cost": 1}, "needs the price"),
        ({"on_drift": "ignore"}, "on_drift must be"),
    ],
)
def test_an_argument_that_is_none_is_refused(arguments, told):
    with pytest.raises(InvalidInputError, match=told):
        oracle_of("http://vision.example/", **arguments)


def test_a_png_has_one_or_three_or_four_channels():
    with pytest.raises(InvalidInputError, match=r"a PNG holds images of 1, 3 or 4 channels, got .*\(4, 4, 2\)"):
        oracle_of("http://vision.example/").prepare((4, 4, 2), 1)
    oracle_of("http://vision.example/", encode=np.ndarray.tobytes).prepare((4, 4, 2), 1)


class Names:
    """Keeps a table as a run's folder would."""

    def __init__(self, *names):
        self.names = list(names)

    def load(self):
        return self.names

    def add(self, number, name):
        assert number == len(self.names)
        self.names = [*self.names, name]


def test_names_get_ids_as_they_come_and_keep_them():
    kept = Names()
    table = ClassTable(None, 3, kept)
    assert [table.id_of(name) for name in ("b", "a", "b", 5)] == [1 - 1, 1, 0, 5]
    assert (table.names, table.is_complete, kept.names) == (("b", "a"), False, ["b", "a"])
    again = ClassTable(None, 3)
    assert again.id_of("b") == 0
    again.keep_with(kept)
    assert (again.id_of("a"), again.id_of("c"), again.is_complete) == (1, 2, True)
    assert kept.names == ["b", "a", "c"]
    with pytest.raises(OracleError, match="the label 'd' is one name more than the num_classes=3 of before"):
        again.id_of("d")
    assert pickle.loads(pickle.dumps(again)).names == ("b", "a", "c")


def test_a_table_with_other_ids_is_refused():
    table = ClassTable(None, 3)
    table.id_of("a")
    with pytest.raises(InvalidInputError, match=r"other ids for the names.*an oracle that is new"):
        table.keep_with(Names("b", "a"))
    with pytest.raises(InvalidInputError, match="pass the classes= of before"):
        ClassTable(["a", "b"], None, Names("b", "a"))
    kept = Names("a")
    assert ClassTable(["a", "b"], None, kept).id_of("b") == 1
    assert kept.names == ["a", "b"]


def test_threads_that_bring_the_same_names_agree_on_their_ids():
    table = ClassTable(None, None)
    names = [f"class {number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda at: [table.id_of(name) for name in names[at:] + names[:at]], range(0, 200, 25)))
    by_name = {name: number for number, name in enumerate(table.names)}
    assert sorted(by_name.values()) == list(range(200))
    for at, found in zip(range(0, 200, 25), ids, strict=True):
        assert found == [by_name[name] for name in names[at:] + names[:at]]


def test_a_name_that_another_thread_brings_meanwhile_is_added_once():
    class Slow(Names):
        def add(self, number, name):
            time.sleep(0.005)
            super().add(number, name)

    class Stale(dict):
        def get(self, name):
            """Tell what was known before another thread came."""

    kept = Slow()
    table = ClassTable(None, None, kept)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(table.id_of, "abcdefgh" * 2))
    assert kept.names == list(table.names)
    assert sorted(kept.names) == list("abcdefgh")
    table._ids = Stale(table._ids)
    assert [table.id_of(name) for name in kept.names] == list(range(8))


def test_an_oracle_tells_its_classes_once_it_knows_them_all():
    class Totals:
        def load(self):
            return {"requests": 7}

        def save(self, totals):
            self.totals = totals

    with served() as service:
        oracle = oracle_of(service, classes=None, num_classes=len(NAMES))
        kept, totals = Names("jay"), Totals()
        oracle.keep_with(totals, kept)
        assert oracle.class_names is None
        for image in random_images(20):
            ids, _ = oracle.scores(image[np.newaxis])
            assert [oracle.known_names[number] for number in ids[0]] == [
                NAMES[number] for number in expected(image[np.newaxis])[0][0]
            ]
        assert oracle.known_names[0] == "jay"
        assert tuple(kept.names) == oracle.known_names == oracle.class_names
        assert sorted(kept.names) == sorted(NAMES)
        assert oracle.books.use.requests == totals.totals["requests"] == 27
    assert oracle_of("http://vision.example").class_names == tuple(NAMES)


def test_no_answer_is_lost_and_all_are_the_same_under_faults():
    images = random_images(120)

    def ask_all(fault):
        with served() as service:
            service.fault = fault
            oracle = oracle_of(service, concurrency=12)
            gate = Gate(oracle, num_images=len(images), max_queries=1)

            def ask(index):
                return gate.ask(images[index : index + 1], np.array([index]), Purpose.ATTACK)

            with ThreadPoolExecutor(12) as pool:
                answers = np.concatenate(list(pool.map(ask, range(len(images)))))
            oracle.close()
            use = oracle.books.use
            assert (use.requests, use.images, use.answered) == (service.requests, service.images, service.answered)
            assert gate.counts[Purpose.ATTACK] == len(images)
            return answers, use

    faultless, use = ask_all(lambda number: None)
    assert use.requests == 120
    faulty, use = ask_all(
        lambda number: status(503) if number % 17 == 0 else http_servers.reset if number % 23 == 0 else None
    )
    np.testing.assert_array_equal(faulty, faultless)
    assert use.requests == 120 + use.retries > 130
    assert use.rejected == use.requests // 17


USER, PASSWORD, KEY, TOKEN, HEADER, READ = (
    "annabel",
    "pa55-word",
    "q-key/71",
    "tok-3nvalue",
    "x-literal-9",
    "env-8eader",
)
SECRETS = (USER, PASSWORD, KEY, "q-key%2F71", TOKEN, HEADER, READ, "YW5uYWJlbDpwYTU1LXdvcmQ=")


def secretive(service, monkeypatch, **arguments):
    monkeypatch.setenv("DFA_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("DFA_TEST_HEADER", READ)
    given = {"parse": parse, "classes": NAMES, "k": 5, "retries": 1} | arguments
    headers = {"X-Literal": HEADER, "X-Read": dfa.FromEnvironment("DFA_TEST_HEADER")}
    plain = dfa.HttpOracle(service.url + "?key=q-key%2F71", token_env="DFA_TEST_TOKEN", headers=headers, **given)
    named = dfa.HttpOracle(service.url.replace("://", f"://{USER}:{PASSWORD}@"), headers=headers, **given)
    return plain, named


def assert_no_secret(text):
    assert [secret for secret in SECRETS if secret in text] == []


def everything(handler):
    """Say all that the service was told, as servers do that are being looked into."""
    pair = base64.b64decode(handler.headers["Authorization"].split()[1] + "===")
    said = f"{handler.path} {unquote(handler.path)} {json.dumps(list(handler.headers.items()))} {pair!r}"
    handler.reply(handler.server.status, json.dumps({"error": said}).encode())


@pytest.mark.parametrize("number", [200, 400, 401, 500, 429, 302])
def test_no_secret_is_in_an_error(monkeypatch, number):
    with served() as service:
        service.status = number
        service.fault = lambda each: everything
        for oracle in secretive(service, monkeypatch):
            with pytest.raises(OracleError) as caught:
                oracle.scores(IMAGES[:1])
            assert_no_secret("".join(traceback.format_exception(caught.value)))
            assert number == 302 or "***" in str(caught.value)
        assert all(secret in str(service.headers[0].items()) for secret in (TOKEN, HEADER, READ))
        assert service.paths[0] == "/classify?key=q-key%2F71"
        assert SECRETS[-1] in service.headers[-1]["Authorization"]

        def tells(reply):
            raise ValueError(f"no labels in {reply}")

        for oracle in secretive(service, monkeypatch, parse=tells):
            service.status = 200
            with pytest.raises(OracleError, match=r"parse failed on it: ValueError: no labels in .*\*\*\*") as caught:
                oracle.scores(IMAGES[:1])
            assert_no_secret("".join(traceback.format_exception(caught.value)))


def test_a_secret_that_holds_another_is_masked_whole_and_in_every_way_of_writing_it():
    assert (
        masked("a abcdef b ab%2Fc c abc\\nd e", ["abc", "abcdef", "ab/c", "abc\nd", "e", ""]) == "a *** b *** c *** e"
    )


def test_no_secret_is_in_the_words_on_a_broken_reply(monkeypatch):
    with served() as service:
        service.fault = lambda each: (
            lambda handler: (
                handler.wfile.write(handler.head(200, None, Transfer_Encoding=TOKEN)),
                handler.hang_up(),
            )
        )
        with pytest.raises(OracleError, match=r"the reply comes as '\*\*\*', which was not asked for") as caught:
            secretive(service, monkeypatch)[0].scores(IMAGES[:1])
        assert_no_secret("".join(traceback.format_exception(caught.value)))


def test_no_secret_is_in_what_describes_an_oracle_or_is_sent_to_another_process(monkeypatch):
    with served() as service, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for oracle in secretive(service, monkeypatch, rate="500/s", price=0.1, max_cost=1000, currency="EUR"):
            oracle.scores(IMAGES[:1])
            described = json.dumps(oracle.describe())
            assert_no_secret(described)
            assert_no_secret(repr(oracle) + str(oracle) + oracle.name + repr(oracle._transport) + repr(oracle.books))
            assert_no_secret(repr(vars(oracle)) + repr(oracle._transport._headers) + repr(oracle._transport.address))
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                assert_no_secret(pickle.dumps(oracle, protocol).decode("latin-1"))
            assert json.loads(described)["kind"] == "http"
            assert oracle.fingerprint() is None
            # In this process it is as good as before.
            assert_same(copy.copy(oracle).scores(IMAGES[:1]), IMAGES[:1])
        assert_no_secret(" ".join(str(each.message) for each in warned))
        assert json.loads(described)["url"] == service.url
        assert "?key=***" in json.dumps(secretive(service, monkeypatch)[0].describe())


def test_an_oracle_without_its_secrets_says_so_and_one_that_reads_them_goes_on(monkeypatch):
    with served() as service:
        plain, named = (pickle.loads(pickle.dumps(oracle)) for oracle in secretive(service, monkeypatch))
        for oracle in (plain, named):
            for use in (lambda: oracle.prepare((6, 6, 3), 1), lambda: oracle.scores(IMAGES[:1])):  # noqa: B023
                with pytest.raises(InvalidInputError, match="another process with the oracle") as caught:
                    use()
                assert_no_secret(str(caught.value))
        reads = oracle_of(service, headers={"X-Read": dfa.FromEnvironment("DFA_TEST_HEADER")})
        assert_same(pickle.loads(pickle.dumps(reads)).scores(IMAGES[:1]), IMAGES[:1])
        assert service.requests == 1
        assert service.headers[0]["X-Read"] == READ


def test_a_variable_is_told_by_its_name_alone():
    assert repr(dfa.FromEnvironment("VISION_KEY")) == "FromEnvironment(name='VISION_KEY')"
    with pytest.raises(InvalidInputError, match="not its value") as caught:
        dfa.FromEnvironment(f"key={KEY}")
    assert_no_secret(str(caught.value))
