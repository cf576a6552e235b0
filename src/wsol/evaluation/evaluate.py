"""Evaluation: a run, or maps made elsewhere, measured in one pass beside boxes that look at nothing."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Literal, ParamSpec

from PIL import Image

from wsol.boxes.rule import Threshold, check_threshold
from wsol.data import BoxFormat, Cases, Dataset
from wsol.data.classes import with_classes
from wsol.data.dataset import Split
from wsol.data.layouts.metadata import Metadata
from wsol.data.loading import explained, leave_if_imported
from wsol.errors import WsolError
from wsol.evaluation.collection import Seen, looked_at, stored, written
from wsol.evaluation.measured import measured_photos
from wsol.evaluation.report import keep_evaluation, pictures, write_figures
from wsol.evaluation.score_maps import ScoreMaps
from wsol.evaluation.tally import Scored, Tally
from wsol.evaluation.threshold import choose_threshold, settled, validation_photos
from wsol.metrics import PROTOCOLS, Protocol
from wsol.registry import check_key
from wsol.runs.folder import Run
from wsol.runs.opening import Network, load
from wsol.runs.settings import as_options
from wsol.system import processes
from wsol.system.files import keep_apart
from wsol.system.locks import locked, locked_file
from wsol.system.values import BatchSize, Workers, cast

FIELD_THRESHOLD = 0.2  # of Zhou et al., CVPR 2016, where a program says nothing
VAL_PER_CLASS = 5  # where no run says otherwise
Asked = ParamSpec("Asked")
USUAL = {"split": "test", "protocol": "clova", "ten_crop": False, "checkpoint": "best"}


def _alone(measuring: Callable[Asked, dict[str, Any]]) -> Callable[Asked, dict[str, Any]]:
    """No other process writes the same figures or maps meanwhile; the first process of several sees to that."""

    @wraps(measuring)
    def alone(*words: Asked.args, **given: Asked.kwargs) -> dict[str, Any]:
        asked: dict[str, Any] = signature(measuring).bind(*words, **given).arguments
        with ExitStack() as locks:
            if processes.place()[0] == 0:
                locks.enter_context(locked_file(asked.get("output")))
                if maps := asked.get("write_maps"):
                    locks.enter_context(locked(maps))
            return measuring(*words, **given)

    return alone


@explained()
@_alone
def evaluate(
    run: Network,
    data: str | Path | Dataset,
    output: str | Path | None = None,
    *,
    split: Split = "test",
    threshold: Threshold | None = None,
    pseudo_truth: str | Path | None = None,
    protocol: str = "clova",
    ten_crop: bool = False,
    write_maps: str | Path | None = None,
    batch_size: int = 32,
    workers: int = 2,
    on_bad_image: Literal["raise", "skip"] = "raise",
    box_format: BoxFormat | None = None,
    **opened: Any,
) -> dict[str, Any]:
    """Measure a run by the field's metrics, beside a fixed centre box and the whole image.

    Of photos that come without splits all are measured but those that the run was trained on. Where a photo holds
    several classes, each of them is a case of its own: its heatmap against its boxes and its mask.
    Where several processes were started by torchrun, each one measures its share and all return the same figures.

    run: a run folder, as `wsol train` left it, or whatever else `wsol.load` opens, such as `timm:resnet50`.
    data: a data set with true boxes or masks, or `creatures`.
    output: JSON file for the figures; curves and the best and worst photos are put beside it as pictures. A run keeps
        its figures in any case, in its folder `evaluations`, and shows them in its report.html.
    split: which photos, where the data set has splits.
    threshold: share of the heatmap's peak at which boxes are cut, or auto: each heatmap's own mean. By default the
        protocol's, else the recipe's, else the best on this data set's validation photos that have boxes, else auto.
    pseudo_truth: boxes that stand for the truth of the validation photos, the results.jsonl of `wsol locate` or
        `wsol colocate`: the threshold is the best by these. True boxes then choose nothing.
    protocol: the conventions of clova, cvpr16, psol, bas or livia: they move scores by points.
    ten_crop: classify by the mean over ten crops.
    write_maps: folder for the run's score maps, as `--maps` reads them.
    batch_size: photos a pass.
    workers: processes that read photos.
    on_bad_image: what to do with photos that cannot be read.
    box_format: what the four numbers of a box mean, where the data set leaves it open: xyxy for corners in pixels,
        xywh for a corner, width and height, cxcywh for the centre, width and height, -shares or -percent of the photo,
        -from-1 for pixels counted from 1. By default what the names of columns say, else xyxy.
    opened: how the run is opened, as `wsol.load` takes it: checkpoint, readout, settings, classes_from, boxes_from.

    Returns the figures by metric name, in percent, None where undefined, see `Tally.figures`.
    Raises WsolError where data and run do not fit, and NotWritten, which holds the figures, where the disk refuses.
    """
    leave_if_imported()
    conventions = find_protocol(protocol)
    for written_to in (output, write_maps):
        if written_to is not None:
            keep_apart(written_to, data)
    cast(batch_size, BatchSize, "batch_size")
    cast(workers, Workers, "workers")
    localizer = load(run, **opened)
    origin = Run.read(localizer.folder) if localizer.folder else None
    stored_as: dict[str, Any] = {
        "size": localizer.image_size * 8 // 7,
        "val_per_class": origin.resolved.settings.val_per_class if origin else VAL_PER_CLASS,
        "box_format": box_format,
    }
    skip = on_bad_image == "skip"
    known: dict[str, Any] = {"classes": localizer.classes, "data": data, "knower": f"the run {localizer.name}"}
    photos, measured = measured_photos(data, split, origin, **stored_as)
    photos = with_classes(photos, **known)
    chosen = settled(threshold, conventions, localizer, pseudo_truth)
    own = origin is not None and photos.fingerprint() == origin.validation
    settles = split != "val" and (measured == split or own)  # photos given alone are measured, and choose nothing
    validation = None
    if not chosen and (settles or pseudo_truth is not None):
        validation = validation_photos(data, pseudo_truth, **stored_as)
    if validation is not None:
        validation = with_classes(validation, **known)
        source = "pseudo boxes" if pseudo_truth is not None else "validation"
        chosen = choose_threshold(localizer, validation, batch_size, workers, skip), source
        if measured != split and pseudo_truth is None:
            chosen = chosen[0], "validation, the photos measured"
        usual = not any(opened.get(name) for name in ("readout", "settings", "boxes_from"))
        if origin and usual and validation.fingerprint() == origin.validation:
            _keep(origin, float(chosen[0]), localizer.facts["checkpoint"], len(validation), source)
    value, source = chosen or ("auto", "auto")
    cases = Cases(photos)
    tally = Tally(len(photos.classes), value, conventions, classified=localizer.names_classes, occurring=_labels(cases))
    seen = looked_at(localizer, cases, conventions, batch_size, workers, ten_crop, skip=skip)
    if write_maps is not None:
        seen = written(seen, cases, Path(write_maps))
    count(tally, cases, seen)
    about = {
        "run": localizer.name,
        "data": photos.name,
        "split": split,
        "measured": measured,
        "threshold_source": source,
        "ten_crop": ten_crop,
        **({"box_format": box_format} if box_format else {}),
        **({"pseudo_truth": str(pseudo_truth)} if pseudo_truth is not None else {}),
        **localizer.facts,
        **({"opened": asked} if (asked := _opened(opened)) else {}),
    }
    figures, sheets = _figures(tally, cases, about, drawn=output is not None or origin is not None)
    if origin is not None and processes.place()[0] == 0:
        asked = {"split": split, "protocol": protocol, "threshold": threshold, "ten_crop": ten_crop}
        words = _command(origin, data, opened, **asked, pseudo_truth=pseudo_truth, box_format=box_format)
        keep_evaluation(origin, figures, sheets, words)
    if output is not None and processes.place()[0] == 0:
        write_figures(Path(output), figures, sheets)
    return figures


@_alone
def evaluate_maps(
    maps: str | Path,
    metadata: str | Path,
    output: str | Path | None = None,
    *,
    mask_root: str | Path | None = None,
    threshold: Threshold | None = None,
    protocol: str = "clova",
    box_format: BoxFormat | None = None,
) -> dict[str, Any]:
    """Measure maps that any program made, stored as `wsol.evaluation.score_maps` says.

    maps: folder of score maps, ID.npy for each image.
    metadata: folder of image_ids.txt, class_labels.txt, image_sizes.txt and localization.txt that belong to the maps.
    output: JSON file for the figures; pictures are put beside it.
    mask_root: folder in which the masks of localization.txt lie.
    threshold: share of the heatmap's peak at which boxes are cut, or auto; by default the protocol's, else 0.2.
    protocol: the conventions of clova, cvpr16, psol or bas.
    box_format: what the four numbers of a box mean, as `evaluate` takes it.

    Returns the figures of `evaluate`; Cls and Top-k are None where the maps come without predictions.
    Raises WsolError that lists, by id, what does not fit.
    """
    conventions = find_protocol(protocol)
    if conventions.pseudo:
        raise WsolError(f"protocol {protocol} chooses by pseudo boxes of validation photos; measure the run itself")
    metadata = Path(metadata)
    if not (metadata / "image_ids.txt").is_file():
        raise WsolError(f"{metadata}: image_ids.txt is missing; give the folder of one split's lists")
    root = metadata.parent.parent if metadata.parent.name == "metadata" else metadata.parent
    photos = Metadata(root, metadata.name, masks=mask_root, box_format=box_format)
    photos.check_all()
    score_maps = ScoreMaps(maps, photos, conventions)
    if threshold is not None:
        check_threshold(threshold)
    source = "given" if threshold is not None else "protocol" if conventions.threshold is not None else "default"
    threshold = threshold if threshold is not None else conventions.threshold or FIELD_THRESHOLD
    known = bool(score_maps.best)
    tally = Tally(len(photos.classes), threshold, conventions, classified=known, occurring=_labels(photos))
    count(tally, photos, stored(score_maps, photos))
    score_maps.warn()
    about = {"method": Path(maps).name, "maps": str(maps), "data": str(root), "split": metadata.name}
    about |= {"threshold_source": source}
    figures, sheets = _figures(tally, photos, about, drawn=output is not None)
    if output is not None and processes.place()[0] == 0:
        write_figures(Path(output), figures, sheets)
    return figures


def find_protocol(name: str) -> Protocol:
    """Raises WsolError for a name that no protocol has."""
    check_key(name, PROTOCOLS, "there is no protocol")
    return PROTOCOLS[name]


def count(tally: Tally, photos: Dataset, seen: Iterable[Seen]) -> None:
    """Scores images in threads, while the pass goes on, and counts them in order."""
    threads = os.cpu_count() or 1
    waiting: deque[tuple[Seen, Future[Scored]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for image in seen:
            waiting.append((image, pool.submit(_scored, tally, photos, image)))
            if len(waiting) > 8 * threads:
                _counted(tally, photos, *waiting.popleft())
        while waiting:
            _counted(tally, photos, *waiting.popleft())


def _labels(photos: Dataset) -> set[int]:
    return {sample.label for sample in photos.samples}


def _scored(tally: Tally, photos: Dataset, seen: Seen) -> Scored:
    return tally.score(seen.heatmap, photos.truth(seen.index), seen.size, seen.box)


def _counted(tally: Tally, photos: Dataset, seen: Seen, score: Future[Scored]) -> None:
    sample, photo = photos.samples[seen.index], photos.photo(seen.index)
    if not tally.classified:
        tally.update(score.result(), seen.index, sample.label, photo=photo)
        return
    best = seen.best[0] if seen.best and not sample.present else None
    tally.update(score.result(), seen.index, sample.label, seen.rank, photo, best)
    if seen.logits is not None and seen.present is not None:
        tally.precision.update(seen.logits, seen.present)


def _command(run: Run, data: str | Path | Dataset, opened: dict[str, Any], **asked: Any) -> list[str]:
    """What measures the run in the same way again, as words."""
    asked |= {"checkpoint": opened.get("checkpoint", "best")} | _opened(opened)
    settings = asked.pop("settings", None) and opened["settings"]
    words = as_options({name: value for name, value in asked.items() if value != USUAL.get(name)})
    words += ["--set", *(f"{name}={value}" for name, value in settings.items())] if settings else []
    return ["wsol", "evaluate", str(run.folder), data.name if isinstance(data, Dataset) else str(data), *words]


def _opened(given: dict[str, Any]) -> dict[str, str]:
    """How a run was opened, where that is not the usual way."""
    names = ("readout", "settings", "classes_from", "boxes_from")
    return {name: str(given[name]) for name in names if given.get(name)}


def _keep(run: Run, threshold: float, checkpoint: str, images: int, source: str) -> None:
    """Stores the threshold for locating, by the first process."""
    if processes.place()[0] == 0:
        try:
            run.keep_threshold(threshold, checkpoint, images, source)
        except WsolError as error:
            warnings.warn(f"{error} (locating will cut at auto)", stacklevel=2)


def _figures(
    tally: Tally, photos: Dataset, about: dict[str, Any], drawn: bool
) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """All figures, and in the first process, where they are wanted, sheets of the best and the worst photos."""
    counted = set(processes.gather(sorted(tally.counted)))
    images = len({photos.photo(index) for index in counted})
    about |= {"protocol": tally.protocol.name, "images": images, "cases": len(counted), "threshold": tally.threshold}
    figures = about | tally.figures(photos.classes)
    shown = {"best": processes.gather(tally.best), "worst": processes.gather(tally.worst)}
    return figures, pictures(photos, tally.protocol, shown) if drawn and processes.place()[0] == 0 else {}
