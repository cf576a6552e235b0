"""Names of classes: their order, and the labels of one data set as a network that knows another's counts them."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from unicodedata import normalize

from wsol.data.dataset import Chosen, Dataset, Truth
from wsol.errors import WsolError, listed

SHOWN = 8  # classes that a message names


class Relabelled(Chosen):
    """A data set with the labels that another list of classes gives it.

    photos: The data set.
    classes: Names, by index.
    places: The index in `classes` of each label that a photo has.
    """

    def __init__(self, photos: Dataset, classes: Sequence[str], places: dict[int, int]) -> None:
        super().__init__(photos, list(range(len(photos))))
        self.classes = list(classes)
        self.labels = {place: label for label, place in places.items()}
        self.samples = [
            replace(sample, label=places[sample.label], present=tuple(places[label] for label in sample.present))
            for sample in photos.samples
        ]

    def truth_of(self, index: int, label: int) -> Truth:
        return self.photos.truth_of(index, self.labels[label])

    def photo(self, index: int) -> int:
        return self.photos.photo(index)


def with_classes(photos: Dataset, classes: Sequence[str], data: object, knower: str) -> Dataset:
    """The data set with labels that are indices into a network's classes.

    Classes are matched by name, exactly but for how Unicode stores an accent; names that are numbers are names too.
    Only classes that a photo has count. Of a data set that is `numbered` label i is the class named i where all of the
    network's names are numbers, and else its class of index i.

    photos: The data set; it is returned as it is where the classes are the same.
    classes: What the network calls its classes, by index.
    data: What to call the data set in an error.
    knower: What to call the network in an error.

    Raises WsolError that names the classes that the network does not know.
    """
    names, known = photos.classes, list(classes)
    if names == known:
        return photos
    used = sorted({label for sample in photos.samples for label in (sample.label, *sample.present)})
    if photos.numbered and not all(name.isdecimal() for name in known):
        places = {label: label for label in used if label < len(known)}
        if used and len(places) == len(used) and len(names) != len(known):
            warnings.warn(
                f"{data}: knows classes by number alone: {used[0]} is taken for {known[used[0]]}, "
                f"{used[-1]} for {known[used[-1]]} of the {len(known)} classes of {knower}",
                stacklevel=3,
            )
    else:
        counts = Counter(map(_stored, known))
        if twice := [names[label] for label in used if counts[_stored(names[label])] > 1]:
            raise WsolError(f"{data}: {knower} has two classes called {twice[0]}; their names must differ")
        indices = {_stored(name): place for place, name in enumerate(known)}
        places = {label: indices[_stored(names[label])] for label in used if _stored(names[label]) in indices}
    if unknown := [names[label] for label in used if label not in places]:
        raise WsolError(
            f"{data}: {len(unknown)} of its {len(names)} classes {'are' if len(unknown) > 1 else 'is'} unknown to "
            f"{knower}: {listed(unknown, most=SHOWN)}; {_advice(unknown, known)}"
        )
    return Relabelled(photos, known, places)


def in_order(names: Iterable[str]) -> list[str]:
    """Names of classes as a data set lists them: by number where all are numbers, so that 2 comes before 10.

    Names that run from 0 without gaps are thus their own indices.
    """
    names = sorted(names)
    return sorted(names, key=int) if all(re.fullmatch("[+-]?[0-9]{1,18}", name) for name in names) else names


def folded(name: str) -> str:
    """What is the same for names that only look different: capitals, spaces around, leading zeros, stored accents."""
    name = normalize("NFC", name).casefold().strip()
    return str(int(name)) if re.fullmatch("[0-9]{1,18}", name) else name


def _stored(name: str) -> str:
    return normalize("NFC", name)


def _advice(unknown: list[str], known: list[str]) -> str:
    alike = {folded(name): name for name in known}
    if near := [(alike[folded(name)], name) for name in unknown if folded(name) in alike]:
        return f"spell them alike, such as {near[0][0]} for {near[0][1]}"
    return f"known are {listed(known, most=SHOWN)}; give photos of these classes, or rename"
