"""Estimators of scikit-learn as oracles."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import dfa
from dfa.oracle.adapters.scikit_learn import SklearnOracle, is_sklearn
from oracles import random_images
from outcomes import outcomes

sklearn = pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.multioutput import MultiOutputClassifier  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # noqa: E402
from sklearn.svm import SVC, LinearSVC  # noqa: E402

SHAPE = (4, 3, 2)
IMAGES = random_images(120, SHAPE)
GREY = {"value_range": (0, 255)}
UNIT = {"value_range": (0, 1)}
TABLE = IMAGES.reshape(120, -1) / 255
CLASSES = ((TABLE - TABLE.mean()) @ np.random.default_rng(0).normal(size=(24, 4))).argmax(axis=1)
ALONE = dataclasses.replace(dfa.Racos(), archive=False)


class Echo(ClassifierMixin, BaseEstimator):
    """Gives back what it is given."""

    def fit(self, table, classes):
        self.classes_ = np.arange(table.shape[1])
        return self

    def decision_function(self, table):
        assert table.dtype == np.float64
        return table

    def predict(self, table):
        return self.classes_[self.decision_function(table).argmax(axis=1)]


class TellsRows(Echo):
    """Its answers depend on the number of rows that it is given, as last bits do."""

    def decision_function(self, table):
        return table[:, :4] * 30 + 0.01 * len(table) * np.arange(4)

    def fit(self, table, classes):
        self.classes_ = np.arange(4)
        return self


def echoed(images=IMAGES, **settings):
    return SklearnOracle(Echo().fit(TABLE, None), **settings).scores(images)


@pytest.fixture(scope="module")
def logistic():
    return LogisticRegression(max_iter=500, C=100.0).fit(TABLE, CLASSES)


def test_images_are_flattened_and_scaled_as_is_declared():
    for settings, expected in (
        (GREY, IMAGES.astype(float)),
        (UNIT, IMAGES / 255.0),
        ({"value_range": (0, 16)}, IMAGES / 15.9375),
        ({"value_range": (-1, 1)}, IMAGES / 127.5 - 1),
        ({"preprocess": lambda images: images.transpose(0, 3, 1, 2) / 2}, IMAGES.transpose(0, 3, 1, 2) / 2),
    ):
        np.testing.assert_array_equal(echoed(**settings), expected.reshape(120, -1))


def test_preprocess_is_given_a_copy_in_float32():
    def halve(images):
        assert images.dtype == np.float32
        images /= 2
        return images

    images = IMAGES.copy()
    images.flags.writeable = False
    np.testing.assert_array_equal(echoed(images, preprocess=halve), IMAGES.reshape(120, -1) / 2)
    np.testing.assert_array_equal(echoed(images, preprocess=halve, static_batch=False), IMAGES.reshape(120, -1) / 2)


def test_what_shows_most_is_asked(logistic):
    np.testing.assert_allclose(
        SklearnOracle(logistic, **UNIT).scores(IMAGES), logistic.predict_proba(TABLE), atol=1e-12
    )
    ridge = RidgeClassifier().fit(TABLE, CLASSES)
    centroid = NearestCentroid().fit(TABLE, CLASSES)
    for estimator, returns, method in (
        (logistic, "probabilities", "predict_proba"),
        (ridge, "logits", "decision_function"),
        (KNeighborsClassifier().fit(TABLE, CLASSES), "probabilities", "predict_proba"),
    ):
        oracle = SklearnOracle(estimator, **UNIT)
        assert (oracle.returns.value, oracle.describe()["method"]) == (returns, method)
        assert oracle.num_classes == 4
    np.testing.assert_allclose(SklearnOracle(ridge, **UNIT).scores(IMAGES), ridge.decision_function(TABLE), atol=1e-12)
    labels = SklearnOracle(centroid, returns="label", **UNIT)
    np.testing.assert_array_equal(labels.scores(IMAGES), centroid.predict(TABLE))
    assert labels.num_classes == 4
    with pytest.raises(dfa.InvalidInputError, match="can be asked for 'logits', 'label', got returns='probabilities'"):
        SklearnOracle(ridge, returns="probabilities")


def test_two_classes_of_one_value_are_two_columns():
    machine = LinearSVC().fit(TABLE, CLASSES > 1)
    scores = SklearnOracle(machine, **UNIT).scores(IMAGES)
    distance = machine.decision_function(TABLE)
    np.testing.assert_allclose(scores, np.stack([-distance, distance], axis=1), atol=1e-12)
    assert SklearnOracle(machine).ids_of([True, False]).tolist() == [1, 0]


def test_values_of_pairs_of_classes_are_refused_also_where_they_are_as_many():
    for number in (3, 4):
        machine = SVC(decision_function_shape="ovo").fit(TABLE, CLASSES % number)
        for estimator in (
            machine,
            make_pipeline(machine),
            GridSearchCV(machine, {}, cv=2).fit(TABLE, CLASSES % number),
        ):
            with pytest.raises(
                dfa.InvalidInputError, match="SVC gives one per pair of classes; set decision_function_"
            ):
                SklearnOracle(estimator)
        assert SklearnOracle(machine, returns="label", **UNIT).scores(IMAGES).shape == (120,)
        assert (
            SklearnOracle(machine.set_params(decision_function_shape="ovr"), **UNIT).scores(IMAGES).shape[1] == number
        )
    two = SVC(decision_function_shape="ovo").fit(TABLE, CLASSES > 1)
    assert SklearnOracle(two, **UNIT).scores(IMAGES).shape == (120, 2)


@pytest.mark.parametrize("names", [np.array(["d", "a", "c", "b"]), np.array([7, 3, 100, 5])])
def test_classes_are_places_in_the_order_of_the_columns_and_keep_their_names(names):
    own = names[CLASSES]
    forest = RandomForestClassifier(5, random_state=0).fit(TABLE, own)
    for returns in (None, "label"):
        oracle = SklearnOracle(forest, returns=returns, **UNIT)
        assert oracle.class_names == tuple(map(str, forest.classes_))
        answers = oracle.scores(IMAGES)
        ids = answers if returns == "label" else answers.argmax(axis=1)
        np.testing.assert_array_equal(ids, oracle.ids_of(forest.predict(TABLE)))
    np.testing.assert_array_equal(oracle.ids_of(forest.classes_), np.arange(4))
    result = dfa.run(oracle, IMAGES[:3], oracle.ids_of(forest.predict(TABLE))[:3], max_queries=5, progress=False)
    assert not any(record.status.value == "skipped" for record in result.records)
    with pytest.raises(dfa.InvalidInputError, match=r"labels must be of the classes of .*, got .*(z|99)"):
        oracle.ids_of(["a", "z"] if names.dtype.kind == "U" else [3, 99])
    assert SklearnOracle(LogisticRegression().fit(TABLE, CLASSES)).class_names is None


def test_classes_in_another_order_than_sorted_are_found():
    estimator = Echo().fit(TABLE[:, :3], None)
    estimator.classes_ = np.array(["b", "c", "a"])
    np.testing.assert_array_equal(SklearnOracle(estimator).ids_of(["a", "b", "c", "a"]), [2, 0, 1, 2])


def test_pipelines_and_searches_are_estimators(logistic):
    steps = make_pipeline(StandardScaler(), PCA(10, random_state=0), LogisticRegression(max_iter=500))
    search = GridSearchCV(steps, {"logisticregression__C": [1.0, 10.0]}, cv=2).fit(TABLE, CLASSES)
    oracle = SklearnOracle(search, **UNIT)
    np.testing.assert_allclose(oracle.scores(IMAGES), search.predict_proba(TABLE), atol=1e-12)
    assert oracle.name == "GridSearchCV"
    with pytest.raises(
        dfa.InvalidInputError, match=r"fitted on 24 values per image, and images of shape \(4, 4, 2\) ha"
    ):
        oracle.prepare((4, 4, 2), 8)


def test_one_that_was_fitted_on_named_columns_is_asked_without_a_warning():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(TABLE, columns=[f"p{place}" for place in range(24)])
    forest = RandomForestClassifier(5, random_state=0).fit(table, CLASSES)
    np.testing.assert_array_equal(SklearnOracle(forest, **UNIT).scores(IMAGES), forest.predict_proba(table))


def test_a_run_is_alike_to_the_bit_for_any_batches_and_orders():
    network = MLPClassifier((16,), max_iter=30, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(TABLE, CLASSES)
    logistic = LogisticRegression(max_iter=500, C=100.0).fit(TABLE, CLASSES)
    boosted = HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(TABLE, CLASSES)

    def attack(estimator, batch_size, order, static_batch=True):
        oracle = SklearnOracle(estimator, static_batch=static_batch, **UNIT)
        result = dfa.run(
            oracle,
            IMAGES[:12][order],
            epsilon=12,
            max_queries=60,
            optimizer=ALONE,
            batch_size=batch_size,
            progress=False,
        )
        return [outcomes(result)[place] for place in np.argsort(order)]

    straight, turned = np.arange(12), np.arange(12)[::-1]
    for estimator in (TellsRows().fit(TABLE, None), logistic, network, boosted):
        expected = attack(estimator, 256, straight)
        for batch_size, order in ((1, straight), (7, straight), (256, turned)):
            assert attack(estimator, batch_size, order) == expected
    rows = TellsRows().fit(TABLE, None)
    assert attack(rows, 7, straight, static_batch=False) != attack(rows, 256, straight)


def test_the_digits_that_come_with_scikit_learn_are_broken():
    from sklearn.datasets import load_digits

    digits = load_digits()
    machine = SVC().fit(digits.data[:1000], digits.target[:1000])
    images = (digits.images[1000:1030] * (255 / 16)).round().astype(np.uint8)[..., np.newaxis]
    with pytest.warns(UserWarning, match="'SVC' predicts another class than decision_function ranks first, for"):
        result = dfa.run(
            SklearnOracle(machine, value_range=(0, 16)),
            images,
            digits.target[1000:1030],
            epsilon=40,
            max_queries=1000,
            progress=False,
        )
    assert result.success.sum() > 10
    assert sum(record.status.value == "skipped" for record in result.records) < 4


class Contrary(Echo):
    """Predicts the second class where its first two are large or tie, and writes into what it is given."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, table, classes):
        self.classes_ = np.array(["a", "b", "c"])
        return self

    def decision_function(self, table):
        scores = table[:, :3] - self.shift
        table[:] = -1
        return scores

    def predict(self, table):
        assert (table >= 0).all()
        chosen = table[:, :3].argmax(axis=1)
        chosen[(chosen == 0) & (table[:, 1] > 0.5)] = 1
        chosen[table[:, 0] == table[:, 1]] = 1
        return self.classes_[chosen]


@pytest.mark.parametrize("shift", [0.0, -1e6])
def test_the_largest_score_is_that_of_the_class_that_is_predicted(shift):
    images = random_images(300, SHAPE, 3)
    images[:40, 0, 0, 0] = images[:40, 0, 0, 1] = 255  # tie in the first two columns
    estimator = Contrary(shift).fit(TABLE, None)
    table = images.reshape(300, -1) / 255
    told, predicted = estimator.decision_function(table.copy()), estimator.predict(table)
    oracle = SklearnOracle(estimator, **UNIT)
    with pytest.warns(UserWarning, match=r"'Contrary' predicts .* returns='label' asks predict alone") as caught:
        scores = oracle.scores(images)
    assert len(caught) == 1  # and not for every batch
    np.testing.assert_array_equal(scores.argmax(axis=1), oracle.ids_of(predicted))
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert (np.sort(likely, axis=1)[:, -2] < 1).all()
    np.testing.assert_allclose(np.sort(scores, axis=1), np.sort(told, axis=1), rtol=2e-9, atol=2e-9)
    agrees = told.argmax(axis=1) == oracle.ids_of(predicted)
    assert 0 < agrees.sum() < 260
    np.testing.assert_array_equal(scores[agrees], told[agrees])


def test_a_success_is_one_that_predict_sees():
    model_selection = pytest.importorskip("sklearn.model_selection")
    if not hasattr(model_selection, "FixedThresholdClassifier"):
        pytest.skip("scikit-learn has no thresholds")
    inner = LogisticRegression(max_iter=500, C=100.0)
    shy = model_selection.FixedThresholdClassifier(inner, threshold=0.9).fit(TABLE, CLASSES > 1)
    with pytest.warns(UserWarning, match="'FixedThresholdClassifier' predicts another class than predict_proba"):
        result = dfa.run(SklearnOracle(shy, **UNIT), IMAGES, epsilon=12, max_queries=60, progress=False)
    found = [place for place, success in enumerate(result.success) if success]
    after = np.stack([result.images[place] for place in found]).reshape(len(found), -1) / 255
    assert len(found) > 20
    assert (shy.predict(after) != shy.predict(TABLE[found])).all()


@pytest.mark.parametrize("number", [2, 4])
def test_those_that_predict_the_largest_by_construction_are_asked_once(number, monkeypatch):
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.tree import DecisionTreeClassifier

    classes = CLASSES % number
    noise = np.random.default_rng(5).uniform(size=(2000, 24))
    for estimator in (
        DecisionTreeClassifier(max_depth=3),
        ExtraTreesClassifier(4),
        RandomForestClassifier(4),
        HistGradientBoostingClassifier(max_iter=3),
        LinearSVC(),
        RidgeClassifier(),
        MLPClassifier((16,), tol=1.0),  # at its goal soon
        make_pipeline(StandardScaler(), RidgeClassifier()),
        GridSearchCV(make_pipeline(RandomForestClassifier(4)), {}, cv=2),
    ):
        fitted = estimator.fit(TABLE, classes)
        oracle = SklearnOracle(fitted, **UNIT)
        told = np.asarray(getattr(fitted, oracle.describe()["method"])(noise))
        told = np.stack([-told, told], axis=1) if told.ndim == 1 else told
        np.testing.assert_array_equal(told.argmax(axis=1), oracle.ids_of(fitted.predict(noise)))
        with monkeypatch.context() as patched:
            patched.setattr(type(fitted), "predict", lambda *_: pytest.fail("predict was asked"))
            assert SklearnOracle(fitted, **UNIT).scores(IMAGES).shape == (120, number)


def test_columns_that_are_picked_by_name_are_refused_with_what_to_do():
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import ColumnTransformer

    table = pandas.DataFrame(TABLE, columns=[f"p{place}" for place in range(24)])
    for picked in (["p0", "p1"], slice("p0", "p2"), lambda frame: ["p0"]):
        steps = make_pipeline(ColumnTransformer([("first", StandardScaler(), picked)]), LogisticRegression())
        for estimator in (steps, GridSearchCV(steps, {}, cv=2)):
            with pytest.raises(
                dfa.InvalidInputError, match=r"picks the columns of 'first' by name, such as 'p0', .* fit it with pl"
            ):
                SklearnOracle(estimator.fit(table, CLASSES), **UNIT)
    for picked in ([0, 1], slice(0, 2), 3 * [True] + 21 * [False]):
        steps = make_pipeline(ColumnTransformer([("first", StandardScaler(), picked)]), LogisticRegression())
        assert SklearnOracle(steps.fit(table, CLASSES), **UNIT).scores(IMAGES).shape == (120, 4)


def test_what_numbers_it_was_fitted_on_is_asked_for_before_the_first_query(logistic):
    with pytest.raises(dfa.InvalidInputError, match=r"does not tell what numbers it was fitted on; pass value_range="):
        dfa.run(SklearnOracle(logistic), IMAGES[:2], progress=False)


def test_inputs_that_are_no_images_are_given_as_they_are():
    rows = np.random.default_rng(0).normal(size=(5, 24))
    for settings in ({}, UNIT):
        oracle = SklearnOracle(Echo().fit(TABLE, None), **settings).taking(np.generic)
        np.testing.assert_array_equal(oracle.scores(rows), rows)


def test_what_is_no_fitted_classifier_is_refused(logistic):
    for estimator, message in (
        (LogisticRegression(), r"'LogisticRegression' must be fitted.*call estimator\.fit\(X, y\) first"),
        (make_pipeline(StandardScaler(), LogisticRegression()), r"'Pipeline' must be fitted"),
        (LinearRegression().fit(TABLE, CLASSES), "'LinearRegression' has no classes_; pass a classifier"),
        (LogisticRegression, "needs a fitted classifier, got <class"),
        (StandardScaler().fit(TABLE), "needs a fitted classifier, got StandardScaler"),
        (
            MultiOutputClassifier(LogisticRegression()).fit(TABLE, np.stack([CLASSES, CLASSES], axis=1)),
            "one label per image, and the estimator 'MultiOutputClassifier' was fitted to give 2",
        ),
        (KNeighborsClassifier().fit(TABLE, np.stack([CLASSES, CLASSES], axis=1)), "was fitted to give 2"),
        (KNeighborsClassifier().fit(TABLE, np.zeros(120, dtype=int)), "at least two classes.*knows 0"),
    ):
        with pytest.raises(dfa.InvalidInputError, match=message):
            SklearnOracle(estimator)
    for settings, message in (
        ({"returns": "top_1"}, "can be asked for 'probabilities', 'logits', 'label', got returns='top_1'"),
        ({"returns": "nothing"}, "returns must be one of"),
        ({"tolerance": -1}, "tolerance must be"),
        ({"static_batch": 0}, "static_batch must be"),
        ({"value_range": 255}, "value_range must be two numbers"),
        ({"preprocess": 3}, "preprocess must be a function"),
        ({"preprocess": np.sqrt, "value_range": (0, 1)}, "comes instead of value_range"),
    ):
        with pytest.raises(dfa.InvalidInputError, match=message):
            SklearnOracle(logistic, **settings)
    with pytest.raises(dfa.InvalidInputError, match="images after preprocess have 12"):
        SklearnOracle(logistic, preprocess=lambda images: images[..., 0]).scores(IMAGES)


def test_the_fingerprint_is_of_what_was_learnt(logistic):
    def name(estimator):
        return SklearnOracle(estimator).fingerprint()

    search = GridSearchCV(make_pipeline(PCA(5, random_state=0), SVC()), {"svc__C": [1.0]}, cv=2)
    makers = (
        lambda: LogisticRegression(max_iter=500, C=100.0),
        lambda: RandomForestClassifier(5, random_state=0),
        lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0),
        lambda: KNeighborsClassifier(),
        lambda: search,
    )
    names = set()
    for make in makers:
        estimator = make().fit(TABLE, CLASSES)
        given = name(estimator)
        assert given is not None
        assert name(pickle.loads(pickle.dumps(estimator))) == given
        assert name(make().fit(TABLE, CLASSES)) == given
        names |= {given, name(make().fit(TABLE[:100], CLASSES[:100]))}
    assert len(names) == 2 * len(makers)
    # What is done by what no name leads to.
    assert name(make_pipeline(FunctionTransformer(lambda table: table * 2), logistic).fit(TABLE, CLASSES)) is None
    named = [make_pipeline(FunctionTransformer(function), logistic) for function in (np.sqrt, np.square)]
    assert len({name(each.fit(TABLE, CLASSES)) for each in named} - {None}) == 2


def test_the_fingerprint_is_the_same_in_another_process(logistic, tmp_path):
    (tmp_path / "model").write_bytes(pickle.dumps(logistic))
    code = (
        "import pickle, sys; from dfa.oracle.adapters.scikit_learn import SklearnOracle;"
        "print(SklearnOracle(pickle.load(open(sys.argv[1], 'rb'))).fingerprint())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == SklearnOracle(logistic).fingerprint()


def test_what_records_keep_of_an_estimator(logistic):
    described = json.loads(json.dumps(SklearnOracle(logistic, value_range=np.array([0, 1])).describe()))
    assert described == {
        "kind": "sklearn",
        "name": "LogisticRegression",
        "returns": "probabilities",
        "tolerance": 1e-3,
        "estimator": "LogisticRegression(C=100.0, max_iter=500)",
        "method": "predict_proba",
        "value_range": [0, 1],
        "preprocess": None,
        "static_batch": True,
        "framework": "scikit-learn",
        "framework_version": sklearn.__version__,
    }
    oracle = SklearnOracle(make_pipeline(FunctionTransformer(_twice), logistic).fit(TABLE, CLASSES), name="mine")
    assert oracle.name == "mine"
    assert "_twice" in oracle.describe()["estimator"]
    assert "0x" not in oracle.describe()["estimator"]


def _twice(table):
    return 2 * table


def test_estimators_are_recognised(logistic):
    assert is_sklearn(logistic)
    assert is_sklearn(Echo())
    oracle = dfa.as_oracle(logistic, value_range=(0, 1))
    np.testing.assert_array_equal(oracle.scores(IMAGES), SklearnOracle(logistic, **UNIT).scores(IMAGES))
    assert not any(map(is_sklearn, (None, len, sklearn, "model.joblib", np.ones(3))))


def test_without_scikit_learn_it_says_what_to_install(logistic, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(dfa.MissingDependencyError, match=r"pip install .*\[sklearn\]"):
        SklearnOracle(logistic)
