"""What every registered method must do, whatever its paper says; and that the check catches methods that do not."""

import copy
from dataclasses import replace

import pytest
import torch
from oracles.networks import batch, normed, plain

from wsol import registry
from wsol.methods.cam import CAM
from wsol.methods.contract import Method, Prediction, cross_entropy
from wsol.methods.stack import stack
from wsol.nn.maps import min_max
from wsol.testing import CHECKS, asked_by, check_method, losses, small_transformer, subject

NAMES = registry.names("methods")
EVERY = pytest.mark.parametrize("name", NAMES)
# photos of noise are small, their maps flat at beta 10, and alpha 100 hears nothing of classes for long
LEARNABLE = {"has": {"patch": 8}, "sltnet": {"beta": 0.1}, "trilite": {"alpha": 1.0, "class_dropout": 0.0}}
# under which these leave photos and features alone, and count every photo fully
QUIET = {
    "has": {"hide_rate": 0.0},
    "cutmix": {"mix_rate": 0.0},
    "adl": {"drop_rate": 1.0, "drop_threshold": 1.01},
    "sltnet": {"alpha": 1.0},
    "trilite": {"class_dropout": 0.0},
    "spg": {"dropout": 0.0},
    "i2c": {"dropout": 0.0},
    "danet": {"class_weight": 1.0},
    "tscam": {"drop_path": 0.0},
}
ATTENTIVE = {"tscam"}  # on a transformer whatever network is asked for
AGNOSTIC = {"sltnet", "regressor", "fewshot", "trilite", "nlccam", "gcnet"}  # one heatmap for all classes


def made(name: str, backbone, **options) -> Method:
    torch.manual_seed(0)
    kind = stack(name)
    backbone = small_transformer() if name in ATTENTIVE else backbone
    return kind.build(backbone, 5, **{"head_width": 8} if "head_width" in kind.options else {}, **options)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@EVERY
def test_every_method_keeps_the_contract(name: str, check) -> None:
    check(subject(name, **LEARNABLE.get(name, {})))


@EVERY
def test_on_a_real_network_the_loss_reaches_every_parameter(name: str) -> None:
    network = made(name, normed()).train()
    terms = losses(network, *batch(64))
    assert all(term.dim() == 0 and torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@EVERY
def test_on_a_real_network_a_photo_is_judged_alone_and_prediction_changes_nothing(name: str) -> None:
    network = made(name, normed()).eval()
    before = copy.deepcopy(network.state_dict())
    images, _ = batch(64)
    with torch.no_grad():
        together, alone = network.predict(images), network.predict(images[2:3])
        maps = network.heatmaps(together, torch.tensor([[1]] * 4))
        map_alone = network.heatmaps(alone, torch.tensor([[1]]))
    torch.testing.assert_close(together.logits[2:3], alone.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps[2:3], map_alone, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@EVERY
def test_heatmaps_differ_from_class_to_class_unless_a_method_says_one_for_all(name: str) -> None:
    network = made(name, plain()).eval()
    with torch.no_grad():
        several = network.heatmaps(network.predict(batch()[0]), torch.tensor([[0, 3]] * 4))
    assert torch.allclose(min_max(several[:, 0]), min_max(several[:, 1])) == (name in AGNOSTIC)


@EVERY
def test_the_running_statistics_are_those_of_one_intact_pass(name: str) -> None:
    """Erased and other streams leave batch norm's running statistics alone."""
    network = made(name, normed(), **QUIET.get(name, {})).train()
    images, labels = batch(64)
    other = copy.deepcopy(network.backbone)
    losses(network, images, labels)
    other(images)
    for (name, one), two in zip(network.backbone.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=name)


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("cam", "classification"),
        ("acol", "a"),
        ("eil", "intact"),
        ("meil", "intact"),
        ("sltnet", "classification"),
        ("bas", "classification"),
        ("aepl", "classification"),
        ("ega", "clean_classification"),
        ("has", "classification"),
        ("cutmix", "classification"),
        ("adl", "classification"),
        ("trilite", "classification"),
        ("spg", "classification"),
        ("i2c", "classification"),
        ("danet", "species"),
        ("nlccam", "classification"),
        ("tscam", "classification"),
        ("gcnet", "classification"),
    ],
)
def test_prediction_has_the_logits_that_training_judges(name: str, term: str) -> None:
    images, labels = batch()
    network = made(name, plain(), **QUIET.get(name, {})).train()
    for head in (module for module in network.modules() if hasattr(module, "classifier")):
        torch.nn.init.normal_(head.classifier.weight)
    expected = cross_entropy(network.predict(images).logits, labels)
    torch.testing.assert_close(losses(network, images, labels)[term], expected)
    assert set(NAMES) - {"regressor", "fewshot"} == {mark[0] for mark in TOLD}


TOLD = test_prediction_has_the_logits_that_training_judges.pytestmark[0].args[1]


class NotFinite(CAM):
    def loss(self, images, labels):
        return {"classification": super().loss(images, labels)["classification"] * float("nan")}


class ForgetsItsHead(CAM):
    def loss(self, images, labels):
        logits, _ = self.head(self.backbone(images))
        return {"classification": cross_entropy(logits.detach() + self.backbone(images).mean(), labels)}


class LearnsFromPrediction(CAM):
    def predict(self, images):
        self.backbone.train()
        return super().predict(images)


class ComparesPhotos(CAM):
    def predict(self, images):
        prediction = super().predict(images)
        return Prediction(prediction.logits - prediction.logits.mean(0), prediction.evidence)


class NumbersThePlaces(CAM):
    def heatmaps(self, prediction, classes):
        return super().heatmaps(prediction, classes) + torch.arange(classes.shape[1])[:, None, None]


class SortsTheClasses(CAM):
    def heatmaps(self, prediction, classes):
        return super().heatmaps(prediction, classes.sort(1).values)


class AnswersForOne(CAM):
    def heatmaps(self, prediction, classes):
        return super().heatmaps(prediction, classes[:, :1])


class PredictsWithoutWhatItLearnt(CAM):
    def predict(self, images):
        logits, class_maps = self.head(self.backbone(images))
        return Prediction(-logits, {"class_maps": class_maps})


class TakesTheFirstOfSeveral(CAM):
    def loss(self, images, labels):
        return super().loss(images, labels if labels.dim() == 1 else labels.float().argmax(1))


class RunsTwice(CAM):
    def loss(self, images, labels):
        self.backbone(images)
        return super().loss(images, labels)


class CallsTheBackboneNew(CAM):
    def new_layers(self):
        return [self.head, self.backbone]


class HasNoDefault(CAM):
    """strength: how much."""

    def __init__(self, backbone, classes, strength):
        super().__init__(backbone, classes)


class ExplainsNothing(CAM):
    def __init__(self, backbone, classes, strength=1.0):
        super().__init__(backbone, classes)


class AsksAtTestWithoutAWord(CAM):
    def heatmaps(self, prediction, classes, *, power=1):
        return super().heatmaps(prediction, classes) ** power


class TakesTrueBoxesInSilence(CAM):
    def loss(self, images, labels, true_boxes=None):
        return super().loss(images, labels)


class ForgetsItsTrueBoxes(CAM):
    learns_from = "validation boxes"


class NamesInSilence(CAM):
    names_classes = False


class NamesNothing(CAM):
    def predict(self, images):
        said = super().predict(images)
        return replace(said, logits=torch.zeros_like(said.logits))


class LosesAPart(CAM):
    def loss_parts(self, images, labels):
        yield {"classification": 2 * super().loss(images, labels)["classification"]}


class OverflowsInHalfPrecision(CAM):
    def loss(self, images, labels):
        logits, _ = self.head(self.backbone(images))
        return {"classification": cross_entropy(logits, labels) / float(logits.dtype != torch.bfloat16)}


class ReadsThePhotos(CAM):
    def loss(self, images, labels):
        return {"classification": super().loss(images, labels)["classification"] * (1 + images.mean())}


class WakesTheBackbone(CAM):
    def loss(self, images, labels):
        for module in self.backbone.modules():
            module.training = True
        return super().loss(images, labels)


class TrainsWhatIsFrozen(CAM):
    def loss(self, images, labels):
        self.backbone.requires_grad_(True)
        return super().loss(images, labels)


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (ReadsThePhotos, "differs with the setting cache_features"),
        (WakesTheBackbone, "training changes .*running_mean"),
        (TrainsWhatIsFrozen, "gives a gradient to 0.weight"),
        (NotFinite, "no single finite number"),
        (ForgetsItsHead, "no gradient to head.classifier.weight"),
        (LearnsFromPrediction, "prediction changes backbone"),
        (ComparesPhotos, "logits depend on the other photos"),
        (NumbersThePlaces, "a class asked twice has two heatmaps"),
        (SortsTheClasses, "depends on what else is asked|asked twice"),
        (AnswersForOne, "heatmaps must be"),
        (PredictsWithoutWhatItLearnt, "hardly better told"),
        (TakesTheFirstOfSeveral, "taken for photos of one"),
        (RunsTwice, "running statistics 2 times"),
        (CallsTheBackboneNew, "a part of the backbone"),
        (HasNoDefault, "'strength' has no default"),
        (ExplainsNothing, "no docstring has a line `strength"),
        (AsksAtTestWithoutAWord, "no docstring has a line `power"),
        (TakesTrueBoxesInSilence, "but learns_from is not"),
        (ForgetsItsTrueBoxes, "but the loss asks for no true_boxes"),
        (NamesInSilence, "but its logits are not zero"),
        (NamesNothing, "but names_classes is not False"),
        (LosesAPart, "differs between loss_parts and loss"),
        (OverflowsInHalfPrecision, "under bf16"),
    ],
)
def test_a_broken_method_is_told_what_is_broken(method: type[Method], sentence: str) -> None:
    options = {"strength": 1.0} if method is HasNoDefault else {}
    with pytest.raises(AssertionError, match=f"{method.__name__}: .*({sentence})"):
        check_method(method, **options)


def test_a_sound_method_of_somebody_else_passes() -> None:
    class Sound(CAM):
        """CAM again."""

    check_method(Sound)
    check_method("has+eil", patch=8)
    assert asked_by(made("bas", plain())) == {"progress": 1.0}
