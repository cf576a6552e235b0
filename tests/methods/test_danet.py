"""DANet against its slow twin, its limiting cases, and the label trees that it learns."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import methods as oracle
from oracles.networks import batch, loud, plain

import wsol
from wsol.data import Creatures
from wsol.data.label_tree import grouped, label_tree, numbered
from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.contract import cross_entropy
from wsol.methods.cutmix import CutMix
from wsol.methods.danet import DANet
from wsol.methods.stack import stack
from wsol.nn.maps import likeness
from wsol.runs.folder import Run
from wsol.runs.settings import resolve
from wsol.training.train import _with_tree

FAMILIES, ORDERS = (0, 1, 1, 2, 0), (0, 0, 0, 1, 0)
TREES = [list(ORDERS), list(FAMILIES), list(range(5))]


def make(**options) -> DANet:
    torch.manual_seed(2)
    options = {"families": FAMILIES, "orders": ORDERS, "head_width": 6, "maps": 3, "compared": 4} | options
    return loud(DANet(plain(), 5, **options))


@pytest.mark.parametrize("options", [{}, {"maps": 1, "compared": 3}, {"class_weight": 2.0, "divergence_weight": 1.0}])
def test_each_loss_equals_the_slow_twin(options: dict) -> None:
    images, labels = batch()
    method = make(**options)
    torch.manual_seed(7)
    terms = method.loss(images, labels)
    torch.manual_seed(7)
    drawn = torch.randperm(3 * options.get("maps", 3))[: options.get("compared", 4)].tolist()
    expected = oracle.danet(method, images, labels.tolist(), TREES, drawn)
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, abs=1e-5), name


def test_a_heatmap_is_the_sum_of_three_levels_at_the_largest_size() -> None:
    images, labels = batch()
    method = make()
    heatmaps = method.heatmaps(method.predict(images), torch.stack([labels, (labels + 1) % 5], 1))
    assert heatmaps.shape == (4, 2, 16, 16)
    for i, image in enumerate(images):
        for place, label in enumerate((int(labels[i]), (int(labels[i]) + 1) % 5)):
            expected = oracle.danet_heatmap(method, image, label, TREES)
            torch.testing.assert_close(heatmaps[i, place], expected, rtol=1e-4, atol=1e-5)


def test_one_map_a_class_without_divergence_is_cam_with_two_more_classifiers() -> None:
    images, labels = batch()
    method = make(maps=1, compared=2, divergence_weight=0.0, class_weight=1.0, families=(), orders=())
    terms = method.loss(images, labels)
    cam = CAM(method.backbone, 5, head_depth=2, head_width=6)
    cam.head.load_state_dict(method.head_species.state_dict())
    torch.testing.assert_close(terms["species"], cam.loss(images, labels)["classification"])
    torch.testing.assert_close(method.predict(images).logits, cam.predict(images).logits)
    assert terms["divergence"] == 0


def test_likeness_is_one_for_equal_maps_and_nothing_for_maps_that_share_no_cell() -> None:
    maps = torch.rand(2, 1, 4, 4).expand(-1, 5, -1, -1)
    assert likeness(maps).item() == pytest.approx(1)
    apart = torch.eye(16).view(1, 16, 4, 4)
    assert likeness(apart).item() == pytest.approx(0, abs=1e-7)
    opposed = torch.stack([maps[0, 0], -maps[0, 0]])[None]
    assert likeness(opposed).item() == pytest.approx(1)  # of the sum, not of each pair, the size counts


def test_soft_labels_add_up_in_groups_and_one_true_class_makes_its_group_true() -> None:
    images, _ = batch(b=2)
    method = make()
    soft = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0], [0.0, 0.0, 0.0, 0.5, 0.5]])
    several = torch.tensor([[True, False, False, True, False], [False, True, True, False, False]])
    answers = {name: head(features)[0] for name, head, _, features in method.levels(images)}
    for labels, families in (
        (soft, torch.tensor([[0.1, 0.5, 0.4], [0.5, 0.0, 0.5]])),
        (several, torch.tensor([[True, False, True], [False, True, False]])),
    ):
        expected = 0.5 * cross_entropy(answers["families"], families)
        torch.testing.assert_close(method.loss(images, labels)["families"], expected)


def test_cutmix_mixes_classes_not_maps() -> None:
    images, labels = batch()
    method = CutMix(make())
    assert method.classes == 5 and torch.isfinite(sum(method.loss(images, labels).values()))


def test_group_lists_that_do_not_fit_are_refused() -> None:
    for options in ({"families": (0, 1)}, {"orders": (0, 1, 2)}, {"families": (0, 1, 1, 2, -1)}):
        with pytest.raises(ValueError, match="takes a number from 0 on for each of 5 classes"):
            make(**options)


NAMES = ["001.Brewer_Blackbird", "Rusty Blackbird", "Least-Auklet", "003", "crested auklet 2"]


def test_classes_whose_names_end_in_the_same_word_are_a_family() -> None:
    assert label_tree(None, NAMES) == ((0, 0, 1, 2, 1), (0, 0, 1, 2, 1))


def test_a_table_gives_families_and_orders(tmp_path: Path) -> None:
    path = tmp_path / "tree.csv"
    path.write_text("\ufefforder,class,family\nx,b,f\n,c,g\nx,a,f\ny,unused,h\n", encoding="utf-8")
    assert label_tree(path, ["a", "b", "c"]) == ((0, 0, 1), (0, 0, 1))
    path.write_text("class,family,order\nb,f,x\nc,g,x\na,h,y\n", encoding="utf-8")
    assert label_tree(path, ["a", "b", "c"]) == ((0, 1, 2), (0, 1, 1))
    path.write_text("class,family\na,f\nb,f\n", encoding="utf-8")
    assert label_tree(path, ["a", "b"]) == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("class,family\na,f\nb,\n", "2 of 3 classes have no family: b, c; add a line for each"),
        ("name,group\na,f\n", "is no table of classes; its first line must be class,family,order"),
        ("", "is no table of classes"),
        (None, "no such file|cannot be read"),
        (b"class,family\n\xff\xfe", "cannot be read"),
    ],
)
def test_a_table_that_is_wrong_is_named(tmp_path: Path, content: str | bytes | None, said: str) -> None:
    path = tmp_path / "tree.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(WsolError, match=f"tree.csv: .*({said})") as caught:
        label_tree(path, ["a", "b", "c"])
    assert "\n" not in str(caught.value)


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 9))
def test_groups_equal_the_slow_twin(seed: int, classes: int, count: int) -> None:
    random = np.random.default_rng(seed)
    rates = random.random((classes, classes)) * (random.random((classes, classes)) < 0.4)
    groups = [[place] for place in range(classes)]

    def closeness(pair: tuple[list[int], list[int]]) -> float:
        return np.mean([rates[one, other] + rates[other, one] for one in pair[0] for other in pair[1]])

    while len(groups) > count:
        nearest = max(combinations(groups, 2), key=closeness)
        if closeness(nearest) == 0:
            break
        groups = [group for group in groups if group not in nearest] + [nearest[0] + nearest[1]]
    expected = numbered([next(i for i, group in enumerate(groups) if place in group) for place in range(classes)])
    assert grouped(rates, count) == expected


def test_names_that_say_nothing_are_told_of() -> None:
    danet = stack("danet")
    with pytest.warns(UserWarning, match="each is a family of its own; give --label-tree"):
        given_tree = _with_tree(danet, resolve(danet, None, {}), ("crow", "wren", "gull"))
    assert given_tree.options["families"] == (0, 1, 2)


BIRDS = ["crow", "raven", "wren", "robin", "gull", "tern"]
CONFUSED = {
    "crow": {"crow": 6, "raven": 4},
    "raven": {"raven": 9, "crow": 1},
    "wren": {"wren": 7, "robin": 2, "crow": 1},
    "gull": {"gull": 8, "tern": 2},
    "tern": {"tern": 10},
    "unknown": {"crow": 3},
}


def test_what_a_run_confused_on_validation_photos_is_a_family(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"split": "val", "Confusion": CONFUSED}), encoding="utf-8")
    families, orders = label_tree(path, BIRDS)
    assert families == orders == (0, 0, 0, 0, 1, 1)  # two groups at least; wrens were taken for a crow
    many = [f"{bird}{n}" for n in range(4) for bird in BIRDS]
    confusion = {f"{a}{n}": {f"{b}{n}": k for b, k in said.items()} for n in range(4) for a, said in CONFUSED.items()}
    path.write_text(json.dumps({"split": "val", "Confusion": confusion}), encoding="utf-8")
    families, orders = label_tree(path, many)
    assert len(set(families)) == 8 and families == orders  # 4 flocks of crows, 4 of gulls; nothing joins them
    assert families[:6] == (0, 0, 0, 0, 1, 1) and families[6:12] == (2, 2, 2, 2, 3, 3)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"split": "test", "Confusion": CONFUSED}, "measured on test photos, from which nothing may be learnt; give"),
        (
            {"split": "val", "Confusion": None},
            "holds no confusion of these classes .crow, raven, wren and 3 more.; give",
        ),
        ({"split": "val", "Confusion": {"a": {"b": 1}}}, "holds no confusion of these classes"),
        ({"split": "val", "Confusion": {"crow": 3}}, "holds no confusion of classes; give figures of `wsol evaluate"),
        ({"split": "val", "Confusion": {"crow": {"raven": "x"}}}, "holds no confusion of classes; give"),
        ([], "holds no JSON object; give figures"),
    ],
)
def test_figures_that_give_no_tree_are_named(tmp_path: Path, figures, said: str) -> None:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(figures), encoding="utf-8")
    with pytest.raises(WsolError, match=f"figures.json: {said}") as caught:
        label_tree(path, BIRDS)
    assert "\n" not in str(caught.value)


def test_training_learns_families_from_an_evaluation_of_another_run(tmp_path: Path) -> None:
    photos = Creatures("train", images=24, size=36)
    small = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 8, "workers": 0, "epochs": 1}
    first = wsol.train("cam", (photos, photos), tmp_path / "cam", **small)
    path = tmp_path / "figures.json"
    figures = wsol.evaluate(first.folder, photos, path, split="val", workers=0)
    assert figures["Confusion"]
    run = wsol.train("danet", (photos, photos), tmp_path / "danet", label_tree=str(path), **small | {"head_width": 4})
    method = wsol.load(run.folder).method
    families, orders = label_tree(path, photos.classes)
    assert method.families.tolist() == list(families) and method.orders.tolist() == list(orders)


def test_training_reads_the_tree_and_the_run_keeps_it(tmp_path: Path) -> None:
    photos = Creatures("train", images=24, size=36)
    small = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 8, "workers": 0, "epochs": 1}
    small |= {"head_width": 4, "sheet_every": 0}
    rows = [f"{name},{name[0]},{index // 6}" for index, name in enumerate(photos.classes)]
    path = tmp_path / "tree.csv"
    path.write_text("\n".join(["class,family,order", *rows]), encoding="utf-8")
    run = wsol.train("danet", (photos, photos), tmp_path / "run", label_tree=str(path), **small)
    path.unlink()
    method = wsol.load(run.folder).method
    families, orders = label_tree_of(photos.classes)
    assert method.families.tolist() == families and method.orders.tolist() == orders
    named = wsol.train("danet", (photos, photos), tmp_path / "named", **small)
    assert Run.read(named.folder).resolved.options["families"] == label_tree(None, photos.classes)[0]
    with pytest.raises(WsolError, match="CAM learns from no label tree; leave --label-tree out"):
        wsol.train("cam", (photos, photos), tmp_path / "cam", label_tree=str(path), **small | {"head_width": 8})


def label_tree_of(classes: list[str]) -> tuple[list[int], list[int]]:
    first = list(dict.fromkeys(name[0] for name in classes))
    return [first.index(name[0]) for name in classes], [index // 6 for index in range(len(classes))]
