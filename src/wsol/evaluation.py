"""Evaluation: a run, or maps made elsewhere, measured in one pass beside boxes that look at nothing."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from wsol import draw, processes
from wsol.boxes import Threshold, check_threshold
from wsol.data import Dataset, open_data, readable
from wsol.data.dataset import Cases, NoSplit, Split
from wsol.data.metadata import Metadata
from wsol.data.transforms import EvaluationImages, framed, ten_crop
from wsol.errors import WsolError
from wsol.metrics import CLOVA, PROTOCOLS, SIZE, BoxAccuracy, Protocol, ranks
from wsol.progress import bar
from wsol.run import Run, load, write_json
from wsol.score_maps import ScoreMaps, write_map, write_predictions
from wsol.settings import check_key
from wsol.tally import BASELINES, BOXES, CLASSIFICATION, MASKS, SHOWN, Scored, Shown, Tally

BadImage = Literal["raise", "skip"]
FIELD_THRESHOLD = 0.2  # of Zhou et al., CVPR 2016, where a program says nothing


@dataclass(frozen=True)
class Seen:
    """One image as a pass gives it.

    heatmap: of its true class, normalised. size: (W, H). rank: of the true class. best: classes, the best first. box:
    on the grid, where the method regresses it. logits, present: where a photo may have several classes, with the first
    case of each photo.
    """

    index: int
    heatmap: Float[np.ndarray, "S S"]
    size: tuple[int, int]
    rank: int
    best: list[int]
    box: Float[np.ndarray, "1 4"] | None = None
    logits: Float[Tensor, " k"] | None = None
    present: Bool[Tensor, " k"] | None = None


def evaluate(
    run: str | Path | Run,
    data: str | Path | Dataset,
    output: str | Path | None = None,
    split: Split = "test",
    threshold: Threshold | None = None,
    protocol: str = "clova",
    checkpoint: Literal["best", "last"] = "best",
    ten_crop: bool = False,
    write_maps: str | Path | None = None,
    batch_size: int = 32,
    workers: int = 2,
    on_bad_image: BadImage = "raise",
) -> dict[str, Any]:
    """Measures a run by the field's metrics.

    run: a run folder or an opened run. data: a path, "creatures", or a data set. output: JSON file for the figures,
    with curves and the best and worst photos as pictures beside it. split: which photos (of a path). threshold: share
    of the heatmap's peak at which boxes are cut, or "auto", each map's own mean; None takes the protocol's, the
    recipe's, the best on the `val` split where it has boxes, else "auto". protocol: a name of
    `wsol.metrics.PROTOCOLS`. checkpoint: "best" or "last" (of a folder). ten_crop: classify by the mean over ten
    crops. write_maps: folder for the score maps, see `evaluate_maps`.

    Where a photo holds several classes, each of them is a case of its own: its heatmap against its boxes and its mask.
    Where several processes were started by torchrun each one measures its share, and all return the same figures.

    Returns the figures by metric name, in percent, None where undefined, see `Tally.figures`.
    Raises WsolError where data and run do not fit.
    """
    if threshold is not None:
        check_threshold(threshold)
    if batch_size < 1:
        raise WsolError(f"batch_size cannot be {batch_size}; it must be at least 1")
    chosen = find_protocol(protocol)
    run = run if isinstance(run, Run) else load(run, checkpoint)
    photos = readable(_open(run, data, split), on_bad_image)
    if threshold is not None:
        source = "given"
    elif chosen.threshold is not None:
        threshold, source = chosen.threshold, "protocol"
    elif run.threshold_source == "auto" and split != "val" and (val := _validation(run, data, on_bad_image)):
        threshold, source = choose_threshold(run, val, batch_size, workers), "validation"
    else:
        threshold, source = run.threshold, run.threshold_source
    tally = Tally(len(photos.classes), threshold, chosen)
    cases = Cases(photos)
    seen = _pass(run, cases, chosen, batch_size, workers, ten_crop)
    if write_maps is not None:
        seen = _kept(seen, cases, Path(write_maps))
    _count(tally, cases, seen)
    about = {
        "method": type(run.method).__name__,
        "run": str(run.folder),
        "data": photos.name,
        "split": split,
        "threshold_source": source,
        "ten_crop": ten_crop,
        **run.checkpoint,
    }
    return _figures(tally, cases, about, output)


def evaluate_maps(
    maps: str | Path,
    metadata: str | Path,
    output: str | Path | None = None,
    mask_root: str | Path | None = None,
    threshold: Threshold | None = None,
    protocol: str = "clova",
) -> dict[str, Any]:
    """Measures maps that any program made, stored as `wsol.score_maps` says.

    metadata: the folder of image_ids.txt and its companions. mask_root: where the masks that it lists are stored.
    output, threshold (None: the protocol's, else 0.2), protocol: as in `evaluate`.

    Returns the figures of `evaluate`; Cls and Top-k are None where the maps come without predictions.
    Raises WsolError that lists, by id, what does not fit.
    """
    chosen = find_protocol(protocol)
    metadata = Path(metadata)
    if not (metadata / "image_ids.txt").is_file():
        raise WsolError(f"{metadata}: image_ids.txt is missing; give the folder of one split's lists")
    root = metadata.parent.parent if metadata.parent.name == "metadata" else metadata.parent
    photos = Metadata(root, metadata.name, masks=mask_root)
    photos.check_all()
    stored = ScoreMaps(maps, photos, chosen)
    if threshold is not None:
        check_threshold(threshold)
    source = "given" if threshold is not None else "protocol" if chosen.threshold is not None else "default"
    threshold = threshold if threshold is not None else chosen.threshold or FIELD_THRESHOLD
    tally = Tally(len(photos.classes), threshold, chosen, classified=bool(stored.best))
    _count(tally, photos, _stored(stored, photos))
    stored.warn()
    about = {"method": Path(maps).name, "maps": str(maps), "data": str(root), "split": metadata.name}
    about |= {"threshold_source": source}
    return _figures(tally, photos, about, output)


def find_protocol(name: str) -> Protocol:
    """Raises WsolError for a name that no protocol has."""
    check_key(name, PROTOCOLS, "there is no protocol")
    return PROTOCOLS[name]


def choose_threshold(run: Run, photos: Dataset, batch_size: int = 32, workers: int = 2) -> float:
    """The threshold of the best MaxBoxAcc on photos with boxes, those for validation; the first process stores it."""
    metric, photos = BoxAccuracy(), Cases(photos)
    for seen in _pass(run, photos, CLOVA, batch_size, workers, said="choosing the threshold"):
        boxes = photos.truth(seen.index).boxes
        if len(boxes):
            metric.update(metric.score(seen.heatmap, boxes, seen.size), seen.rank)
    best = metric.compute()["BestThreshold"]
    assert best is not None
    if processes.place()[0] == 0:
        run.choose_threshold(best, photos.name, len(photos))
    return best


def table(figures: dict[str, Any]) -> Table:
    """The figures as a table: a row a metric that is defined, a column for the run and each trivial box."""
    cut_at = figures["threshold"] if figures["threshold"] == "auto" else f"{figures['threshold']:.3g}"
    cases = f" ({figures['cases']} cases)" if figures["cases"] != figures["images"] else ""
    title = (
        f"{figures['data']} {figures['split']}, {figures['images']} photos{cases}, protocol {figures['protocol']}, "
        f"threshold {cut_at} ({figures['threshold_source']})"
    )
    shown = Table("percent", figures["method"], "95 %", *BASELINES, title=title)
    for name in (*CLASSIFICATION, *BOXES, *MASKS, "PeakOnPart"):
        if figures.get(name) is not None:
            ends = figures["Interval95"].get(name)
            interval = f"{ends[0]:.1f} – {ends[1]:.1f}" if ends else ""
            values = [figures[name], *(figures[who].get(name) for who in BASELINES)]
            own, *others = ("" if value is None else f"{value:.1f}" for value in values)
            shown.add_row(name, own, interval, *others)
    return shown


def _count(tally: Tally, photos: Dataset, seen: Iterable[Seen]) -> None:
    """Scores images in threads, while the pass goes on, and counts them in order."""
    threads = os.cpu_count() or 1
    waiting: deque[tuple[Seen, Future[Scored]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for each in seen:
            waiting.append((each, pool.submit(_scored, tally, photos, each)))
            if len(waiting) > 8 * threads:
                _counted(tally, photos, *waiting.popleft())
        while waiting:
            _counted(tally, photos, *waiting.popleft())


def _scored(tally: Tally, photos: Dataset, seen: Seen) -> Scored:
    return tally.score(seen.heatmap, photos.truth(seen.index), seen.size, seen.box)


def _counted(tally: Tally, photos: Dataset, seen: Seen, score: Future[Scored]) -> None:
    label, photo = photos.samples[seen.index].label, photos.photo(seen.index)
    tally.update(score.result(), seen.index, label, seen.rank, photo)
    if seen.logits is not None and seen.present is not None:
        tally.precision.update(seen.logits, seen.present)


def _figures(tally: Tally, photos: Dataset, about: dict[str, Any], output: str | Path | None) -> dict[str, Any]:
    """All figures, written by the first process together with their pictures."""
    images = len({photos.photo(index) for index in range(len(photos))})
    about |= {"protocol": tally.protocol.name, "images": images, "cases": len(photos), "threshold": tally.threshold}
    figures = about | tally.figures(photos.classes)
    shown = {"best": processes.gather(tally.best), "worst": processes.gather(tally.worst)}
    if output is not None and processes.place()[0] == 0:
        write_json(Path(output), figures)
        _pictures(tally, photos, figures, shown, Path(output))
    return figures


def _pictures(
    tally: Tally, photos: Dataset, figures: dict[str, Any], shown: dict[str, list[Shown]], output: Path
) -> None:
    """Curves, and the photos with the best and worst boxes, beside the JSON file."""
    if figures["Curves"]:
        draw.curves({figures["method"]: figures}).save(output.with_suffix(".curves.png"))
    for name, kept in shown.items():
        cells = []
        for quality, index, heatmap, box in sorted(kept, key=lambda each: each[:2], reverse=True)[:SHOWN]:
            sample, truth = photos.samples[index], photos.truth(index)
            try:
                image = photos.image(index)
            except WsolError:  # maps may come without their images
                image = Image.new("RGB", (SIZE, SIZE))
            true_boxes = tally.protocol.boxes(truth.boxes, photos.size(index)) if len(truth.boxes) else truth.boxes
            view = framed(image, SIZE, tally.protocol.crop)
            picture = draw.overlay(view, heatmap, box, true_boxes)
            cells.append((picture, f"{photos.classes[sample.label]} {abs(quality):.2f}"))
        if cells:
            rows = [cells[i : i + 4] for i in range(0, len(cells), 4)]
            draw.contact_sheet(rows).save(output.with_suffix(f".{name}.png"))


def _open(run: Run, data: str | Path | Dataset, split: Split) -> Dataset:
    size = run.settings.image_size * 8 // 7
    photos = open_data(data, split, size=size, val_per_class=run.settings.val_per_class)
    _check_classes(run, photos, data)
    return photos


def _check_classes(run: Run, photos: Dataset, data: str | Path | Dataset) -> None:
    """Raises WsolError unless the photos' classes are the run's; numbered ones need not reach the last."""
    names, known = photos.classes, run.classes
    if isinstance(photos, Metadata) and len(names) < len(known):
        photos.classes = names = [str(number) for number in range(len(known))]
    if len(names) != len(known):
        raise WsolError(
            f"{data}: has {len(names)} classes, the run {run.folder} knows {len(known)}; "
            "evaluate the data set that it was trained on"
        )
    numbered = any(all(name.isdecimal() for name in each) for each in (names, known))
    if other := [] if numbered else [pair for pair in zip(names, known, strict=True) if pair[0] != pair[1]]:
        raise WsolError(
            f"{data}: has the class {other[0][0]} where the run {run.folder} knows {other[0][1]}; "
            "evaluate the data set that it was trained on"
        )


def _validation(run: Run, data: str | Path | Dataset, on_bad_image: BadImage) -> Dataset | None:
    """Photos on which a threshold can be chosen, if the data set has such."""
    if isinstance(data, Dataset):
        return None
    try:
        photos = _open(run, data, "val")
    except NoSplit:
        return None
    if not photos.has_boxes:
        return None
    photos = readable(photos, on_bad_image)
    cases = Cases(photos)
    return photos if any(len(cases.truth(index).boxes) for index in range(len(cases))) else None


def _pass(
    run: Run,
    photos: Dataset,
    protocol: Protocol,
    batch_size: int,
    workers: int,
    crops: bool = False,
    said: str = "evaluating",
) -> Iterator[Seen]:
    """This process's share of the photos, through the network."""
    method = run.method.eval()
    device = next(method.parameters()).device
    views = EvaluationImages(photos, run.settings.image_size, protocol.crop)
    own = processes.share(len(photos))
    batches = DataLoader(Subset(views, own), batch_size=batch_size, num_workers=workers)
    with bar(said) as shown:
        task = shown.add_task("", total=len(own))
        for images, targets, indices, sizes in batches:
            labels = torch.tensor([photos.samples[index].label for index in indices.tolist()])
            with torch.no_grad():
                prediction = method.predict(images.to(device))
                heatmaps = method.heatmaps(prediction, labels[:, None].to(device))[:, 0].float().cpu().numpy()
                logits = _ten_crop_scores(run, photos, indices) if crops else prediction.logits.float().cpu()
            several = targets.dtype == torch.bool
            best = torch.argsort(logits, dim=1, descending=True, stable=True)[:, :5]
            places = ranks(logits, targets).tolist()
            boxes = None if prediction.boxes is None else SIZE * prediction.boxes.double().cpu().numpy()[:, None]
            for i, index in enumerate(indices.tolist()):
                heatmap, box = protocol.heatmap(heatmaps[i]), None if boxes is None else boxes[i]
                first = several and photos.samples[index].present[0] == labels[i]
                more = (logits[i], targets[i]) if first else ()
                yield Seen(index, heatmap, tuple(sizes[i].tolist()), places[i], best[i].tolist(), box, *more)
            shown.advance(task, len(labels))


def _stored(maps: ScoreMaps, photos: Metadata) -> Iterator[Seen]:
    """This process's share of maps made elsewhere."""
    own = processes.share(len(photos))
    with bar("evaluating") as shown:
        for index in shown.track(own):
            size = photos.size(index) if photos.has_boxes else (SIZE, SIZE)
            yield Seen(index, maps.heatmap(index), size, maps.rank(index), [])


def _kept(seen: Iterable[Seen], photos: Dataset, folder: Path) -> Iterator[Seen]:
    """The same images, their maps and best classes written on the way."""
    best = []
    try:
        for each in seen:
            write_map(folder, photos.samples[each.index].id, each.heatmap)
            best.append((photos.samples[each.index].id, each.best))
            yield each
        best = processes.gather(best)
        if processes.place()[0] == 0:
            write_predictions(folder, best)
    except OSError as error:
        raise WsolError(f"{folder}: maps could not be written ({error}); free some space or choose another") from error


def _ten_crop_scores(run: Run, photos: Dataset, indices: Int[Tensor, " b"]) -> Float[Tensor, "b k"]:
    """Scores averaged over four corners, centre and their mirror images (methods' classification figures)."""
    device = next(run.method.parameters()).device
    scores = []
    for index in indices.tolist():
        crops = ten_crop(photos.image(index), run.settings.image_size).to(device)
        scores.append(run.scores(run.method.predict(crops).logits).mean(0).cpu())
    return torch.stack(scores)
