"""dfa called by Foolbox, ART and torchattacks: what comes back is what `dfa.run` finds, as exact floats of theirs."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError
from dfa.integrations.grid import Grid
from outcomes import outcomes

torch = pytest.importorskip("torch", reason="torch is not installed")

SHAPE = (8, 9, 3)
IMAGES = np.random.default_rng(1).integers(0, 256, (6, *SHAPE), dtype=np.uint8)
FLOATS = torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255
SETTINGS = {"max_queries": 80, "seed": 3}
EPSILON = 6


def attack_of(library):
    """Return the class for a library; its import warns of deprecations, and of nothing of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(library)
        except ImportError as error:
            pytest.skip(f"{library} is not installed: {error}")
    return importlib.import_module(f"dfa.integrations.{library}").DFA


def network():
    from torch_networks import small_network

    return small_network()


def classes_of(rank=1, inputs=FLOATS):
    """Return the network's classes of clean images: the likeliest, or of another rank."""
    with torch.no_grad():
        return network()(inputs).argsort(1)[:, -rank]


def run(oracle=None, images=IMAGES, labels=None, **settings):
    oracle = oracle or dfa.as_oracle(network(), static_batch=False)
    settings = {"epsilon": EPSILON, "progress": False, **SETTINGS, **settings}
    return dfa.run(oracle, images, labels, **settings)


def as_images(values, bounds=(0, 1)):
    """Return the 8-bit images of floats that hold them exactly, channels first."""
    values = np.asarray(values)
    images = np.rint((values.astype(np.float64) - bounds[0]) / (bounds[1] - bounds[0]) * 255).astype(np.uint8)
    images = images.transpose(0, 2, 3, 1)
    assert np.array_equal(Grid(*bounds, channels_first=True).values(images, values.dtype), values)
    return images


def test_the_problem_has_successes_failures_and_images_that_are_wrong_to_begin_with():
    labels = classes_of().numpy()
    labels[2] = (labels[2] + 1) % 5
    result = run(labels=labels)
    assert {each.status.value for each in result.records} == {"success", "failure", "skipped"}


def test_foolbox():
    attack = attack_of("foolbox")(**SETTINGS)
    import foolbox

    labels = classes_of()
    labels[2] = (labels[2] + 1) % 5
    model = foolbox.PyTorchModel(network(), bounds=(0, 1), device="cpu")
    raw, clipped, success = attack(model, FLOATS, labels, epsilons=EPSILON / 255)
    plain = run(labels=labels.numpy())
    (result,) = attack.results
    assert outcomes(result) == outcomes(plain)
    assert np.array_equal(as_images(raw), plain.adversarial())
    assert torch.equal(raw, clipped)
    assert raw.dtype == torch.float32
    # As Foolbox itself judges it: one that was wrong to begin with is a success.
    assert torch.equal(success, model(clipped).argmax(1) != labels)
    assert success[2]
    assert not success.all()


def test_foolbox_towards_targets_with_several_epsilons_and_other_bounds():
    attack = attack_of("foolbox")(**SETTINGS)
    import foolbox

    targets = classes_of(rank=2)
    targets[0] = classes_of()[0]
    model = foolbox.PyTorchModel(network(), bounds=(0, 1), device="cpu").transform_bounds((-1, 1))
    criterion = foolbox.criteria.TargetedMisclassification(targets)
    raw, clipped, success = attack(model, FLOATS * 2 - 1, criterion, epsilons=[2 * 3.5 / 255, 2 * 20 / 255])
    assert success.shape == (2, 6)
    assert success[0].sum() < success[1].sum()
    assert success[:, 0].all()
    for each, fooled, epsilon, result in zip(clipped, success, [3, 20], attack.results, strict=True):
        assert torch.equal(fooled, model(each).argmax(1) == targets)
        changed = as_images(each, (-1, 1)).astype(int) - IMAGES
        assert np.abs(changed).max() == epsilon
        assert result.config["epsilon"] == epsilon
    assert all(map(torch.equal, raw, clipped))


def test_foolbox_with_a_model_that_is_no_torch_module():
    attack = attack_of("foolbox")(returns="probabilities", **SETTINGS)
    import foolbox

    from oracles import LinearClassifier

    classifier = LinearClassifier(SHAPE)
    model = foolbox.NumPyModel(lambda x: classifier(np.rint(x).astype(np.uint8)), bounds=(0, 255))
    labels = classifier.classes(IMAGES)
    found, _, success = attack(
        model, IMAGES.astype(np.float32), foolbox.criteria.Misclassification(labels), epsilons=12
    )
    plain = run(classifier, labels=labels, epsilon=12)
    assert found.dtype == np.float32
    assert np.array_equal(found, plain.adversarial())
    assert success.tolist() == plain.success.tolist()
    assert success.any()


def test_what_foolbox_cannot_ask_of_dfa_is_refused():
    attack = attack_of("foolbox")(**SETTINGS)
    import foolbox

    model = foolbox.PyTorchModel(network(), bounds=(0, 1), device="cpu")
    both = foolbox.criteria.Misclassification(classes_of()) & foolbox.criteria.Misclassification(classes_of())
    with pytest.raises(InvalidInputError, match="criterion must be labels"):
        attack(model, FLOATS, both, epsilons=0.1)
    with pytest.raises(InvalidInputError, match="eps must be a number"):
        attack(model, FLOATS, classes_of(), epsilons=[0.1, None])
    with pytest.raises(InvalidInputError, match=r"at least one of several, got \[\]"):
        attack(model, FLOATS, classes_of(), epsilons=[])
    with pytest.raises(InvalidInputError, match="labels are a tensor or an array like the images"):
        attack(model, FLOATS, classes_of().tolist(), epsilons=0.1)
    with pytest.raises(InvalidInputError, match="quantise them first"):
        attack(model, FLOATS * 0.99, classes_of(), epsilons=0.1)
    with pytest.raises(InvalidInputError, match="raise max_queries"):
        attack.repeat(2)
    soft = foolbox.PyTorchModel(torch.nn.Sequential(network(), torch.nn.Softmax(1)).eval(), (0, 1), device="cpu")
    with pytest.raises(dfa.OracleError, match="returns='probabilities'"):
        attack(soft, FLOATS, classes_of(), epsilons=0.1)


@pytest.mark.parametrize("name", ["epsilon", "space", "max_query"])
def test_settings_that_the_call_decides_or_nobody_knows_are_refused(name):
    with pytest.raises(InvalidInputError, match=f"got {name}; take one of objective, .* or call dfa.run"):
        attack_of("foolbox")(**{name: 8})


def art_classifier(model, **settings):
    from art.estimators.classification import PyTorchClassifier

    settings = {"input_shape": (3, 8, 9), "nb_classes": 5, "clip_values": (0.0, 1.0), "device_type": "cpu", **settings}
    return PyTorchClassifier(model, torch.nn.CrossEntropyLoss(), **settings)


def test_art_leaves_every_part_of_the_model_in_its_mode():
    attack = attack_of("art")
    model = network().train()
    model[1].eval()
    attack = attack(art_classifier(model), eps=EPSILON / 255, **SETTINGS)
    model.train()
    model[1].eval()
    found = attack.generate(FLOATS.numpy(), np.eye(5)[classes_of().numpy()])
    plain = run(labels=classes_of().numpy())
    assert outcomes(attack.result) == outcomes(plain)
    assert np.array_equal(as_images(found), plain.adversarial())
    assert [part.training for part in model] == [place != 1 for place in range(len(model))]
    assert model.training


@pytest.mark.parametrize("clip", [(0, 255), (0.0, 1.0)])
def test_art_with_a_black_box_towards_targets_channels_last(clip):
    attack = attack_of("art")
    from art.estimators.classification import BlackBoxClassifier

    model, seen = network(), []

    def predict(x):
        seen.append(len(x))
        with torch.no_grad():
            return model(torch.tensor(x).permute(0, 3, 1, 2) / clip[1]).softmax(1).numpy()

    black_box = BlackBoxClassifier(predict, SHAPE, 5, clip_values=clip)
    targets = classes_of(rank=2).numpy()
    attack = attack(black_box, eps=clip[1] * EPSILON / 255, targeted=True, returns="probabilities", **SETTINGS)
    x = (IMAGES / 255 * clip[1]).astype(np.float32)
    found = attack.generate(x, targets[:, None])
    result = attack.result
    assert found.dtype == np.float32
    assert found.shape == x.shape
    images = np.rint(found / clip[1] * 255).astype(np.uint8)
    assert np.array_equal(Grid(*clip).values(images, np.float32), found)
    assert np.array_equal(images, result.adversarial())
    assert result.success.any()
    assert np.array_equal(classes_of_images(model, images)[result.success], targets[result.success])
    # Each image that the black box was asked about stands in the books.
    assert sum(seen) == result.queries_sent.sum() + result.profile.clean + result.profile.verification
    with pytest.raises(InvalidInputError, match="y must be the targets"):
        attack.generate(x)


def classes_of_images(model, images):
    with torch.no_grad():
        return model(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).argmax(1).numpy()


def test_art_asks_in_its_own_precision_whatever_that_of_the_images():
    attack = attack_of("art")(art_classifier(network()), eps=EPSILON / 255, **SETTINGS)
    found = attack.generate(FLOATS.numpy())
    exact = IMAGES.transpose(0, 3, 1, 2) / 255
    assert exact.dtype == np.float64
    for x in (exact, exact.tolist()):
        assert attack.generate(x).dtype == np.float32
        assert np.array_equal(attack.generate(x), found)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([np.nan] * 5, r"one-hot, .* row 1 is \[nan, nan"),
        ([0.0, 1.0, np.nan, 0.0, 0.0], "one-hot, .* row 1 is"),
        ([0.0] * 5, "one-hot, .* row 1 is"),
        ([1.0, 0.0, 1.0, 0.0, 0.0], "one-hot, .* row 1 is"),
        (["a"] * 5, "one-hot numbers of shape"),
    ],
    ids=["nothing", "partly nothing", "none", "two", "words"],
)
def test_art_refuses_labels_that_say_no_class(row, words):
    attack = attack_of("art")(art_classifier(network()), eps=EPSILON / 255, **SETTINGS)
    labels = np.eye(5).tolist()
    labels[1] = row
    with pytest.raises(InvalidInputError, match=f"^y must be {words}"):
        attack.generate(FLOATS.numpy()[:5], labels)


def test_art_with_a_black_box_that_tells_the_class_alone():
    attack = attack_of("art")
    from art.estimators.classification import BlackBoxClassifier

    model = network()
    black_box = BlackBoxClassifier(
        lambda x: np.eye(5)[classes_of_images(model, np.rint(x).astype(np.uint8))], SHAPE, 5, clip_values=(0, 255)
    )
    attack = attack(black_box, eps=40, returns="label", **SETTINGS)
    found = attack.generate(IMAGES)
    assert attack.result.config["oracle"]["returns"] == "label"
    assert found.dtype == np.float32
    assert np.array_equal(found, run(attack.result.oracle, epsilon=40).adversarial())
    assert attack.result.success.any()


def test_torchattacks_with_normalised_images_leaves_every_part_of_the_model_in_its_mode(capsys):
    attack_class = attack_of("torchattacks")
    mean, std = (
        torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1),
        torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1),
    )
    model = network()
    model.train()[1].eval()
    modes = [part.training for part in model.modules()]
    attack = attack_class(model, eps=EPSILON / 255, **SETTINGS)
    attack.set_normalization_used(mean.flatten().tolist(), std.flatten().tolist())
    normalised = (FLOATS - mean) / std
    labels = classes_of(inputs=normalised)
    found = attack(normalised, labels)
    assert [part.training for part in model.modules()] == modes
    oracle = dfa.as_oracle(network(), mean=mean.flatten().tolist(), std=std.flatten().tolist())
    plain = run(oracle, labels=labels.numpy())
    assert outcomes(attack.result) == outcomes(plain)
    assert torch.equal(found, (torch.from_numpy(plain.adversarial()).permute(0, 3, 1, 2) / 255 - mean) / std)
    with pytest.raises(InvalidInputError, match="quantise them first"):
        attack(normalised * 0.9, labels)
    # One that failed leaves no trace.
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(attack(normalised, labels), found)
    assert "result=Result(6 images" in repr(attack)


def test_torchattacks_towards_targets():
    attack = attack_of("torchattacks")(network(), eps=30 / 255, **SETTINGS)
    targets = classes_of(rank=2)
    attack.set_mode_targeted_by_label(quiet=True)
    found = attack(FLOATS, targets)
    plain = run(dfa.as_oracle(network()), epsilon=30, targets=targets.numpy())
    assert np.array_equal(as_images(found), plain.adversarial())
    assert plain.success.any()
    attack.set_mode_targeted_by_function(lambda inputs, labels: targets, quiet=True)
    assert torch.equal(attack(FLOATS, classes_of()), found)
    attack.set_mode_targeted_least_likely(quiet=True)
    attack(FLOATS, classes_of())
    assert [each.target for each in attack.result.records] == classes_of(rank=5).tolist()


def called(library, images, **settings):
    """Call a library's attack in 0..1."""
    attack_class = attack_of(library)
    settings = {"eps": 0.1, "labels": classes_of(), "model": network(), **SETTINGS, **settings}
    eps, labels, model = (settings.pop(name) for name in ("eps", "labels", "model"))
    if library == "foolbox":
        import foolbox

        model = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        return attack_class(**settings)(model, images, labels, epsilons=eps)[1]
    if library == "art":
        return attack_class(art_classifier(model), eps=eps, **settings).generate(images.numpy(), np.asarray(labels))
    return attack_class(model, eps=eps, **settings)(images, labels)


LIBRARIES = ["foolbox", "art", "torchattacks"]


@pytest.mark.parametrize("eps", [np.array(EPSILON / 255), torch.tensor(EPSILON / 255)], ids=["array", "tensor"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_an_eps_without_dimensions_is_a_number(library, eps):
    assert np.array_equal(called(library, FLOATS, eps=eps), called(library, FLOATS, eps=EPSILON / 255))


@pytest.mark.parametrize("library", LIBRARIES)
def test_integers_in_0_to_1_are_refused(library):
    """Black and white alone are integers there, and so no change within eps would be left of what is found."""
    with pytest.raises(InvalidInputError, match=r"within the bounds 0\.\.1 as float32, got int64"):
        called(library, (FLOATS > 0.5).long())


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_audit_of_what_comes_back_finds_that_saving_loses_nothing(library):
    attack_class = attack_of(library)
    settings = {"eps": EPSILON / 255, **SETTINGS}
    options = {}
    if library == "foolbox":
        import foolbox

        model = foolbox.PyTorchModel(network(), bounds=(0, 1), device="cpu")
        options = {"model": model, "options": {"epsilons": settings.pop("eps")}}
        attack = attack_class(**settings)
    else:
        attack = attack_class(art_classifier(network()) if library == "art" else network(), **settings)
    report = dfa.audit_attack(attack, None, IMAGES, classes_of().numpy(), **options)
    assert report.summary().SR == report.summary().TSR > 0
    assert report.linf_vector.max() == pytest.approx(EPSILON, abs=1e-4)


def test_a_real_model_by_foolbox_and_by_art(data):
    foolbox_attack, art_attack = attack_of("foolbox"), attack_of("art")
    import foolbox

    from torch_networks import MEAN, STD, resnet20

    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:5], file["labels"][:5].astype(np.int64)
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (MEAN, STD))
    network = resnet20(data)

    def ask(images):
        with torch.no_grad():
            return network((torch.tensor(images).permute(0, 3, 1, 2) / 255 - mean) / std)

    plain = run(dfa.as_oracle(ask, returns="logits"), images, labels, epsilon=3)
    assert plain.success.sum() >= 4
    x, y = torch.from_numpy(images).permute(0, 3, 1, 2) / 255, torch.from_numpy(labels)
    preprocessing = {"mean": MEAN, "std": STD, "axis": -3}
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu", preprocessing=preprocessing)
    found, _, success = foolbox_attack(**SETTINGS)(model, x, y, epsilons=3 / 255)
    assert np.array_equal(as_images(found), plain.adversarial())
    assert success.tolist() == plain.success.tolist()
    classifier = art_classifier(
        network, input_shape=(3, 32, 32), nb_classes=10, preprocessing=(mean.numpy()[0], std.numpy()[0])
    )
    found = art_attack(classifier, eps=3 / 255, **SETTINGS).generate(x.numpy(), labels)
    assert np.array_equal(as_images(found), plain.adversarial())


def test_without_its_library_a_module_says_how_to_install_it():
    code = """
import importlib, sys
for name in ("foolbox", "art", "torchattacks"):
    sys.modules[name] = None
    try:
        importlib.import_module(f"dfa.integrations.{name}")
    except ImportError as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["MissingDependencyError", f"dfa.integrations.{name}"] for name in ("foolbox", "art", "torchattacks")
    ]
    assert all("[audit]" in line for line in lines)
