"""Attacks of Foolbox, ART and torchattacks, built as their users build them, run and audited."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError

torch = pytest.importorskip("torch")

# Their import alone warns of SciPy's and NumPy's deprecations, and so do their attacks.
pytestmark = pytest.mark.filterwarnings("ignore", "error:The given NumPy array is not writable")

NUMBER = 12
IMAGES = np.random.default_rng(0).integers(60, 196, (NUMBER, 4, 4, 3), dtype=np.uint8)


def library(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"{name} is not installed: {error}")


class Linear(torch.nn.Module):
    """Three classes of the channel means, with a mean/std layer in front or without."""

    def __init__(self, standardised=False):
        super().__init__()
        self.linear = torch.nn.Linear(48, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(3, 48, generator=generator))
            self.linear.bias.copy_(-self.linear.weight.sum(1) / 2)
            if standardised:  # the same classifier of standardised vectors
                self.linear.bias.add_(self.linear.weight.sum(1) * 0.5)
                self.linear.weight.mul_(0.25)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x.flatten(1))


def classifier(images):
    with torch.no_grad():
        return Linear()(torch.tensor(images / 255, dtype=torch.float32).permute(0, 3, 1, 2)).numpy()


ORACLE = dfa.as_oracle(classifier, returns="logits")
LABELS = classifier(IMAGES).argmax(1)
TARGETS = classifier(IMAGES).argmin(1)


def check(report, epsilon=None):
    """Hold a report to what a plain loop over its vectors says."""
    model = Linear(standardised=abs(report.vectors).max() > 1.01).eval()
    vectors = report.vectors
    assert vectors.shape == (NUMBER, 3, 4, 4)
    with torch.no_grad():
        found = model(torch.tensor(vectors)).argmax(1).numpy()
    assert np.array_equal(report.class_vector, found)
    levels = vectors * 0.25 + 0.5 if abs(vectors).max() > 1.01 else vectors
    images = np.rint(np.moveaxis(levels, 1, -1) * 255).astype(np.uint8)
    assert np.array_equal(report.class_file[0, 0], classifier(images).argmax(1))
    assert report.linf_image[0].tolist() == np.abs(images.astype(int) - IMAGES).max((1, 2, 3)).tolist()
    if epsilon is not None:
        assert report.linf_vector.max() == pytest.approx(epsilon, abs=1e-3)
    assert report.seconds["attack"] > 0
    assert report.summary().attacked == NUMBER


def test_foolbox():
    foolbox = library("foolbox")
    model = foolbox.PyTorchModel(Linear().eval(), bounds=(0, 1), device="cpu")
    report = dfa.audit_attack(foolbox.attacks.LinfPGD(steps=5), ORACLE, IMAGES, LABELS, model=model, epsilon=30)
    check(report, epsilon=30)
    assert report.summary().SR > 0.3
    report = dfa.audit_attack(foolbox.attacks.L2DeepFoolAttack(), None, IMAGES, LABELS, model=model, batch_size=5)
    check(report)
    assert report.summary().SR == 1
    assert report.summary().GAP > 0
    options = {"epsilons": 0.05}
    report = dfa.audit_attack(foolbox.attacks.FGSM(), ORACLE, IMAGES, LABELS, model=model, options=options)
    check(report, epsilon=0.05 * 255)


def test_foolbox_targeted_and_with_other_bounds():
    foolbox = library("foolbox")
    model = foolbox.PyTorchModel(Linear().eval(), bounds=(0, 1), device="cpu").transform_bounds((-1, 1))
    attack = foolbox.attacks.L2CarliniWagnerAttack(steps=30, binary_search_steps=2)
    report = dfa.audit_attack(attack, ORACLE, IMAGES, LABELS, targets=TARGETS, model=model)
    assert report.vectors.min() < -0.1
    assert report.targets.tolist() == TARGETS.tolist()
    assert np.array_equal(report.adversarial_vector, report.class_vector == TARGETS)
    # Some end on the boundary itself, where the last bit decides, and Foolbox too calls them failures.
    vectors, targets = torch.tensor(report.vectors), torch.tensor(TARGETS)
    assert report.adversarial_vector.tolist() == (model(vectors).argmax(1) == targets).tolist()
    assert report.summary().SR > 0.2


@pytest.mark.parametrize(
    ("attack", "arguments", "message"),
    [
        ("LinfPGD", {}, "needs an epsilon"),
        ("L2PGD", {"epsilon": 8}, "needs an epsilon"),
        ("LinfPGD", {"options": {"epsilons": [0.1, 0.2]}}, "one epsilon at a time"),
        ("L2DeepFoolAttack", {"model": None}, "pass model= the Foolbox model"),
        ("L2DeepFoolAttack", {"labels": None}, "labels must be class ids"),
        ("L2DeepFoolAttack", {"images": IMAGES / 255}, "images must be uint8"),
    ],
)
def test_what_a_foolbox_attack_lacks_is_named(attack, arguments, message):
    foolbox = library("foolbox")
    arguments = {"images": IMAGES, "labels": LABELS} | arguments
    arguments.setdefault("model", foolbox.PyTorchModel(Linear().eval(), bounds=(0, 1), device="cpu"))
    with pytest.raises(InvalidInputError, match=message):
        dfa.audit_attack(getattr(foolbox.attacks, attack)(), ORACLE, **arguments)


def art_classifier(**arguments):
    art = library("art.estimators.classification")
    settings = {"input_shape": (3, 4, 4), "nb_classes": 3, "clip_values": (0.0, 1.0), "device_type": "cpu"} | arguments
    return art.PyTorchClassifier(Linear().eval(), torch.nn.CrossEntropyLoss(), **settings)


def test_art():
    evasion = library("art.attacks.evasion")
    report = dfa.audit_attack(
        evasion.FastGradientMethod(art_classifier(), eps=20 / 255), ORACLE, IMAGES, LABELS, epsilon=20
    )
    check(report, epsilon=20)
    report = dfa.audit_attack(evasion.DeepFool(art_classifier(), verbose=False), None, IMAGES, LABELS)
    check(report)
    assert report.summary().SR > 0.8
    attack = evasion.ProjectedGradientDescent(art_classifier(), eps=0.3, targeted=True, verbose=False)
    report = dfa.audit_attack(attack, ORACLE, IMAGES, LABELS, targets=TARGETS)
    check(report)
    assert report.summary().SR == 1
    mask = np.zeros((3, 4, 4), dtype=np.float32)
    report = dfa.audit_attack(
        evasion.ProjectedGradientDescent(art_classifier(), verbose=False),
        ORACLE,
        IMAGES,
        LABELS,
        options={"mask": mask},
    )
    assert report.linf_image.max() == 0


def test_art_labels_of_a_saliency_map_are_targets():
    evasion = library("art.attacks.evasion")
    attack = evasion.SaliencyMapMethod(art_classifier(), theta=0.3, gamma=1.0, verbose=False)
    report = dfa.audit_attack(attack, ORACLE, IMAGES, LABELS)
    assert report.summary().SR > 0.5


@pytest.mark.parametrize("targeted", [True, False])
def test_targets_go_with_a_targeted_art_attack(targeted):
    evasion = library("art.attacks.evasion")
    attack = evasion.FastGradientMethod(art_classifier(), targeted=targeted)
    with pytest.raises(InvalidInputError, match=f"has targeted={targeted}"):
        dfa.audit_attack(attack, ORACLE, IMAGES, LABELS, targets=None if targeted else TARGETS)


def test_an_art_estimator_must_say_its_range():
    evasion = library("art.attacks.evasion")
    attack = evasion.FastGradientMethod(art_classifier(clip_values=None))
    with pytest.raises(InvalidInputError, match="no clip_values"):
        dfa.audit_attack(attack, ORACLE, IMAGES, LABELS)
    report = dfa.audit_attack(
        evasion.FastGradientMethod(art_classifier(clip_values=None), eps=1 / 255),
        ORACLE,
        IMAGES,
        LABELS,
        normalizer=dfa.Affine(layout="NCHW"),
    )
    check(report, epsilon=1)


def test_torchattacks():
    torchattacks = library("torchattacks")
    report = dfa.audit_attack(torchattacks.PGD(Linear().eval(), eps=25 / 255), ORACLE, IMAGES, LABELS, epsilon=25)
    check(report, epsilon=25)
    report = dfa.audit_attack(torchattacks.DeepFool(Linear().eval()), None, IMAGES, LABELS, batch_size=5)
    check(report)
    assert report.summary().SR == 1


def test_torchattacks_normalization_and_targets(capsys):
    torchattacks = library("torchattacks")
    attack = torchattacks.PGD(Linear(standardised=True).eval(), eps=80 / 255, alpha=20 / 255)
    attack.set_normalization_used(mean=[0.5] * 3, std=[0.25] * 3)
    attack.set_mode_targeted_by_label(quiet=True)
    report = dfa.audit_attack(attack, ORACLE, IMAGES, LABELS, targets=TARGETS)
    check(report, epsilon=80)
    assert report.summary().SR > 0.5
    with pytest.raises(InvalidInputError, match="set_mode_targeted_by_label"):
        dfa.audit_attack(attack, ORACLE, IMAGES, LABELS)
    attack.set_mode_targeted_random(quiet=True)
    with pytest.raises(InvalidInputError, match=r"targeted\(random\)"):
        dfa.audit_attack(attack, ORACLE, IMAGES, LABELS, targets=TARGETS)


def test_an_attack_that_cannot_show_itself_is_audited_all_the_same():
    class Endless(library("art.attacks.evasion").FastGradientMethod):  # as ART's own SquareAttack
        def __repr__(self):
            return repr(self)

    attack = Endless(art_classifier(), eps=20 / 255)
    report = dfa.audit_attack(attack, ORACLE, IMAGES, LABELS)
    assert report.config["attack"].endswith("Endless")


def test_other_objects_are_refused():
    with pytest.raises(InvalidInputError, match="must be a Foolbox, ART"):
        dfa.audit_attack(object(), ORACLE, IMAGES, LABELS)
    torchattacks = library("torchattacks")
    with pytest.raises(InvalidInputError, match="model goes with a Foolbox attack"):
        dfa.audit_attack(torchattacks.FGSM(Linear().eval()), ORACLE, IMAGES, LABELS, model=Linear())


def test_a_wrong_oracle_shows_at_once():
    """An oracle of another normalizer than the attack's."""
    torchattacks = library("torchattacks")
    other = dfa.as_oracle(lambda images: -classifier(images), returns="logits")
    with pytest.raises(InvalidInputError, match="must agree with the oracle about clean images"):
        dfa.audit_attack(torchattacks.FGSM(Linear().eval()), other, IMAGES, LABELS)
