"""The sweep over thresholds beside following contours at each of them, on the same maps in one run.

    python benchmarks/evaluator.py CUB_200_2011 mobilenetv1_100.safetensors --output docs/results/evaluator.md

Three ways to the same numbers, MaxBoxAcc and MaxBoxAccV2 together, one thread, interleaved map by map: contours at
each of 1000 thresholds; contours at each of the at most 255 levels behind them; our one pass. Beside them OpenCV's part
of the first way alone, without boxes and IoU. Real maps are those of an
ImageNet classifier for its best class on CUB photos. Milliseconds are those that the thread had a core.

    python benchmarks/evaluator.py size CUB_200_2011 mobilenetv1_100.safetensors --masks

All of `wsol evaluate --maps` at the size of ILSVRC (50,000 photos, 1000 classes, boxes) or of OpenImages (18,000
photos, 100 classes, masks), and at a tenth: 100 real maps are stored once, and linked under as many names as asked.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from cyclopts import App

from wsol.backbones import build_backbone
from wsol.boxes.rule import box_iou, normalise, sweep, thresholds
from wsol.data import open_data
from wsol.data.crops import evaluation_view
from wsol.methods.cam import CAM

app = App(help=__doc__)
TRIED = thresholds()


@app.default
def evaluator(data: str, weights: str, *, photos: int = 40, rounds: int = 3, output: Path | None = None) -> None:
    """Prints the table, and writes it as Markdown where OUTPUT is given."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    lines = [
        "| maps | 1000 thresholds, ms | their contours alone | 255 levels, ms | ours, ms "
        "| times faster than 1000 | than their contours | than 255 | differences |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, maps in sets(data, weights, photos):
        spent: dict[str, list[float]] = {"1000": [], "255": [], "ours": [], "contours": []}
        differences = 0
        for turn in range(rounds):
            for heatmap, truth in maps:
                answers = []
                ways = ("1000", each_threshold), ("255", each_level), ("ours", sweep), ("contours", contours_alone)
                for way, called in ways:
                    began = time.thread_time()
                    answers.append(called(heatmap, truth, TRIED))
                    spent[way].append(1000 * (time.thread_time() - began))
                if turn == 0:
                    differences += sum(
                        not np.array_equal(a, b)
                        for other in answers[:2]
                        for a, b in zip(other, answers[2], strict=True)
                    )
        plain, levels, ours, contours = (median(some) for some in spent.values())
        times = f"{plain:.1f} | {contours:.1f} | {levels:.1f} | {ours:.2f}"
        times += f" | {plain / ours:.1f} | {contours / ours:.1f} | {levels / ours:.1f}"
        lines.append(f"| {name} | {times} | {differences} |")
        print(lines[-1], flush=True)
    lines += ["", *throughput(data, weights, photos)]
    text = "\n".join(lines) + "\n"
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


@app.command
def size(
    data: str,
    weights: str,
    *,
    masks: bool = False,
    shares: tuple[float, ...] = (0.1, 1.0),
    processes: tuple[int, ...] = (1, 2),
) -> None:
    """Prints seconds, seconds of all cores, and the largest process's peak memory, by photos and processes."""
    whole, classes = (18_000, 100) if masks else (50_000, 1000)
    print("| photos | classes | truth | processes | seconds | of cores | photos a second | peak memory, MB |")
    print("|---:|---:|---|---:|---:|---:|---:|---:|")
    maps = real(data, weights, 100, 16)
    for share in shares:
        with TemporaryDirectory() as folder:
            store(Path(folder), maps, round(share * whole), classes, masks)
            for count in processes:
                seconds, cores, memory = measured(Path(folder), count)
                told = f"{seconds:.0f} | {cores:.0f} | {share * whole / seconds:.0f} | {memory / 1e6:.0f}"
                truth = "masks" if masks else "boxes"
                print(f"| {share * whole:.0f} | {classes} | {truth} | {count} | {told} |", flush=True)


def store(folder: Path, maps: list[tuple[np.ndarray, np.ndarray]], photos: int, classes: int, masks: bool) -> None:
    """Maps with their predictions, and the lists of a data set; photo n has map n modulo their number."""
    lists, scoremaps = folder / "metadata" / "test", folder / "scoremaps"
    lists.mkdir(parents=True)
    scoremaps.mkdir()
    for n, (heatmap, truth) in enumerate(maps):
        np.save(folder / f"{n}.npy", heatmap)
        x0, y0, x1, y1 = 3 * truth[0].astype(int)
        mask = np.zeros((672, 672), np.uint8)
        cv2.ellipse(mask, ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2), 0, 0, 360, 255, -1)
        cv2.imwrite(str(folder / f"{n}.png"), mask)
    lines: dict[str, list[str]] = {"image_ids": [], "class_labels": [], "image_sizes": [], "localization": []}
    predictions = []
    for n in range(photos):
        label = n * 7919 % classes  # a prime: photos of a class are not all of one map
        os.link(folder / f"{n % len(maps)}.npy", scoremaps / f"{n}.npy")
        boxes = maps[n % len(maps)][1].astype(int).tolist()
        lines["image_ids"].append(f"{n}")
        lines["class_labels"].append(f"{n},{label}")
        lines["image_sizes"].append(f"{n},224,224")
        places = [f"{n % len(maps)}.png,"] if masks else [",".join(map(str, box)) for box in boxes]
        lines["localization"] += [f"{n},{place}" for place in places]
        predictions.append(",".join(str((label + n % 7 + k) % classes) for k in range(5)))
    for name, texts in lines.items():
        (lists / f"{name}.txt").write_text("\n".join(texts))
    (scoremaps / "predictions.csv").write_text("\n".join(f"{n},{best}" for n, best in enumerate(predictions)))


def measured(folder: Path, processes: int) -> tuple[float, float, int]:
    """Seconds, seconds of cores, and bytes of the largest process, of evaluating what is stored."""
    alone = [sys.executable, "-m", "wsol"]
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "wsol"]
    command = alone if processes == 1 else [sys.executable, *several]
    asked = ["--maps", folder / "scoremaps", "--metadata", folder / "metadata" / "test", "--mask-root", folder]
    began = time.perf_counter()
    with open(folder / "said.txt", "w") as said:
        started = subprocess.Popen(
            [*command, "evaluate", *map(str, asked), "--output", str(folder / "figures.json")],
            stdout=said,
            stderr=said,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        _, status, used = os.wait4(started.pid, 0)
    if status:
        raise SystemExit((folder / "said.txt").read_text())
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def sets(data: str, weights: str, photos: int) -> Iterator[tuple[str, list[tuple[np.ndarray, np.ndarray]]]]:
    """Named lists of (normalised map, true boxes at 224)."""
    for stride in (32, 16, 8):
        side = 224 // stride
        yield f"CUB, {side}x{side}", real(data, weights, photos, stride)
    chance = np.random.default_rng(0)
    truth = np.array([[40.0, 60, 170, 200]])
    yield "noise, 224x224", [(normalise(chance.random((224, 224)), (224, 224)), truth) for _ in range(2)]


@torch.no_grad()
def real(data: str, weights: str, photos: int, stride: int) -> list[tuple[np.ndarray, np.ndarray]]:
    dataset = open_data(data, "test")
    method = CAM(build_backbone("mobilenetv1", weights, map_stride=stride), 1000, head="pretrained").eval()
    found = []
    for index in np.linspace(0, len(dataset) - 1, photos).astype(int).tolist():
        image = dataset.image(index)
        prediction = method.predict(evaluation_view(image, 224)[None])
        heatmap = method.heatmaps(prediction, prediction.logits.argmax(1, keepdim=True))[0, 0].numpy()
        truth = np.trunc(dataset.truth(index).boxes * 224 / np.array(image.size * 2))
        found.append((normalise(heatmap, (224, 224)), truth))
    return found


def throughput(data: str, weights: str, photos: int) -> list[str]:
    """Images a second of normalising and sweeping, on one thread and on two."""
    maps = real(data, weights, photos, 16) * 10
    lines = []
    for threads in (1, 2):
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda each: sweep(*each, TRIED), maps))
        rate = len(maps) / (time.perf_counter() - began)
        minutes = 50_000 / rate / 60
        lines.append(f"Threads: {threads}. {rate:.0f} images/s, 50,000 images in {minutes:.1f} minutes.  ")
    return lines


def each_threshold(heatmap: np.ndarray, truth: np.ndarray, tried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contours anew at every threshold, both answers from the same ones."""
    levels = (heatmap * 255).astype(np.uint8)
    found = [at_cutoff(levels, int(threshold * levels.max()), truth) for threshold in tried]
    return np.array([one for one, _ in found]), np.array([other for _, other in found])


def each_level(heatmap: np.ndarray, truth: np.ndarray, tried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contours once for each level that a threshold comes down to."""
    levels = (heatmap * 255).astype(np.uint8)
    cutoffs, which = np.unique((tried * int(levels.max())).astype(int), return_inverse=True)
    found = [at_cutoff(levels, int(cutoff), truth) for cutoff in cutoffs]
    return np.array([one for one, _ in found])[which], np.array([other for _, other in found])[which]


def contours_alone(heatmap: np.ndarray, truth: np.ndarray, tried: np.ndarray) -> None:
    levels = (heatmap * 255).astype(np.uint8)
    for threshold in tried:
        mask = cv2.threshold(levels, int(threshold * levels.max()), 255, cv2.THRESH_BINARY)[1]
        cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)


def at_cutoff(levels: np.ndarray, cutoff: int, truth: np.ndarray) -> tuple[float, float]:
    """Best IoU of the largest contour's box and of any contour's."""
    mask = cv2.threshold(levels, cutoff, 255, cv2.THRESH_BINARY)[1]
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:
        return (float(box_iou(np.zeros((1, 4)), truth).max()),) * 2
    boxes = np.array([cv2.boundingRect(contour) for contour in contours], np.float64)
    boxes[:, 2:] = np.minimum(boxes[:, :2] + boxes[:, 2:], [levels.shape[1] - 1, levels.shape[0] - 1])
    ious = box_iou(boxes, truth).max(1)
    largest = int(np.argmax([cv2.contourArea(contour) for contour in contours]))
    return float(ious[largest]), float(ious.max())


if __name__ == "__main__":
    app()
