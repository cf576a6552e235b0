"""Photos that are there twice where that does harm: named before training begins."""

import warnings
from contextlib import suppress
from pathlib import Path

from wsol.data import Dataset, Sample, open_data
from wsol.data.contents import in_both
from wsol.errors import WsolError, listed


def say_twice(training: Dataset, contents: list[str]) -> None:
    """Warns of photos that are in two classes, under whatever name.

    training: The photos to train on.
    contents: The digest of each one's file.
    """
    first: dict[str, Sample] = {}
    twice = []
    for sample, content in zip(training.samples, contents, strict=True):
        if content and first.setdefault(content, sample).label != sample.label:
            twice.append(f"{sample.path} (as {first[content].path})")
    if twice:
        said = f"{len(twice)} of {len(training)} training photos lie in another class too: {listed(twice, most=3)}"
        warnings.warn(f"{said}; remove one of each", stacklevel=3)


def say_shared(training: Dataset, validation: Dataset, data: str | Path | None, meant: bool = False) -> None:
    """Warns of training photos that the run will be judged by, under whatever name.

    training: The photos to train on.
    validation: The photos that choose the network.
    data: Where there may be photos to test it with.
    meant: Whether validation photos are to be trained on.
    """
    judges = {} if meant else {"validation": validation}
    with warnings.catch_warnings(), suppress(WsolError):  # training needs no test photos
        warnings.simplefilter("ignore")
        if data is not None and (test := open_data(data, "test")).samples != validation.samples:
            judges["test"] = test
    for name, photos in judges.items():
        if twice := in_both(training, photos):
            named = listed([str(path) if path == same else f"{path} (as {same})" for path, same in twice], most=3)
            said = f"{len(twice)} of {len(photos)} {name} photos are trained on too, so their figures are too good"
            warnings.warn(f"{said}: {named}; remove one of each, or add photos", stacklevel=3)
