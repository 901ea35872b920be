"""Oracles that show less: what they declare, what the gate holds them to, and runs on every level of information."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dfa
from dfa.errors import InvalidInputError, OracleError
from dfa.oracle import CallableOracle, Oracle, ScoreKind
from dfa.oracle.gate import Gate, Purpose
from dfa.search.objectives import LOG, ODDS, PAPER, Objective, predicted
from oracles import LinearClassifier, Recorder, Until, brightness, never, raising, random_images

SHAPE = (6, 6, 3)
IMAGES = random_images(24, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
ALONE = dataclasses.replace(dfa.Racos(), archive=False)


def label(images):
    return CLASSIFIER.classes(images)


def attack(oracle, images=IMAGES, **settings):
    defaults = {"epsilon": 8, "max_queries": 151, "batch_size": 16, "progress": False}
    return dfa.run(oracle, images, **{**defaults, **settings})


def of_labels(function=label):
    return dfa.as_oracle(function, returns="label", num_classes=10)


def timeless(records):
    return [dataclasses.replace(record, seconds=0.0) for record in records]


# ---------------------------------------------------------------------------------------------------- declarations


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"returns": "label"}, "num_classes must be an integer of 2 or more, since an answer of returns='label'"),
        ({"returns": "top_1"}, "num_classes must be .*returns='top_1' does not tell it, got None"),
        ({"returns": "label", "num_classes": 1}, "num_classes must be .*got 1"),
        ({"returns": "label", "num_classes": True}, "num_classes must be .*got True"),
        ({"returns": "probabilities", "num_classes": 2.0}, "num_classes must be an integer of 2 or more, got 2.0"),
        (
            {"returns": "top_k", "num_classes": 10},
            r"k, the number of classes .* must be an integer of 1\.\.10, got None",
        ),
        ({"returns": "top_k", "num_classes": 10, "k": 11}, r"of 1\.\.10, got 11"),
        ({"returns": "top_k", "num_classes": 10, "k": 0}, r"of 1\.\.10, got 0"),
        ({"returns": "top_1", "num_classes": 10, "k": 2}, r"of 1\.\.1, got 2"),
        ({"returns": "logits", "k": 2}, "goes with returns='top_k', got 2 with returns='logits'"),
        ({"returns": "label", "num_classes": 10, "k": 1}, "goes with returns='top_k'"),
        ({"returns": "top_5"}, "returns must be one of 'probabilities', 'logits', 'top_k', 'top_1', 'label'"),
    ],
)
def test_what_an_oracle_shows_is_declared_in_full(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        dfa.as_oracle(label, **arguments)


def test_a_record_says_what_was_shown():
    assert dfa.top_k(CLASSIFIER, 3, num_classes=10).describe() == {
        **dfa.as_oracle(CLASSIFIER).describe(),
        "returns": "top_k",
        "num_classes": 10,
        "num_shown": 3,
    }
    assert of_labels().describe()["num_classes"] == 10


def test_an_oracle_of_ones_own_that_does_not_declare_its_classes_is_refused_before_a_query():
    class Mine(Oracle):
        returns = ScoreKind.LABEL

        def scores(self, images):
            pytest.fail("asked")

    with pytest.raises(InvalidInputError, match="num_classes must be"):
        attack(Mine())


def test_only_what_shows_everything_can_be_made_to_show_less():
    with pytest.raises(InvalidInputError, match=r"only an oracle .* can be made to show less.*returns 'top_1'"):
        dfa.label_only(dfa.top_1(CLASSIFIER, num_classes=10))
    with pytest.raises(InvalidInputError, match="num_classes must be"):
        dfa.top_1(CLASSIFIER)
    with pytest.raises(InvalidInputError, match="knows 10 classes, got 9"):
        dfa.top_1(dfa.as_oracle(CLASSIFIER, num_classes=10), num_classes=9)


def test_an_oracle_refuses_the_number_of_classes_that_it_would_ignore():
    for arguments in ({"num_classes": 10}, {"k": 1}):
        with pytest.raises(InvalidInputError, match="num_classes and k on the CallableOracle itself"):
            dfa.as_oracle(dfa.as_oracle(CLASSIFIER), **arguments)


def test_a_rank_beyond_what_is_shown_is_refused_before_a_query():
    def unasked(images):
        pytest.fail("asked")

    shown = dfa.as_oracle(unasked, returns="top_k", k=3, num_classes=10)
    with pytest.raises(InvalidInputError, match=r"rank 4 cannot be told: .* names the likeliest 3 .*give class ids"):
        attack(shown, targets=dfa.rank(4))
    with pytest.raises(InvalidInputError, match=r"rank 2 cannot be told: .* likeliest 1"):
        attack(of_labels(unasked), targets=dfa.rank(2))
    assert attack(dfa.top_k(CLASSIFIER, 3, num_classes=10), targets=dfa.rank(3)).success.any()


# ---------------------------------------------------------------------------------------------------- the gate


def gate_to(answer, returns, **declared):
    oracle = CallableOracle(lambda batch: answer, returns=returns, name="model", **declared)
    return Gate(oracle, num_images=10, max_queries=100)


def ask(gate, number=2):
    return gate.ask(np.zeros((number, 2, 2, 1), np.uint8), np.array([3, 7])[:number], Purpose.ATTACK)


TWO = [[1, 0], [2, 1]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.1, 0.2, 0.7], [0.2, 0.2, 0.6]], r"with labels of shape \(2, 2\); it gave shape \(3,\)"),
        (np.full((2, 4), 0.25), r"a pair \(labels, probabilities\), each of shape \(n, 2\).*it gave ndarray"),
        ((TWO,), "it gave 1 parts"),
        (([1, 0], [[0.6, 0.2]] * 2), r"labels of shape \(2, 2\); it gave shape \(2,\)"),
        ((TWO[:1], [[0.6, 0.2]] * 2), r"labels of shape \(2, 2\); it gave shape \(1, 2\)"),
        (([[1.0, 0.0]] * 2, [[0.6, 0.2]] * 2), "integer class ids; it gave dtype float64"),
        (([[1, 0], [4, 1]], [[0.6, 0.2]] * 2), r"class ids 0\.\.3, .*it gave 4 in row 1 \(image 7\)"),
        (([[1, -1], [2, 1]], [[0.6, 0.2]] * 2), r"it gave -1 in row 0 \(image 3\)"),
        (([[1, 0], [2, 2]], [[0.6, 0.2]] * 2), r"distinct classes; row 1 \(image 7\) holds \[2, 2\]"),
        ((TWO, [[0.6, 0.2, 0.1]] * 2), r"probabilities of shape \(2, 2\).* of shape \(2, 3\)"),
        ((TWO, [["a", "b"]] * 2), "real numbers; it gave dtype <U1"),
        ((TWO, [[0.6, 0.2], [0.2, 0.6]]), r"falling probabilities; row 1 \(image 7\) holds \[0.2, 0.6\]; sort"),
        ((TWO, [[1.2, 0.2], [0.6, 0.2]]), r"within \[0, 1\]; it gave 1.2 in row 0 \(image 3\); if these are logits"),
        ((TWO, [[0.6, -0.2], [0.6, 0.2]]), r"it gave -0.2 in row 0"),
        ((TWO, [[0.6, np.nan], [0.6, 0.2]]), r"it gave nan in row 0"),
        ((TWO, [[0.6, 0.2], [0.7, 0.5]]), r"sum to at most 1 \(within 0.001\); row 1 \(image 7\) sums to 1.2"),
    ],
)
def test_an_answer_that_is_no_top_is_refused(answer, message):
    with pytest.raises(OracleError, match=f"the oracle 'model' .*{message}"):
        ask(gate_to(answer, "top_k", num_classes=4, k=2)) if not isinstance(answer, list) else ask(
            gate_to(tuple(answer), "top_k", num_classes=4, k=2)
        )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (([[1], [2]], [[0.6], [0.5]]), r"labels of shape \(2,\); it gave shape \(2, 1\)"),
        (([1, 2], [0.6]), r"probabilities of shape \(2,\)"),
        ([0.1, 0.2, 0.7], r"each of shape \(n,\).*it gave 3 parts"),
        (([1, 2], [0.6, 1.5]), r"it gave 1.5 in row 1 \(image 7\)"),
    ],
)
def test_an_answer_that_is_no_top_1_is_refused(answer, message):
    with pytest.raises(OracleError, match=message):
        ask(gate_to(answer, "top_1", num_classes=4))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.5, 0.5], [0.1, 0.9]], r"labels of shape \(2,\); it gave shape \(2, 2\)"),
        ([1], r"it gave shape \(1,\)"),
        ([1.0, 2.0], "integer class ids; it gave dtype float64.*returns='probabilities'"),
        ([True, False], "it gave dtype bool"),
        ([1, 4], r"class ids 0\.\.3, .*it gave 4 in row 1 \(image 7\)"),
        ([-1, 1], r"it gave -1 in row 0 \(image 3\)"),
    ],
)
def test_an_answer_that_is_no_label_is_refused(answer, message):
    with pytest.raises(OracleError, match=message):
        ask(gate_to(answer, "label", num_classes=4))


def test_hidden_classes_share_what_is_missing_evenly():
    scores = ask(gate_to(([[2, 0], [1, 3]], [[0.5, 0.3], [0.4, 0.4]]), "top_k", num_classes=4, k=2))
    np.testing.assert_allclose(scores, [[0.3, 0.1, 0.5, 0.1], [0.1, 0.4, 0.1, 0.4]], atol=1e-7)
    assert scores.flags.c_contiguous
    scores = ask(gate_to(([2, 0], [0.5, 1.0]), "top_1", num_classes=3))
    np.testing.assert_allclose(scores, [[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]], atol=1e-7)
    assert scores[1, 1] > 0  # the logarithm stays finite


def test_a_label_keeps_nearly_everything():
    scores = ask(gate_to(np.array([2, 0], dtype=np.uint8), "label", num_classes=3))
    np.testing.assert_allclose(scores, [[0, 0, 1], [1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores > 0).all()


def test_the_class_is_the_one_that_the_oracle_puts_first():
    scores = ask(gate_to(([[3, 1], [0, 2]], [[0.5, 0.5]] * 2), "top_k", num_classes=4, k=2))
    assert predicted(scores).tolist() == [3, 0]


tops = st.lists(st.integers(0, 1000), min_size=5, max_size=5).filter(sum)


@given(weights=tops, k=st.integers(1, 5), order=st.permutations(range(5)))
def test_a_hidden_class_is_below_every_shown_one(weights, k, order):
    shown = np.sort(np.array(weights) / sum(weights))[::-1][:k]
    ids = np.array(order)[:k]
    scores = ask(gate_to((ids[None], shown[None]), "top_k", num_classes=5, k=k), 1)[0]
    hidden = np.setdiff1d(np.arange(5), ids)
    np.testing.assert_allclose(scores[ids], shown, rtol=1e-15, atol=1e-300)
    assert predicted(scores[None])[0] == ids[0]
    assert (scores >= 0).all()
    if len(hidden):
        assert len(set(scores[hidden])) == 1
        assert scores[hidden].max() < scores[ids].min()


def test_torch_tensors_may_make_a_pair():
    class Tensor:
        def __init__(self, values):
            self.values = values

        def detach(self):
            return self

        def cpu(self):
            return np.array(self.values)

    answer = (Tensor([1, 2]), Tensor([0.6, 0.5]))
    assert predicted(ask(gate_to(answer, "top_1", num_classes=4))).tolist() == [1, 2]


# ---------------------------------------------------------------------------------------------------- degrees


def dense(returns, ids, shown, num_classes=6):
    return ask(gate_to((np.array([ids]), np.array([shown])), returns, num_classes=num_classes, k=len(ids)), 1)


@given(weights=st.lists(st.integers(0, 999), min_size=6, max_size=6).filter(lambda w: sum(w) > 0), k=st.integers(2, 5))
def test_a_candidate_that_shows_the_target_ranks_before_all_that_hide_it(weights, k):
    shown = np.sort(np.array(weights) / sum(weights))[::-1][:k]
    target = k - 1
    showing = dense("top_k", list(range(k)), shown)
    # The flattest top there is, the target not in it.
    flat = np.full(k, 1 / 6 + 1e-9)
    hiding = dense("top_k", [i for i in range(6) if i != target][:k], flat)
    for objective in (PAPER, LOG, ODDS):
        degree = objective.seen_through(k, shows_all=False).targeted
        ids = np.array([target])
        assert degree(showing, ids)[0] < degree(hiding, ids)[0]


def test_while_the_target_is_hidden_a_flatter_top_ranks_first():
    for objective in (PAPER, LOG, ODDS):
        degree = objective.seen_through(2, shows_all=False).targeted
        tops = [[0.9, 0.05], [0.7, 0.1], [0.5, 0.1], [0.3, 0.2]]
        degrees = [degree(dense("top_k", [0, 1], top), np.array([5]))[0] for top in tops]
        assert degrees == sorted(degrees, reverse=True)
        assert len(set(degrees)) == 4


def test_with_one_class_shown_the_papers_degree_is_the_largest_probability():
    objective = PAPER.seen_through(1, shows_all=False)
    scores = np.array([[0.6, 0.2, 0.2], [0.1, 0.5, 0.4]])
    assert objective.untargeted(scores, np.array([0, 0])).tolist() == [0.6, 0.0]
    assert objective.targeted(scores, np.array([2, 1])).tolist() == [0.6, 0.0]
    assert objective.name == "paper"


@given(st.lists(st.integers(334, 1000), min_size=2, max_size=2, unique=True))
def test_with_one_class_shown_the_log_degree_ranks_as_the_papers_does(tops):
    scores = np.concatenate([dense("top_k", [1], [top / 1000], 3) for top in tops])
    for c, name in ((1, "untargeted"), (0, "targeted")):
        ids = np.array([c, c])
        paper = getattr(PAPER.seen_through(1, shows_all=False), name)(scores, ids)
        log = getattr(LOG.seen_through(1, shows_all=False), name)(scores, ids)
        assert (paper[0] < paper[1]) == (log[0] < log[1])
        assert (log > 0).all()


def test_an_objective_of_ones_own_is_left_as_it_is():
    mine = Objective("mine", PAPER.untargeted, PAPER.targeted)
    assert mine.seen_through(1, shows_all=False) is mine
    assert mine.seen_through(None, shows_all=False) is mine
    assert LOG.seen_through(None, shows_all=True) is LOG


def test_the_odds_need_every_class():
    assert ODDS.seen_through(None, shows_all=True) is ODDS
    assert ODDS.seen_through(None, shows_all=False) is LOG
    assert ODDS.seen_through(1, shows_all=False) == LOG.seen_through(1, shows_all=False)
    assert ODDS.seen_through(3, shows_all=False).name == "log"
    whole = dfa.top_k(CLASSIFIER, 10, num_classes=10)
    some = dfa.top_k(CLASSIFIER, 9, num_classes=10), dfa.label_only(CLASSIFIER, num_classes=10)
    names = [attack(each, max_queries=13).config["objective"] for each in (CLASSIFIER, whole, *some)]
    assert names == ["odds", "odds", "log", "log"]


# ---------------------------------------------------------------------------------------------------- runs


@pytest.mark.parametrize("objective", ["odds", "log", "paper"])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_an_untargeted_run_needs_no_more_than_two_classes(k, objective):
    whole = attack(CLASSIFIER, objective=objective)
    some = attack(dfa.top_k(CLASSIFIER, k, num_classes=10), objective=objective)
    assert whole.success.sum() >= 5
    assert timeless(some.records) == timeless(whole.records)


def test_a_targeted_run_is_the_same_where_every_class_is_shown():
    targets = (label(IMAGES) + 1) % 10
    whole, some = (attack(each, targets=targets) for each in (CLASSIFIER, dfa.top_k(CLASSIFIER, 10, num_classes=10)))
    assert timeless(some.records) == timeless(whole.records)


def test_a_function_of_tops_is_attacked_as_the_model_behind_it():
    def two(images):
        scores = CLASSIFIER(images)
        labels = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        return labels, np.take_along_axis(scores, labels, axis=1)

    given_two = attack(dfa.as_oracle(two, returns="top_k", k=2, num_classes=10))
    assert timeless(given_two.records) == timeless(attack(CLASSIFIER).records)


def test_logits_may_be_restricted():
    logits = dfa.as_oracle(lambda images: CLASSIFIER.activations(images) / 5e4, returns="logits")
    whole, some = attack(logits), attack(dfa.top_k(logits, 2, num_classes=10))
    assert timeless(some.records) == timeless(whole.records)


@pytest.mark.parametrize("make", [dfa.top_1, dfa.label_only])
@pytest.mark.parametrize("targeted", [False, True])
def test_every_level_finds_images_that_hold(make, targeted):
    targets = (label(IMAGES) + 3) % 10 if targeted else None
    result = attack(make(CLASSIFIER, num_classes=10), epsilon=40, max_queries=600, targets=targets)
    assert result.success.mean() > 0.5
    for record, image in zip(result.records, result.images, strict=True):
        if record.verified:
            (found,) = label(image[None])
            assert found == record.target if targeted else found != record.class_before


def test_labels_find_more_than_chance_does():
    """Without the step beyond, a candidate is no better than another, and the search walks at random."""
    settings = {"max_queries": 400, "epsilon": 12, "optimizer": ALONE}

    def one_hot(images):
        return np.eye(10)[label(images)]

    assert attack(of_labels(), **settings).success.sum() >= attack(one_hot, **settings).success.sum() + 3


# ------------------------------------------------------------------------------------------------- every query counts


@pytest.mark.parametrize("max_queries", [4, 5, 30, 151])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_every_image_that_a_label_costs_is_counted(max_queries, batch_size):
    recorder = Recorder(label)
    oracle = of_labels(recorder)
    result = attack(oracle, max_queries=max_queries, batch_size=batch_size)
    profile = result.profile
    sent = int(result.queries_sent.sum())
    assert recorder.num_images == sent + profile.clean + profile.verification
    assert profile.rows_sent == sent
    assert profile.batches == sum(len(batch) > 0 for batch in recorder.batches) - _aside(recorder, profile)
    assert max(map(len, recorder.batches)) <= batch_size
    assert profile.occupancy <= 1
    assert result.queries_sent.max() <= max_queries
    for record in result.records:
        assert record.queries_sent % 2 == 0
        assert record.queries <= record.queries_sent
        assert all(queries <= record.queries_sent for queries, _ in record.trace)
        if not record.found:
            # What is left is too little for a candidate.
            assert record.queries_sent in (max_queries, max_queries - 1)
            assert record.reason == "query budget"


def _aside(recorder, profile):
    """Return the calls that were no attack, which come alone."""
    return len(recorder.batches) - profile.batches


def test_the_queries_of_a_success_end_with_the_candidate_itself():
    recorder = Recorder(label)
    result = attack(of_labels(recorder), max_queries=300)
    checked = 0
    for index in np.flatnonzero(result.success):
        record = result.records[index]
        # Of one image alone the order is known: the clean image, then candidate and step in turn.
        alone = Recorder(label)
        single = attack(of_labels(alone), IMAGES[[index]], max_queries=300, optimizer=ALONE, batch_size=1)
        (own,) = single.records
        if not own.verified:
            continue
        asked = alone.images[1:]
        assert own.queries % 2 == 1
        np.testing.assert_array_equal(asked[own.queries - 1], single.images[0])
        (before,) = label(IMAGES[[index]])
        # No candidate before it had another label, whatever the steps beyond them had.
        assert all(label(each[None])[0] == before for each in asked[: own.queries - 1 : 2])
        checked += own.queries > 20
        assert record.queries % 2 == 1
    assert checked


def test_a_step_beyond_is_no_success():
    """A step that leaves epsilon may be of another class; only a candidate can be adversarial."""

    def bright(images):
        return (images.reshape(len(images), -1).mean(axis=1) > 135).astype(np.int64)

    images = np.full((3, *SHAPE), 120, dtype=np.uint8)
    recorder = Recorder(bright)
    result = attack(dfa.as_oracle(recorder, returns="label", num_classes=2), images, max_queries=60, epsilon=10)
    assert (bright(recorder.images) == 1).any()
    assert not result.success.any()
    assert not any(record.found for record in result.records)
    assert all(record.degree > 0 for record in result.records)


def test_the_budget_must_hold_the_start(tmp_path):
    with pytest.raises(InvalidInputError, match="at least 2 times the population of 2"):
        attack(of_labels(), max_queries=3)
    with pytest.raises(InvalidInputError, match=r"interval \(at least four batches\)"):
        attack(of_labels(), store=dfa.Storage(tmp_path, interval=64), batch_size=16)


SETTINGS = [
    pytest.param({"optimizer": ALONE}, id="default"),
    pytest.param({"optimizer": ALONE, "targets": 3}, id="targeted"),
    pytest.param({"optimizer": dfa.Racos.paper()}, id="paper"),
    pytest.param({}, id="archive"),
]


def outcomes(result):
    return [
        (dataclasses.replace(record, index=0, seconds=0.0), None if image is None else image.tobytes())
        for record, image in zip(result.records, result.images, strict=True)
    ]


@pytest.mark.parametrize("settings", SETTINGS)
def test_labels_give_the_same_for_any_batch_size_and_threads(settings):
    first = attack(of_labels(), batch_size=64, **settings)
    assert len(set(first.queries.tolist())) > 3
    for batch_size, threads in ((1, 1), (3, 2), (17, 1), (256, 2)):
        assert outcomes(attack(of_labels(), batch_size=batch_size, threads=threads, **settings)) == outcomes(first)


@pytest.mark.parametrize("settings", SETTINGS[:3])
def test_labels_give_the_same_in_any_order(settings):
    in_order = outcomes(attack(of_labels(), **settings))
    order = np.random.default_rng(1).permutation(len(IMAGES))
    shuffled = outcomes(attack(of_labels(), IMAGES[order], **settings))
    assert shuffled == [in_order[index] for index in order]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("batch_size", [4, 5])
def test_a_run_of_labels_that_was_cut_short_goes_on_to_the_bit(settings, batch_size, tmp_path):
    settings = settings | {"batch_size": batch_size}
    whole_oracle = Recorder(label)
    whole = attack(of_labels(whole_oracle), **settings)
    num_calls = len(whole_oracle.batches)
    for part in (0.2, 0.5, 0.8):
        folder = tmp_path / str(part)
        storage = dfa.Storage(folder, resume=True, interval=40)
        cut = Recorder(Until(int(part * num_calls), label, raising(OSError("off"))))
        with pytest.raises(OracleError):
            attack(of_labels(cut), store=storage, **settings)
        rest = Recorder(label)
        result = attack(of_labels(rest), store=storage, **settings)
        assert timeless(result.records) == timeless(whole.records)
        assert result.profile.rows_sent == whole.profile.rows_sent
        assert result.profile.batches == whole.profile.batches
        assert result.profile.rows_capacity == whole.profile.rows_capacity
        for index in whole.images.held():
            np.testing.assert_array_equal(result.images[index], whole.images[index])
        # Saving and the probes on resuming ask too; what is sent twice is what was sent after the checkpoint.
        assert 0 <= result.profile.resent <= 40 + 8


def test_a_class_of_which_nothing_is_shown_costs_nothing_but_queries():
    result = attack(dfa.top_1(never, num_classes=2), IMAGES[:4], max_queries=40)
    assert not result.success.any()
    assert result.queries_sent.tolist() == [40] * 4


def test_verify_and_save_ask_labels(tmp_path):
    result = attack(of_labels(), epsilon=30, max_queries=300)
    report = result.save(tmp_path / "labels", oracle=of_labels())
    assert report.verified == report.written == result.success.sum() > 0
    verification = dfa.verify(tmp_path / "labels", of_labels())
    assert verification.holds


def test_repair_asks_labels():
    two = dfa.label_only(brightness, num_classes=2)
    images = np.full((2, 4, 4, 1), 126, dtype=np.uint8)
    vectors = np.full((2, 4, 4, 1), 127.6 / 255, dtype=np.float32)
    report = dfa.repair(two, images, vectors, normalizer=dfa.Affine())
    assert len(report.records) == 2
