"""Functions of one image, and the answers to some rows of a batch, wherever they come from."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.errors import OracleError, PartialAnswer
from dfa.oracle.gate import Gate, Purpose
from dfa.oracle.parts import Part
from dfa.oracle.raw import BFLOAT16
from dfa.runs.journal import make_journal
from dfa.runs.kept_answers import KeptAnswers, Sent, _seal
from oracles import brightness

IMAGES = np.arange(4 * 2 * 2, dtype=np.uint8).reshape(4, 2, 2, 1) * 9
INDICES = np.array([3, 5, 5, 8])


def gate_to(oracle):
    return Gate(dfa.as_oracle(oracle), num_images=9, max_queries=9)


def send(oracle, known=None):
    return gate_to(oracle).send(IMAGES, INDICES, Purpose.ATTACK, known)


def one(image):
    return brightness(image[np.newaxis])[0]


def fails_at(row, function=one):
    """A function of one image that fails at a row of `IMAGES`."""

    def ask(image):
        if (image == IMAGES[row]).all():
            raise ConnectionError("503")
        return function(image)

    return ask


def partly(rows, answers):
    def ask(images):
        raise PartialAnswer(rows, answers, OSError("503"))

    return ask


def test_a_function_of_one_image_answers_as_one_of_a_batch():
    seen = []

    def ask(image):
        seen.append((image.shape, image.flags.writeable))
        return one(image)

    np.testing.assert_array_equal(gate_to(dfa.OneByOne(ask)).ask(IMAGES, INDICES, Purpose.CLEAN), brightness(IMAGES))
    assert seen == [((2, 2, 1), False)] * 4
    floats = dfa.OneByOne(lambda image: [image.mean(), 1 - image.mean()], preprocess=lambda batch: batch / 255)
    scores = gate_to(floats).ask(IMAGES, INDICES, Purpose.CLEAN)
    np.testing.assert_allclose(scores[:, 0], brightness(IMAGES)[:, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("returns", "declared", "answer", "arrays"),
    [
        ("label", {}, 2, ([2, 2, 2, 2],)),
        ("top_1", {}, (2, 0.5), ([2] * 4, [0.5] * 4)),
        ("top_k", {"k": 2}, ([2, 0], [0.5, 0.25]), ([[2, 0]] * 4, [[0.5, 0.25]] * 4)),
    ],
)
def test_whatever_it_shows(returns, declared, answer, arrays):
    oracle = dfa.OneByOne(lambda image: answer, returns=returns, num_classes=3, **declared)
    for array, expected in zip(send(oracle), arrays, strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("row", range(4))
def test_what_came_before_the_first_failure_is_handed_on(row):
    asked = []
    ask = fails_at(row)
    with pytest.raises(PartialAnswer, match=f"'one' answered {row} of 4 images: ConnectionError: 503") as caught:
        send(dfa.OneByOne(lambda image: (asked.append(1), ask(image))[1], name="one"))
    assert len(asked) == row + 1
    assert caught.value.rows.tolist() == list(range(row))
    assert isinstance(caught.value.cause, ConnectionError)
    if row:
        np.testing.assert_array_equal(caught.value.answers[0], brightness(IMAGES)[:row])


def test_a_request_to_stop_is_no_failure():
    def stop(image):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(dfa.OneByOne(stop))


def test_a_function_that_asks_to_exit_is_a_failure():
    def leaves(image):
        raise SystemExit(3)

    with pytest.raises(PartialAnswer, match="answered 0 of 4 images: SystemExit: 3"):
        send(dfa.OneByOne(leaves))


def test_an_answer_about_some_rows_of_a_batch_that_was_changed_is_none():
    def ask(images):
        images.setflags(write=True)
        images[:] = 0
        raise PartialAnswer([0], brightness(images[:1]))

    with pytest.raises(OracleError, match="must leave the batch that it is given as it is") as caught:
        gate_to(ask).send(IMAGES.copy(), INDICES, Purpose.CLEAN)
    assert not isinstance(caught.value, PartialAnswer)


def test_rows_that_are_known_count_and_are_not_sent():
    sent = []

    def ask(images):
        sent.append(images.copy())
        return brightness(images)

    gate = gate_to(ask)
    known = Part(np.array([2, 0]), (np.array([[0.25, 0.75], [0.5, 0.5]]),))
    (answer,) = gate.send(IMAGES, INDICES, Purpose.ATTACK, known)
    np.testing.assert_array_equal(answer[[2, 0]], known.answer[0])
    np.testing.assert_array_equal(answer[[1, 3]], brightness(IMAGES[[1, 3]]))
    np.testing.assert_array_equal(sent, IMAGES[None, [1, 3]])
    assert gate.counts[Purpose.ATTACK] == 4
    everything = Part(np.arange(4), (brightness(IMAGES),))
    np.testing.assert_array_equal(gate.send(IMAGES, INDICES, Purpose.ATTACK, everything)[0], brightness(IMAGES))
    assert len(sent) == 1


def test_what_fails_again_knows_all_rows_that_were_ever_answered():
    known = Part(np.array([2]), (np.array([[0.25, 0.75]]),))
    with pytest.raises(PartialAnswer) as caught:
        send(partly([2, 0], brightness(IMAGES[[3, 0]])), known)
    assert caught.value.rows.tolist() == [2, 3, 0]
    np.testing.assert_array_equal(caught.value.answers[0], [[0.25, 0.75], *brightness(IMAGES[[3, 0]])])


@pytest.mark.parametrize("answer", [np.zeros((3, 3)), np.zeros((2, 2)), np.zeros(3)])
def test_answers_that_do_not_fit_those_of_before_are_refused(answer):
    known = Part(np.array([2]), (np.array([[0.25, 0.75]]),))
    with pytest.raises(OracleError, match=r"do not fit together|one answer per image; of 3 images it gave"):
        send(lambda images: answer, known)


@pytest.mark.parametrize("rows", [[0, 0], [4], [-1], [0.5], [[0]], 3, None, [True], ["0"]])
def test_rows_must_be_places_in_the_batch(rows):
    with pytest.raises(OracleError, match=r"^the rows of a PartialAnswer must be distinct integers of 0\.\.3.*, got"):
        send(partly(rows, brightness(IMAGES[:1])))


@pytest.mark.parametrize("answers", [brightness(IMAGES), 0.5, None])
def test_answers_must_be_those_of_the_rows(answers):
    with pytest.raises(OracleError, match=r"of its 2 rows alone, and have shapes|it gave None") as caught:
        send(partly([0, 1], answers))
    assert not isinstance(caught.value, PartialAnswer)


def test_an_oracle_that_shows_less_shows_less_of_a_part_too():
    for oracle, expected in ((dfa.label_only, [0, 0]), (dfa.top_1, [0, 0])):
        with pytest.raises(PartialAnswer) as caught:
            send(oracle(dfa.OneByOne(fails_at(2)), num_classes=2))
        assert caught.value.rows.tolist() == [0, 1]
        assert caught.value.answers[0].tolist() == expected
    with pytest.raises(PartialAnswer, match="answered 0 of 4"):
        send(dfa.label_only(dfa.OneByOne(fails_at(0)), num_classes=2))


def test_a_pipeline_hands_on_and_a_vote_does_not():
    with pytest.raises(PartialAnswer) as caught:
        send(dfa.Pipeline([dfa.pipelines.BitDepth(8)], dfa.OneByOne(fails_at(2))))
    assert caught.value.rows.tolist() == [0, 1]
    with pytest.raises(OracleError, match="answered 2 of 4 images: ConnectionError: 503") as caught:
        send(dfa.pipelines.Vote([dfa.OneByOne(fails_at(2)), brightness]))
    assert not isinstance(caught.value, PartialAnswer)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.uint8, BFLOAT16])
def test_answers_are_kept_to_the_bit_and_used_once(tmp_path, dtype):
    values = (
        np.arange(6, dtype=np.uint16).view(BFLOAT16) if dtype is BFLOAT16 else np.arange(6).astype(dtype) / dtype(7)
    )
    values = values.reshape(2, 3).astype(dtype)
    sent = [Sent("attack", 5, b"a"), Sent("attack", 5, b"a"), Sent("clean", 5, b"a")]
    journal = make_journal(tmp_path)
    with journal:
        KeptAnswers().put_down(journal, [(sent[0], (values[0], np.int64(3))), (sent[1], (values[1], np.int64(4)))])
    kept = KeptAnswers()
    kept.take_up(journal)
    part, _ = kept.take([sent[2], sent[1]])
    assert part.rows.tolist() == [1]
    assert part.answer[0].dtype == dtype
    np.testing.assert_array_equal(part.answer[0], values[:1])
    assert part.answer[1].tolist() == [3]
    part, _ = kept.take(sent)
    assert part.rows.tolist() == [0]
    assert part.answer[1].tolist() == [4]
    assert kept.take(sent) == (None, [])
    assert not kept
    with journal:
        kept.put_down(journal)
    assert journal.execute("SELECT COUNT(*) FROM answers").fetchone() == (0,)
    with journal:
        # Under a number that one of those had.
        kept.put_down(journal, [(sent[0], (values[0],))])
        kept.put_down(journal)
    assert journal.execute("SELECT COUNT(*) FROM answers").fetchone() == (1,)
    journal.close()


@pytest.mark.parametrize(
    ("form", "message"),
    [('[["O", [1]]]', "of numbers"), ('[["<f8", [9999999999999999999999]]]', "whole"), ('[["<f8", [-1]]]', "whole")],
)
def test_a_form_that_nobody_wrote_is_refused(tmp_path, form, message):
    journal = make_journal(tmp_path)
    row = ("attack", 5, b"a", form, b"12345678")
    with journal:
        names = "seal, purpose, place, digest, form, answer"
        journal.execute(f"INSERT INTO answers ({names}) VALUES (?, ?, ?, ?, ?, ?)", (_seal(row), *row))
    with pytest.raises(ValueError, match=f"an answer that was kept must be {message}"):
        KeptAnswers().take_up(journal)
    journal.close()


class WithoutParts(PartialAnswer):
    def __init__(self):
        pass


class Fails:
    """Fails in its own way, however it is looked at."""

    def __init__(self, error):
        self._error = error

    def __iter__(self):
        raise self._error

    def __array__(self, dtype=None, copy=None):
        raise self._error


class WithoutCause(PartialAnswer):
    @property
    def cause(self):
        raise OSError("no cause")

    @cause.setter
    def cause(self, value):
        pass


@pytest.mark.parametrize(
    "make",
    [
        WithoutParts,
        lambda: PartialAnswer(Fails(OSError("rows")), brightness(IMAGES[:1])),
        lambda: PartialAnswer(Fails(SystemExit(3)), brightness(IMAGES[:1])),
        lambda: PartialAnswer(Fails(PartialAnswer([0], None)), brightness(IMAGES[:1])),
        lambda: PartialAnswer(Fails(dfa.StoreError("mine")), brightness(IMAGES[:1])),
        lambda: PartialAnswer([0], Fails(SystemExit(9))),
        lambda: WithoutCause([0], brightness(IMAGES[:1])),
    ],
    ids=["no parts", "rows", "rows exit", "rows partial", "rows dfa", "answers exit", "cause"],
)
def test_a_partial_answer_that_cannot_be_read_is_a_failure_of_the_oracle(make):
    def ask(images):
        raise make()

    with pytest.raises(OracleError, match=r"make it as dfa.PartialAnswer\(rows, answers, cause\)") as caught:
        dfa.run(ask, IMAGES, epsilon=8, max_queries=40, progress=False)
    assert type(caught.value) is OracleError
    assert len(caught.value.result.records) == len(IMAGES)
