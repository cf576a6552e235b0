"""Labels of one data set as a network that knows another's classes counts them: by name, never by place."""

import warnings
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from wsol.data import Cases, Dataset, Sample, Truth
from wsol.data.classes import in_order, with_classes
from wsol.errors import WsolError


class Listed(Dataset):
    """Photos with the labels that are given; the truth of a label is a box as wide as its number in this set."""

    name = "listed"

    def __init__(self, classes: list[str], *labels: int | tuple[int, ...], numbered: bool = False) -> None:
        self.classes, self.numbered = classes, numbered
        present = [label if isinstance(label, tuple) else () for label in labels]
        first = [label[0] if isinstance(label, tuple) else label for label in labels]
        self.samples = [
            Sample(f"{index}.jpg", label, Path(f"{index}.jpg"), several)
            for index, (label, several) in enumerate(zip(first, present, strict=True))
        ]

    def truth(self, index: int) -> Truth:
        return self.truth_of(index, self.samples[index].label)

    def truth_of(self, index: int, label: int) -> Truth:
        return Truth(np.array([[0, 0, label + 1.0, 9]]))


def matched(photos: Dataset, *classes: str) -> Dataset:
    return with_classes(photos, classes, "photos.csv", "the run R")


@pytest.mark.parametrize(
    ("names", "known", "labels"),
    [
        (["cat", "dog", "cow"], ["cow", "dog", "cat"], [2, 1, 0]),
        (["0", "1", "10", "11", "2"], ["0", "1", "2", "10", "11"], [0, 1, 3, 4, 2]),
        (["10", "2", "7"], [str(number) for number in range(12)], [10, 2, 7]),
        (["01", "1"], ["1", "x", "01"], [2, 0]),
        ([normalize("NFD", "Köln")], ["Bonn", normalize("NFC", "Köln")], [1]),
    ],
)
def test_labels_become_those_of_the_same_names(names: list[str], known: list[str], labels: list[int]) -> None:
    read = matched(Listed(names, *range(len(names))), *known)
    assert ([sample.label for sample in read.samples], read.classes) == (labels, known)


def test_equal_classes_leave_the_data_set_as_it_is() -> None:
    photos = Listed(["a", "b"], 0, 1)
    assert matched(photos, "a", "b") is photos


def test_the_same_photos_in_another_order_of_classes_have_the_same_fingerprint() -> None:
    one, other = Listed(["a", "b"], 0, 1), Listed(["b", "a"], 1, 0)
    assert one.fingerprint() != other.fingerprint()
    assert matched(other, "a", "b").fingerprint() == one.fingerprint()


def test_truths_follow_their_classes() -> None:
    cases = Cases(matched(Listed(["a", "b", "c"], (0, 2), (1,)), "c", "b", "a"))
    assert [(case.id, case.label) for case in cases.samples] == [("0.jpg#a", 2), ("0.jpg#c", 0), ("1.jpg#b", 1)]
    assert [cases.truth(index).boxes[0, 2] for index in range(3)] == [1, 3, 2]
    assert [cases.photo(index) for index in range(3)] == [0, 0, 1]


def test_classes_without_a_photo_do_not_matter() -> None:
    assert [sample.label for sample in matched(Listed(["a", "b", "zebra"], 1, 0), "b", "a").samples] == [0, 1]


@pytest.mark.parametrize(
    ("names", "known", "said"),
    [
        (
            ["cat", "yak", "gnu"],
            ["cat", "dog"],
            "2 of its 3 classes are unknown to the run R: yak, gnu; known are cat, dog",
        ),
        (
            ["Cat", "dog"],
            ["cat", "dog"],
            "1 of its 2 classes is unknown to the run R: Cat; spell them alike, such as cat",
        ),
        (["01", "02"], ["1", "2"], "are unknown to the run R: 01, 02; spell them alike, such as 1 for 01"),
        (["0", "1"], ["cat", "dog"], "2 of its 2 classes are unknown to the run R: 0, 1; known are cat, dog"),
        (["cat", "dog"], ["0", "1"], "2 of its 2 classes are unknown to the run R: cat, dog; known are 0, 1"),
        (["crane", "x"], ["crane", "x", "crane"], "the run R has two classes called crane"),
    ],
)
def test_other_classes_are_refused_by_their_names(names: list[str], known: list[str], said: str) -> None:
    with pytest.raises(WsolError) as error:
        matched(Listed(names, *range(len(names))), *known)
    assert str(error.value).startswith("photos.csv: ") and said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_classes_known_by_number_alone_are_those_of_their_index() -> None:
    numbered = Listed(["0", "1", "2"], 2, 0, numbered=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [sample.label for sample in matched(numbered, "c", "a", "b").samples] == [2, 0]
    with pytest.warns(UserWarning, match="0 is taken for c, 2 for b of the 4 classes of the run R"):
        assert [sample.label for sample in matched(numbered, "c", "a", "b", "d").samples] == [2, 0]
    with pytest.raises(WsolError, match="1 of its 3 classes is unknown to the run R: 2; known are c, a"):
        matched(numbered, "c", "a")


def test_a_network_whose_names_are_numbers_knows_a_numbered_class_by_its_name() -> None:
    numbered = Listed(["0", "1", "2"], 2, 0, numbered=True)
    assert [sample.label for sample in matched(numbered, "0", "1", "10", "2").samples] == [3, 0]
    with pytest.raises(WsolError, match="1 of its 3 classes is unknown to the run R: 0"):
        matched(numbered, "1", "2", "3")


def test_names_that_are_numbers_stand_in_the_order_of_numbers() -> None:
    assert in_order({"10", "2", "0"}) == ["0", "2", "10"]
    assert in_order({"10", "2", "-1"}) == ["-1", "2", "10"]
    assert in_order({"10", "2", "x"}) == ["10", "2", "x"]
    assert in_order({"011", "007", "1"}) == ["1", "007", "011"]
