"""Whether a method keeps its contract: what every method of this package is tested for, for methods of others too.

from wsol.testing import check_method

def test_my_method_keeps_the_contract():
    check_method(Mine)
"""

import copy
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from wsol.backbones import Backbone
from wsol.backbones.chain import Chain
from wsol.backbones.tokens import Tokens
from wsol.errors import Unable, WsolError
from wsol.methods.around import Around
from wsol.methods.cam import CAM
from wsol.methods.contract import Labels, Method, Terms, cross_entropy
from wsol.methods.stack import options_of, stack
from wsol.nn.heads import Head

CLASSES = 5
SIDE = 32  # pixels


@dataclass(frozen=True)
class Subject:
    """A method under test.

    title: its name in the sentences of errors.
    make: builds it on a backbone.
    kinds: its class, the outermost first where several go around one another.
    """

    title: str
    make: Callable[[Backbone], Method]
    kinds: tuple[type[Method], ...]

    def built(self, normed: bool = False, loud: bool = True) -> Method:
        """In training mode, with the same weights each time.

        loud: class weights of size 1, so that classes, photos and streams differ by more than rounding.
        """
        method = on_small_backbone(self.make, normed).train()
        for head in (module for module in method.modules() if loud and isinstance(module, Head)):
            nn.init.normal_(head.classifier.weight)
        return method

    def must(self, holds: Any, sentence: str) -> None:
        """Raises AssertionError with a sentence where something does not hold."""
        if not holds:
            raise AssertionError(f"{self.title}: {sentence}")


def check_method(method: type[Method] | str, **options: Any) -> None:
    """Checks a method on small networks, in a few seconds. Raises AssertionError that says what is broken.

    method: a class, or the name of a registered one, or of several around one another (`has+mine`). A class that goes
        around others is checked around CAM.
    options: hyper-parameters.
    """
    for check in CHECKS:
        check(subject(method, **options))


def subject(method: type[Method] | str, **options: Any) -> Subject:
    """What `check_method` checks, to run one of CHECKS alone."""
    if isinstance(method, str):
        named = stack(method)
        options = _narrow(named.options, options)
        return Subject(named.title, lambda backbone: named.build(backbone, CLASSES, **options), named.kinds)
    make: Callable[..., Method] = method
    if issubclass(method, Around):
        return Subject(
            method.__name__, lambda backbone: make(CAM(backbone, CLASSES, **method.inside), **options), (method, CAM)
        )
    options = _narrow(options_of(method), options)
    return Subject(method.__name__, lambda backbone: make(backbone, CLASSES, **options), (method,))


def small_backbone(normed: bool = False) -> Backbone:
    """Three rectified stages a, b and c, with batch norm or without; 32 pixels give 8x8 cells of 10 channels."""
    torch.manual_seed(0)
    stages, layers = {}, []
    for name, (inward, outward, stride) in {"a": (3, 6, 2), "b": (6, 8, 2), "c": (8, 10, 1)}.items():
        first = len(layers)
        layers += [nn.Conv2d(inward, outward, 3, stride, 1), *([nn.BatchNorm2d(outward)] if normed else []), nn.ReLU()]
        stages[name] = [str(index) for index in range(first, len(layers))]
    return Chain(nn.Sequential(*layers), stages)


def small_transformer() -> Backbone:
    """Two blocks of a vision transformer with a class token; 32 pixels give 4x4 cells of 12 channels."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": SIDE, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 2}
    return Tokens(VisionTransformer(**sizes, num_classes=0, dynamic_img_size=True))


def on_small_backbone(make: Callable[[Backbone], Method], normed: bool = False) -> Method:
    """A method on a small convolutional network, or on a small transformer where that one cannot do what it needs."""
    backbone = small_backbone(normed)
    torch.manual_seed(0)
    try:
        return make(backbone)
    except Unable:
        backbone = small_transformer()
        torch.manual_seed(0)
        return make(backbone)


def small_batch(photos: int = 4) -> tuple[Tensor, Tensor]:
    """Images (b, 3, 32, 32) of noise and their labels (b,)."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(photos, 3, SIDE, SIDE, generator=generator)
    return images, torch.randint(CLASSES, (photos,), generator=generator)


def asked_by(method: Method, photos: int = 4, progress: float = 1.0) -> dict[str, Any]:
    """What the loss declares beside images and labels."""
    boxes = torch.tensor([[4.0, 8.0, 20.0, 28.0]]).expand(photos, -1) + torch.arange(float(photos))[:, None]
    given = {"progress": progress, "pseudo_boxes": boxes, "true_boxes": boxes[:, None]}
    return {name: given[name] for name in method.asked}


def losses(method: Method, images: Tensor, labels: Labels) -> Terms:
    """The loss, with the same draws each time."""
    torch.manual_seed(0)
    return method.loss(images, labels, **asked_by(method, len(images)))


def settings_are_explained_and_have_defaults(subject: Subject) -> None:
    for kind in subject.kinds:
        told = "\n".join(inspect.cleandoc(base.__doc__ or "") for base in kind.__mro__)
        asked = inspect.signature(kind.heatmaps).parameters.values()
        at_test = [setting for setting in asked if setting.kind is inspect.Parameter.KEYWORD_ONLY]
        for setting in (*options_of(kind).values(), *at_test):
            name = setting.name
            subject.must(setting.default is not inspect.Parameter.empty, f"the setting {name!r} has no default")
            subject.must(re.search(rf"(?m)^{name}: \S", told), f"no docstring has a line `{name}: what it is`")


def true_boxes_go_to_methods_that_say_so(subject: Subject) -> None:
    says = subject.kinds[-1].learns_from == "validation boxes"
    asks = "true_boxes" in subject.built().asked
    subject.must(says or not asks, "the loss asks for true_boxes, but learns_from is not 'validation boxes'")
    subject.must(asks or not says, "learns_from is 'validation boxes', but the loss asks for no true_boxes")


def logits_are_zero_where_it_says_so(subject: Subject) -> None:
    says = subject.kinds[-1].names_classes
    found = subject.built().eval().predict(small_batch()[0]).logits.any()
    subject.must(says or not found, "names_classes is False, but its logits are not zero")
    subject.must(found or not says, "its logits are zero, but names_classes is not False")


def loss_is_finite_and_reaches_every_parameter(subject: Subject) -> None:
    method = subject.built(normed=True)
    terms = losses(method, *small_batch())
    subject.must(isinstance(terms, dict) and terms, "the loss must be a dictionary of named terms")
    for name, term in terms.items():
        subject.must(term.dim() == 0 and torch.isfinite(term), f"the term {name!r} is no single finite number")
    sum(terms.values()).backward()  # type: ignore[union-attr]
    without = [name for name, parameter in method.named_parameters() if parameter.grad is None]
    subject.must(not without, f"the loss gives no gradient to {', '.join(without)}")


def training_in_parts_is_training_at_once(subject: Subject) -> None:
    images, labels = small_batch()
    whole = losses(subject.built(), images, labels)
    method = subject.built()  # anew: a loss may keep what it saw, as batch norm does
    torch.manual_seed(0)
    parts = [part for part in method.loss_parts(images, labels, **asked_by(method))]
    merged = {name: term for part in parts for name, term in part.items()}
    subject.must(merged.keys() == whole.keys(), "loss_parts has other terms than loss")
    for name, term in merged.items():
        subject.must(torch.isclose(term, whole[name]), f"the term {name!r} differs between loss_parts and loss")


def training_on_one_batch_learns_it(subject: Subject) -> None:
    method = subject.built(loud=False)
    images, labels = small_batch()
    optimiser = torch.optim.Adam(method.parameters(), 0.01)
    first, scores = losses(method, images, labels), method.eval().predict(images).logits
    method.train()
    torch.manual_seed(1)
    for _ in range(120):
        optimiser.zero_grad()
        sum(method.loss(images, labels, **asked_by(method)).values()).backward()  # type: ignore[union-attr]
        optimiser.step()
    last, learnt = losses(method, images, labels), method.eval().predict(images).logits
    subject.must(sum(last.values()) < sum(first.values()), "120 steps on one batch do not lower its loss")
    if subject.kinds[-1].names_classes:
        halved = cross_entropy(learnt, labels) < 0.5 * cross_entropy(scores, labels)
        subject.must(halved, "after 120 steps on one batch its classes are hardly better told than before")
        subject.must((learnt.argmax(1) == labels).all(), "after 120 steps on one batch its classes are not told")
    else:
        subject.must(sum(last.values()) < 0.5 * sum(first.values()), "120 steps on one batch hardly lower its loss")


def heatmaps_answer_for_any_classes_in_any_order(subject: Subject) -> None:
    method = subject.built().eval()
    with torch.no_grad():
        prediction = method.predict(small_batch()[0])
        several = method.heatmaps(prediction, torch.tensor([[0, 3, 0]] * 4))
        one = method.heatmaps(prediction, torch.tensor([[3]] * 4))
    subject.must(tuple(prediction.logits.shape) == (4, CLASSES), "logits must be (photos, classes)")
    subject.must(tuple(several.shape[:2]) == (4, 3) and several.dim() == 4, "heatmaps must be (photos, asked, h, w)")
    subject.must(torch.allclose(several[:, 0], several[:, 2]), "a class asked twice has two heatmaps")
    subject.must(torch.allclose(several[:, 1], one[:, 0]), "a class's heatmap depends on what else is asked")


def a_photo_is_judged_alone_and_prediction_changes_nothing(subject: Subject) -> None:
    method = subject.built(normed=True).eval()
    before = copy.deepcopy(method.state_dict())
    images, _ = small_batch()
    asked = torch.tensor([[1]] * 4)
    with torch.no_grad():
        together, again, alone = method.predict(images), method.predict(images), method.predict(images[2:3])
        maps, map_alone = method.heatmaps(together, asked), method.heatmaps(alone, asked[:1])
    changed = [name for name, value in method.state_dict().items() if not torch.equal(value, before[name])]
    subject.must(not changed, f"prediction changes {', '.join(changed)}")
    subject.must(torch.equal(together.logits, again.logits), "two predictions of the same photos differ")
    alike = torch.allclose(together.logits[2:3], alone.logits, rtol=1e-4, atol=1e-5)
    subject.must(alike, "a photo's logits depend on the other photos of the batch")
    alike = torch.allclose(maps[2:3], map_alone, rtol=1e-3, atol=1e-4)
    subject.must(alike, "a photo's heatmap depends on the other photos of the batch")


def soft_and_many_labels_train_too(subject: Subject) -> None:
    method = subject.built()
    images, labels = small_batch()
    hard = nn.functional.one_hot(labels, CLASSES)
    whole, soft = losses(subject.built(), images, labels), losses(subject.built(), images, hard.float())
    for name, term in whole.items():
        subject.must(torch.isclose(term, soft[name]), f"the term {name!r} differs between a label and its soft form")
    several = [torch.isin(torch.arange(CLASSES), torch.tensor(two)).expand(4, -1) for two in ((0, 1), (0, 2), (1, 2))]
    many = [losses(method, images, classes) for classes in several]
    sum(many[0].values()).backward()  # type: ignore[union-attr]
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    finite = all(torch.isfinite(value).all() for value in (*many[0].values(), *gradients))
    subject.must(finite, "photos of several classes give a loss or a gradient that is not finite")
    if subject.kinds[-1].names_classes:
        for one, other in pairwise(many):  # these two have a class in common, the first or the last
            read = any(not torch.isclose(term, other[name]) for name, term in one.items())
            subject.must(read, "photos of several classes are taken for photos of one")


def batch_norms_count_one_pass(subject: Subject) -> None:
    """Erased, changed and frozen streams leave the running statistics alone."""
    method = subject.built(normed=True)
    losses(method, *small_batch())
    counts = {int(value) for name, value in method.backbone.named_buffers() if name.endswith("num_batches_tracked")}
    times = max(counts, default=0)  # a transformer has none
    subject.must(counts <= {1}, f"a step updates the backbone's running statistics {times} times, not once")


def new_layers_are_its_own(subject: Subject) -> None:
    method = subject.built()
    own = {id(parameter) for parameter in method.parameters()}
    backbone = {id(parameter) for parameter in method.backbone.parameters()}
    new = {id(parameter) for module in method.new_layers() for parameter in module.parameters()}
    subject.must(new <= own, "new_layers names a module that is not the method's")
    subject.must(not new & backbone, "new_layers names a part of the backbone, whose weights were trained before")


def a_frozen_backbone_stays_as_it_is(subject: Subject) -> None:
    method = subject.built(normed=True)
    try:
        method.freeze("all")
    except WsolError:
        return  # the method says that it cannot be trained so
    before = copy.deepcopy(method.backbone.state_dict())
    sum(losses(method, *small_batch()).values()).backward()  # type: ignore[union-attr]
    reached = [name for name, parameter in method.backbone.named_parameters() if parameter.grad is not None]
    subject.must(not reached, f"the loss gives a gradient to {', '.join(reached)}, which the setting freeze forbids")
    changed = [name for name, value in method.backbone.state_dict().items() if not torch.equal(value, before[name])]
    subject.must(not changed, f"training changes {', '.join(changed)}, which the setting freeze forbids")


def cached_features_give_the_loss_of_photos(subject: Subject) -> None:
    """Or the method says that it needs more than the features."""
    method = subject.built(normed=True)
    images, labels = small_batch()
    try:
        method.freeze("a")
        with method.backbone.fed(method.backbone.frozen_features(images), SIDE) as stand_ins:
            cached = losses(method, stand_ins, labels)
    except WsolError:
        return
    for name, term in losses(method, images, labels).items():
        subject.must(torch.isclose(term, cached[name]), f"the term {name!r} differs with the setting cache_features")


def mixed_precision_gives_a_finite_loss(subject: Subject) -> None:
    method = subject.built()
    with torch.autocast("cpu", torch.bfloat16):
        terms = losses(method, *small_batch())
    subject.must(all(math.isfinite(term.item()) for term in terms.values()), "the loss under bf16 is not finite")


CHECKS = (
    settings_are_explained_and_have_defaults,
    true_boxes_go_to_methods_that_say_so,
    logits_are_zero_where_it_says_so,
    loss_is_finite_and_reaches_every_parameter,
    training_in_parts_is_training_at_once,
    heatmaps_answer_for_any_classes_in_any_order,
    a_photo_is_judged_alone_and_prediction_changes_nothing,
    soft_and_many_labels_train_too,
    batch_norms_count_one_pass,
    new_layers_are_its_own,
    a_frozen_backbone_stays_as_it_is,
    cached_features_give_the_loss_of_photos,
    mixed_precision_gives_a_finite_loss,
    training_on_one_batch_learns_it,
)


def _narrow(known: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options, with narrow heads where the caller says nothing of their width."""
    return {name: width for name, width in {"head_width": 8}.items() if name in known} | options
