"""The kinds of files that `benchmarks/fuzz.py` damages: whole ones, the commands that read them, and wrong values."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import numpy as np
from mutations import NAMES, NUMBERS, WORDS
from PIL import Image

import wsol
from wsol import registry
from wsol.benchmark.grid import read_grid
from wsol.benchmark.table import write_tables
from wsol.cli.app import main as command
from wsol.cli.demo import WEIGHTS
from wsol.data import open_data
from wsol.data.dataset import Cases, NoSplit
from wsol.data.finding import find_images
from wsol.data.label_tree import label_tree
from wsol.data.layouts import creatures
from wsol.data.pseudo_boxes import PseudoTruth
from wsol.evaluation.evaluate import evaluate_maps
from wsol.methods.stack import stack
from wsol.runs.folder import Run
from wsol.runs.settings import Settings, resolve
from wsol.serve.queue import Queue
from wsol.show.report import write_report
from wsol.system.files import write_json

SMALL = ["--backbone", "test_resnet", "--weights", str(WEIGHTS), "--image-size", "32", "--map-stride", "8"]
SMALL += ["--batch-size", "4", "--sheet-every", "0", "--freeze", "none", "--workers", "0", "--precision", "fp32"]
SHEETS = ["1" if before == "--sheet-every" else word for before, word in pairwise(["", *SMALL])]
TRAINED = ["train", "cam", "creatures", *SMALL, "--output", "run", "--epochs", "1"]
FORMATS = "json,csv,coco,voc,yolo,labelstudio,heatmap"
Wrong = tuple[str, bytes, bytes]  # file, what stands there, and what must be noticed in its place


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    name: for people.
    needs: folders and files that the command reads.
    files: of those, the ones that are damaged.
    commands: that are run one after another.
    call: what is run then; it says what is wrong, or raises WsolError.
    wrong: changes that must be noticed.
    change: what is changed instead of a file.
    says: how lines of its messages may begin.
    """

    name: str
    needs: tuple[str, ...]
    files: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    call: Callable[[Path], str | None] | None = None
    wrong: tuple[Wrong, ...] = ()
    change: Callable[[Path, Random], str] | None = None
    says: tuple[str, ...] = ()

    def words(self, draw: Random) -> list[list[str]]:
        return [list(words) for words in self.commands]


# --- whole files


def make_files(root: Path) -> None:
    """Whole files of each kind; the network is trained for an epoch."""
    creatures.COUNTS = {"train": 8, "val": 4, "test": 4}
    root.mkdir()
    photos(root / "photos")
    made = (TRAINED, ["evaluate", "run", "creatures", "--workers", "0"])
    made += (["locate", "run", "photos", "--format", "json,heatmap", "--output", "found"],)
    made += (["locate", "run", "photos", "--format", "parquet", "--output", "parts"],)
    made += (["evaluate", "run", "creatures", "--split", "val", "--workers", "0", "--output", "figures.json"],)
    os.chdir(root)
    for words in made:
        command(list(words))
    review(root)
    lists(root)
    layouts(root)
    settings(root)


def photos(root: Path) -> None:
    draw = np.random.default_rng(0)
    for name in ("crest/1.jpg", "crest/2.jpg", "horn/3.jpg", "horn/4.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (30, 40, 3), np.uint8)).save(path)


def review(root: Path) -> None:
    run = Run.read(root / "run")
    queue = Queue.open(root / "found", run.classes)
    for number, result in enumerate(queue.results[:3]):
        boxes = [{"name": run.classes[0], "box": [1, 2, 20, 25]}]
        queue.answer(number, result.path, "boxes" if number else "none", boxes)


def lists(root: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = sorted(path.relative_to(root / "photos").as_posix() for path in (root / "photos").glob("*/*"))
    (root / "list.txt").write_text("".join(f"photos/{name}\n" for name in names))
    parquet.write_table(pa.table({"path": [f"photos/{name}" for name in names]}), root / "list.parquet")
    split = root / "metadata" / "test"
    split.mkdir(parents=True)
    lines = {"image_ids": "{}", "class_labels": "{},{}", "image_sizes": "{},40,30", "localization": "{},2,3,20,25"}
    for file, line in lines.items():
        (split / f"{file}.txt").write_text("".join(line.format(name, i // 2) + "\n" for i, name in enumerate(names)))
    masked = root / "masked" / "test"
    shutil.copytree(split, masked)
    (masked / "localization.txt").write_text("".join(f"{name},m/{i}.png,\n" for i, name in enumerate(names)))
    (root / "m").mkdir()
    for i, name in enumerate(names):
        path = root / "maps" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(i).uniform(0, 1, (8, 8)).astype(np.float32))
        Image.fromarray(np.tri(30, 40, dtype=np.uint8) * 255).save(root / "m" / f"{i}.png")
    (root / "maps" / "predictions.csv").write_text(
        "".join(f"{name},{i // 2},{1 - i // 2},5\n" for i, name in enumerate(names))
    )
    rows = [
        f"photos/{name},{name.split('/')[0]},2,3,20,25,{'train' if i % 2 else 'test'}" for i, name in enumerate(names)
    ]
    (root / "photos.csv").write_text("\n".join(["path,label,x0,y0,x1,y1,split", *rows]) + "\n")
    sized = [f"photos/{n};{n.split('/')[0]};40;30;{i},1;1,5;20;25" for i, n in enumerate(names)]
    (root / "voc.csv").write_text("\n".join(["filename;class;width;height;xmin;ymin;xmax;ymax", *sized]) + "\n")


def layouts(root: Path) -> None:
    names = sorted(path.relative_to(root / "photos").as_posix() for path in (root / "photos").glob("*/*"))
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 1 + i // 2, "bbox": [2, 3, 18, 22], "iscrowd": 0}
        for i in range(len(names))
    ]
    categories = [{"id": 1, "name": "crest"}, {"id": 2, "name": "horn"}]
    coco = {"images": images, "annotations": boxes, "categories": categories, "info": {"photos": "photos"}}
    (root / "coco.json").write_text(json.dumps(coco))
    numbers = range(1, 5)
    cub = root / "cub"
    tables = {
        "images": "{0} 00{1}/{0}.jpg",
        "image_class_labels": "{0} {1}",
        "train_test_split": "{0} {2}",
        "bounding_boxes": "{0} 2.0 3.0 18.0 22.0",
    }
    cub.mkdir()
    (cub / "classes.txt").write_text("1 001.x\n2 002.y\n")
    for name, line in tables.items():
        (cub / f"{name}.txt").write_text("".join(line.format(i, 1 + i // 3, i % 2) + "\n" for i in numbers))
    for i in numbers:
        _photo(cub / "images" / f"00{1 + i // 3}" / f"{i}.jpg")
    voc = root / "voc"
    for i in numbers:
        _photo(voc / "JPEGImages" / f"{i}.jpg")
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{i}</xmin><ymin>2</ymin><xmax>20</xmax><ymax>25</ymax></bndbox></object>"
            for name in ("cat", "dog")[: 1 + i % 2]
        )
        path = voc / "Annotations" / f"{i}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"<annotation><size><width>40</width><height>30</height></size>{objects}</annotation>\n")
    (voc / "ImageSets" / "Main").mkdir(parents=True)
    (voc / "ImageSets" / "Main" / "val.txt").write_text("1\n2\n3\n4\n")
    flowers = root / "flowers17"
    for i in range(4):
        _photo(flowers / "images" / f"{i}.jpg")
    (flowers / "masks").mkdir()
    Image.fromarray(np.tri(30, 40, dtype=np.uint8)).save(flowers / "masks" / "3.png")
    (flowers / "labels.csv").write_text("image,class,has_mask\n" + "".join(f"images/{i}.jpg,0,0\n" for i in range(4)))
    pet = root / "pet"
    for name in ("cat_1", "cat_2", "dog_1"):
        _photo(pet / "images" / f"{name}.jpg")
    (pet / "annotations").mkdir()
    for name in ("trainval", "test"):
        (pet / "annotations" / f"{name}.txt").write_text("#list\ncat_1 1 1 1\ncat_2 1 1 1\ndog_1 2 1 1\n")
    from scipy.io import savemat

    flowers = root / "flowers102"
    for i in numbers:
        _photo(flowers / "jpg" / f"image_0000{i}.jpg")
    savemat(flowers / "imagelabels.mat", {"labels": [1, 2, 1, 2]})
    savemat(flowers / "setid.mat", {"trnid": [1, 2], "valid": [3], "tstid": [3, 4]})


def _photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(crc32(str(path).encode())).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def settings(root: Path) -> None:
    (root / "tree.csv").write_text("class,family,order\na,x,o\nb,x,o\nc,y,o\n")
    (root / "recipe.yaml").write_text(
        "backbone: resnet18\nepochs: 3\nlearning_rate: 1e-3\nimage_size: 64\nmilestones: [1, 2]\nschedule: step\n"
        "boundary: -2\nerase_threshold: 0.7\nsigma: 4.0\nhead: new\n"
    )
    (root / "grid.yaml").write_text(
        "about: a test\ndata: creatures\nrecipe: creatures\nseeds: 1\nsettings: {epochs: 2}\nrows:\n"
        "  - {method: cam, name: plain}\n"
        '  - {method: eil, name: late, boundary: -2, vary: {sigma: [1, 2]}, paper: "sigma {sigma}"}\n'
        "columns: [Top1Cls, MaxBoxAcc]\nprotocols: [{protocol: bas, ten_crop: true}]\n"
        "published: {data: CUB, backbone: VGG16}\n"
    )
    figures = json.loads((root / "figures.json").read_text())
    del figures["Curves"], figures["run"]
    figures["protocols"] = {"bas, ten crops": figures | {"protocol": "bas", "ten_crop": True}}
    (root / "kept").mkdir()
    (root / "kept" / "plain-0.json").write_text(json.dumps(figures | {"minutes": 1.5, "settings": {}, "command": "x"}))


# --- what reads them


def changes(file: str, news: dict[bytes, tuple[bytes, ...]]) -> tuple[Wrong, ...]:
    """Each of the values that are put, one at a time, where another stands in a file."""
    return tuple((file, old, new) for old, each in news.items() for new in each)


def truths(where: str, *splits: Any) -> Callable[[Path], str | None]:
    """Reads each photo's class, size and truth, and says what is unsound."""

    def read(folder: Path) -> str | None:
        for split in splits:
            try:
                photos = Cases(open_data(where, split))
            except NoSplit:
                continue
            if len({sample.id for sample in photos.samples}) < len(photos):
                return "a photo counts twice"
            for index, sample in enumerate(photos.samples):
                if not 0 <= sample.label < len(photos.classes):
                    return f"label {sample.label}"
                (width, height), boxes = photos.size(index), photos.truth(index).boxes
                low, high = boxes[:, :2], boxes[:, 2:]
                if not (np.isfinite(boxes).all() and (low < high).all() and (high > 0).all()):
                    return f"box {boxes.tolist()}"
                if not (width > 0 and height > 0 and (low < (width, height)).all()):
                    return f"box {boxes.tolist()} in {width} x {height}"
        return None

    return read


def pseudo(folder: Path) -> str | None:
    photos = open_data("photos", None)
    known = PseudoTruth(photos, "found/results.jsonl")
    if not (np.isfinite(known.shares).all() and (known.shares >= 0).all() and (known.shares <= 1.001).all()):
        return f"shares {known.shares.tolist()}"
    return "a box without area" if not (known.shares[:, :2] < known.shares[:, 2:]).all() else None


def reviewed(folder: Path) -> None:
    queue = Queue.open(folder / "found", Run.read(folder / "run").classes)
    queue.progress()
    queue.after()
    queue.write("json,csv,coco,labelstudio")
    shutil.move(folder / "found" / "reviewed", folder / "out")


def report(folder: Path) -> None:
    if (path := write_report(Run.read(folder / "run"))) is not None:
        (folder / "out").mkdir()
        shutil.copy(path, folder / "out")


def measured(folder: Path) -> None:
    """Figures without pictures, which take longest."""
    write_json(folder / "out" / "figures.json", evaluate_maps("maps", "metadata/test"))


def listed(name: str) -> Callable[[Path], None]:
    return lambda folder: [wsol.data.images.open_image(path) for path, _ in find_images(name)] and None


def tree(name: str, classes: list[str] | None = None) -> Callable[[Path], None]:
    return lambda folder: label_tree(name, classes or Run.read(folder / "run").classes) and None


def recipe(folder: Path) -> str | None:
    resolve(stack("eil"), "recipe.yaml", {})
    return None


def grid(folder: Path) -> str | None:
    read_grid("grid.yaml")
    return None


def table(folder: Path) -> str | None:
    write_tables(read_grid("grid.yaml"), Path("kept"), {})
    shown = Path("kept/table.md").read_text(encoding="utf-8")
    return "nan in the table" if "| nan" in shown or "| inf" in shown else None


def odd_settings(folder: Path, draw: Random) -> str:
    """Not a file: one setting of a training becomes odd."""
    return "settings"


METHODS = registry.names("methods")


@dataclass(frozen=True)
class OddSettings(Kind):
    """Settings on the command line."""

    def words(self, draw: Random) -> list[list[str]]:
        method = draw.choice(METHODS)
        methods = stack(method)
        names = [*Settings.__dataclass_fields__, *methods.options, *methods.at_test]
        words = ["train", method, "creatures", *SMALL, "--output", "out", "--epochs", "0"]
        for _ in range(draw.choice([1, 1, 2])):
            value = draw.choice([*map(str, NUMBERS), *WORDS, *NAMES[:30], "none", "1", "64", "0.3", "all"])
            words += [f"--{draw.choice(names).replace('_', '-')}={value[:5000]}".replace("\0", "")]
        return [words]


OPTIONS = {
    "locate": "threshold classes keep batch-size max-errors workers format shard checkpoint readout set on-bad-image",
    "evaluate": "threshold split protocol batch-size workers box-format checkpoint readout set pseudo-truth",
    "cut": "threshold format",
}
BEGIN = {
    "locate": ["locate", "run", "photos", "--output", "out", "--format", "json"],
    "evaluate": ["evaluate", "run", "creatures", "--workers", "0"],
    "cut": ["cut", "found", "--output", "out"],
}


@dataclass(frozen=True)
class OddOptions(Kind):
    """Options of other commands."""

    def words(self, draw: Random) -> list[list[str]]:
        name = draw.choice(list(OPTIONS))
        words = BEGIN[name]
        for _ in range(draw.choice([1, 1, 2])):
            value = draw.choice([*map(str, NUMBERS), *WORDS, *NAMES[:30], "x=1", "averaged=nan", "gradcam", "2", "0/2"])
            words = [*words, f"--{draw.choice(OPTIONS[name].split())}={value[:5000]}".replace("\0", "")]
        return [words]


def odd_names(folder: Path, draw: Random) -> str:
    """Photos and class folders get odd names, and so do the classes of the run."""
    chosen = [name for name in NAMES if "/" not in name and "\0" not in name and name not in ("", ".", "..")]
    chosen = [name for name in chosen if len(name.encode("utf-8", "surrogateescape")) < 200]
    photo = folder / "photos" / "crest" / "1.jpg"
    odd = draw.choice(chosen)
    photo.rename(photo.with_name(odd + draw.choice([".jpg", ".png.jpg", ".JPG"])))
    (folder / "photos" / "horn").rename(folder / "photos" / draw.choice(chosen))
    if not (path := folder / "run" / "run.json").is_file():
        return "names"
    about = json.loads(path.read_text())
    about["classes"][draw.randrange(len(about["classes"]))] = draw.choice(chosen)
    path.write_text(json.dumps(about))
    return "names"


LOCATE = ("locate", "run", "photos/crest", "--format", "json,csv,coco,voc,yolo,labelstudio,overlay", "--output", "out")
CUT = ("cut", "found", "--output", "out", "--format", "json,csv,coco,voc,yolo,labelstudio,overlay")
RECUT = (*CUT, "--threshold", "0.3")
EVALUATE = ("evaluate", "run", "creatures", "--workers", "0", "--output", "out/figures.json")
HEATMAPS = ("found/heatmaps.jsonl",)
NPY = ("found/heatmaps/*.npy",)
KINDS: list[Kind] = [
    Kind(
        "run.json",
        ("run", "photos"),
        ("run/run.json",),
        (LOCATE,),
        wrong=changes(
            "run/run.json",
            {
                rb'"classes": \[\s*"': (rb'"classes": [1, "',),
                rb'"image_size": 32': (rb'"image_size": 1000000', rb'"image_size": 0'),
                rb'"seed": 0': (rb'"seed": -1', rb'"seed": 1.5'),
                rb'"learning_rate": [^,]*': (rb'"learning_rate": NaN',),
                rb'"several": false': (rb'"several": "x"',),
                rb'"data": "creatures"': (rb'"data": 3',),
            },
        ),
    ),
    Kind(
        "best.json, threshold.json, photos.json",
        ("run", "photos"),
        ("run/best.json", "run/threshold.json", "run/photos.json", "run/best.json", "run/threshold.json"),
        (LOCATE, EVALUATE),
        wrong=changes(
            "run/threshold.json",
            {rb'"threshold": [0-9.]+': (rb'"threshold": 7', rb'"threshold": NaN', rb'"threshold": true')},
        )
        + changes("run/best.json", {rb'"epoch": 1': (rb'"epoch": -5', rb'"epoch": 1.5', rb'"epoch": "1"')}),
    ),
    Kind("best.safetensors", ("run", "photos"), ("run/best.safetensors",), (LOCATE,)),
    Kind(
        "training.json, metrics.csv, evaluations",
        ("run",),
        ("run/training.json", "run/metrics.csv", "run/evaluations/*.json"),
        call=report,
    ),
    Kind(
        "resumed: run.json, states, metrics.csv",
        ("run",),
        (
            "run/run.json",
            "run/resume.json",
            "run/resume.safetensors",
            "run/metrics.csv",
            "run/training.json",
            "run/last.json",
            "run/best.json",
        ),
        ((*TRAINED, "--resume"),),
    ),
    Kind(
        "heatmaps.jsonl",
        ("found",),
        HEATMAPS,
        (CUT,),
        wrong=changes(
            HEATMAPS[0],
            {
                rb'"path": "[^"]*"': (
                    rb'"path": "../../x.jpg"',
                    rb'"path": "/fuzz/x.jpg"',
                    rb'"path": ""',
                    rb'"path": "a\\u0000b"',
                    rb'"path": 3',
                    rb'"path": "a/../../b.jpg"',
                ),
                rb'"score": [0-9.]+': (
                    rb'"score": 2',
                    rb'"score": NaN',
                    rb'"score": -1',
                    rb'"score": "0.5"',
                    rb'"score": true',
                ),
                rb'"label": \d+': (rb'"label": 99', rb'"label": -1', rb'"label": 0.5', rb'"label": "0"'),
                rb'"confidence": \[[^]]*\]': (
                    rb'"confidence": [NaN]',
                    rb'"confidence": [2]',
                    rb'"confidence": []',
                    rb'"confidence": 1',
                ),
                rb'"boxes": \[\[[^]]*\]\]': (
                    rb'"boxes": [[0, 0, 900, 900]]',
                    rb'"boxes": [[9, 9, 1, 1]]',
                    rb'"boxes": [[NaN, 0, 5, 5]]',
                    rb'"boxes": []',
                    rb'"boxes": [[1, 2, 3]]',
                    rb'"boxes": [[-3, 0, 5, 5]]',
                ),
                rb'"width": 40': (
                    rb'"width": 0',
                    rb'"width": -1',
                    rb'"width": 1e308',
                    rb'"width": 40.5',
                    rb'"width": Infinity',
                ),
                rb'"keep": "largest"': (rb'"keep": "x"', rb'"keep": null'),
                rb'"threshold": (?:[0-9.]+|"auto")': (rb'"threshold": 2', rb'"threshold": "x"', rb'"threshold": NaN'),
                rb'"unsure": (?:true|false)': (rb'"unsure": 3', rb'"unsure": "x"'),
                rb'"whole_image": false': (rb'"whole_image": "no"',),
            },
        ),
    ),
    Kind(
        "classes.json",
        ("found",),
        ("found/classes.json",),
        (CUT,),
        wrong=changes(
            "found/classes.json",
            {
                rb'"classes": \[\s*"': (rb'"classes": [1, "',),
                rb'"classes": \[\s*"[^"]*",': (rb'"classes": [',),
                rb'"classes": \[\s*("[^"]*"),': (rb'"classes": [\1, \1,',),
            },
        ),
    ),
    Kind("heatmaps/*.npy", ("found",), NPY, (RECUT,)),
    Kind(
        "results.jsonl as pseudo boxes",
        ("photos", "found"),
        ("found/results.jsonl",),
        call=pseudo,
        wrong=changes(
            "found/results.jsonl",
            {
                rb'"boxes": \[\[[^]]*\]\]': (
                    rb'"boxes": [[0, 0, 900, 900]]',
                    rb'"boxes": [[9, 9, 1, 1]]',
                    rb'"boxes": [[NaN, 0, 5, 5]]',
                    rb'"boxes": []',
                ),
                rb'"width": 40': (rb'"width": 0', rb'"width": -1', rb'"width": Infinity', rb'"width": 1' + b"0" * 400),
                rb'"path": "[^"]*"': (rb'"path": 3', rb'"path": null'),
            },
        ),
    ),
    Kind(
        "part-*.parquet",
        ("run", "photos", "parts"),
        ("parts/part-00000-of-00001.parquet",),
        (("locate", "run", "photos", "--format", "parquet", "--output", "parts"),),
    ),
    Kind("list.parquet", ("photos", "list.parquet"), ("list.parquet",), call=listed("list.parquet")),
    Kind("list.txt", ("photos", "list.txt"), ("list.txt",), call=listed("list.txt")),
    Kind(
        "review.jsonl",
        ("run", "photos", "found"),
        ("found/review.jsonl",),
        call=reviewed,
        wrong=changes(
            "found/review.jsonl",
            {
                rb'"box": \[[^]]*\]': (
                    rb'"box": [1, 2, 900, 25]',
                    rb'"box": [NaN, 2, 20, 25]',
                    rb'"box": [9, 9, 1, 1]',
                    rb'"box": [1]',
                ),
                rb'"name": "[^"]*"': (rb'"name": "nobody"', rb'"name": 3'),
                rb'"answer": "changed"': (rb'"answer": "x"', rb'"answer": null'),
            },
        ),
    ),
    Kind(
        "metadata lists",
        ("photos", "maps", "metadata"),
        tuple(f"metadata/test/{name}.txt" for name in ("image_ids", "class_labels", "image_sizes", "localization")),
        call=measured,
        wrong=changes(
            "metadata/test/localization.txt",
            {
                rb",2,3,20,25": (
                    b",nan,3,20,25",
                    b",20,3,2,25",
                    b",2,3,1e308,25",
                    b",-1e9,3,20,25",
                    b",2,3,20",
                    b",2,3,900,900",
                )
            },
        )
        + changes(
            "metadata/test/image_sizes.txt",
            {rb",40,30": (b",0,30", b",-4,30", b",40,1e9", b",4.5,30", b",40," + b"9" * 400)},
        )
        + changes(
            "metadata/test/class_labels.txt",
            {rb",1\n": (b",-1\n", b",99999999\n", b",1.5\n", b"," + b"9" * 5000 + b"\n")},
        )
        + changes("metadata/test/image_ids.txt", {rb"\A([^\n]*\n)": (rb"\1\1", rb"nobody\n")}),
    ),
    Kind(
        "metadata masks",
        ("m", "photos", "maps", "masked"),
        ("masked/test/localization.txt", "m/0.png", "m/1.png"),
        (
            (
                "evaluate",
                "--maps",
                "maps",
                "--metadata",
                "masked/test",
                "--output",
                "out/figures.json",
                "--mask-root",
                ".",
            ),
        ),
    ),
    Kind(
        "score maps .npy",
        ("photos", "maps", "metadata"),
        ("maps/crest/1.jpg.npy", "maps/horn/4.png.npy"),
        call=measured,
    ),
    Kind(
        "predictions.csv",
        ("photos", "maps", "metadata"),
        ("maps/predictions.csv",),
        call=measured,
        wrong=changes(
            "maps/predictions.csv",
            {rb",1,0,5": (b",-1,1,0", b",1,1,1", b",x,1,0", b"," + b"9" * 30 + b",1,0", b"," + b"9" * 5000)},
        )
        + (("maps/predictions.csv", rb"\A([^\n]*\n)", rb"\1\1"),),
    ),
    Kind(
        "photos.csv",
        ("photos", "photos.csv", "voc.csv"),
        ("photos.csv", "voc.csv"),
        (("data", "check", "photos.csv"), ("data", "check", "voc.csv")),
        call=lambda folder: truths("photos.csv", "train", "test")(folder) or truths("voc.csv", None)(folder),
        wrong=changes(
            "photos.csv",
            {
                rb",2,3,20,25": (
                    b",nan,3,20,25",
                    b",20,3,2,25",
                    b",2,3,1e308,25",
                    b",-9,3,20,25",
                    b",2,3,20",
                    b",2,3,900,900",
                    b"," + b"9" * 5000 + b",3,20,25",
                )
            },
        ),
    ),
    Kind(
        "COCO annotations",
        ("photos", "coco.json"),
        ("coco.json",),
        (("data", "check", "coco.json"),),
        call=truths("coco.json", None),
        wrong=changes(
            "coco.json",
            {
                rb'"bbox": \[[^]]*\]': (
                    rb'"bbox": [2, 3, NaN, 5]',
                    rb'"bbox": [2, 3, -4, 5]',
                    rb'"bbox": [2, 3, 900, 5]',
                    rb'"bbox": "x"',
                ),
                rb'"category_id": \d': (rb'"category_id": 9', rb'"category_id": null', rb'"category_id": true'),
                rb'"image_id": \d': (rb'"image_id": 99', rb'"image_id": 0.5'),
                rb'"width": 40': (rb'"width": -1', rb'"width": true', rb'"width": 41'),
                rb'"file_name": "[^"]*"': (rb'"file_name": ""', rb'"file_name": 3', rb'"file_name": "x.jpg"'),
                rb'"name": "horn"': (rb'"name": "crest"', rb'"name": 3', rb'"name": ""'),
            },
        ),
    ),
    Kind(
        "CUB lists",
        ("cub",),
        tuple(
            f"cub/{name}.txt"
            for name in ("images", "image_class_labels", "train_test_split", "classes", "bounding_boxes")
        ),
        (("data", "check", "cub"),),
        call=truths("cub", "train", "val", "test"),
        wrong=changes(
            "cub/bounding_boxes.txt",
            {
                rb" 2.0 3.0 18.0 22.0": (
                    b" nan 3 18 22",
                    b" 2 3 -18 22",
                    b" 2 3 0 0",
                    b" 900 900 18 22",
                    b" 2 3 18",
                    b" 2 3 1e308 22",
                )
            },
        )
        + changes("cub/classes.txt", {rb"2 002.y": (b"2 001.x", b"1 002.y")})
        + changes("cub/images.txt", {rb"2 001/2.jpg": (b"1 001/2.jpg", b"2 001/1.jpg", b"2 ../x.jpg")})
        + changes("cub/image_class_labels.txt", {rb"\n2 1": (b"\n2 9", b"\n1 1", b"\n1 2\n2 1")}),
    ),
    Kind(
        "VOC XML and lists",
        ("voc",),
        (*(f"voc/Annotations/{i}.xml" for i in range(1, 5)), "voc/ImageSets/Main/val.txt"),
        (("data", "check", "voc"),),
        call=truths("voc", "test"),
        wrong=changes(
            "voc/Annotations/1.xml",
            {
                rb"<xmax>20</xmax>": (
                    b"<xmax>1e308</xmax>",
                    b"<xmax>0</xmax>",
                    b"<xmax>nan</xmax>",
                    b"<xmax>900</xmax>",
                    b"<xmax/>",
                    b"",
                ),
                rb"<name>cat</name>": (b"<name>unicorn</name>", b"<name></name>", b""),
                rb"<width>40</width>": (b"<width>-4</width>", b"<width>x</width>", b"<width>41</width>"),
            },
        )
        + (("voc/ImageSets/Main/val.txt", rb"2\n", rb"1\n"), ("voc/ImageSets/Main/val.txt", rb"2\n", rb"../x\n")),
    ),
    Kind(
        "Flowers-17 labels",
        ("flowers17",),
        ("flowers17/labels.csv", "flowers17/masks/3.png"),
        (("data", "check", "flowers17"),),
        call=truths("flowers17", "train", "test"),
        wrong=(
            ("flowers17/labels.csv", rb",0,0\n", b",-1,0\n"),
            ("flowers17/labels.csv", rb",0,0\n", b",1.5,0\n"),
            ("flowers17/labels.csv", rb"images/2.jpg", b"images/1.jpg"),
        ),
    ),
    Kind(
        "Flowers-102 .mat",
        ("flowers102",),
        ("flowers102/imagelabels.mat", "flowers102/setid.mat"),
        call=truths("flowers102", "train", "test"),
    ),
    Kind(
        "Pet lists",
        ("pet",),
        ("pet/annotations/trainval.txt", "pet/annotations/test.txt"),
        (("data", "check", "pet"),),
        call=truths("pet", "train", "test"),
        wrong=(
            ("pet/annotations/test.txt", rb"cat_2 1", b"cat_1 1"),
            ("pet/annotations/test.txt", rb"cat_2 1", b"cat_2 -1"),
            ("pet/annotations/test.txt", rb"dog_1 2", b"cat_3 2"),
        ),
    ),
    Kind(
        "label tree CSV",
        ("tree.csv",),
        ("tree.csv",),
        call=tree("tree.csv", ["a", "b", "c"]),
        wrong=(("tree.csv", rb"b,x,o", b"a,y,o"), ("tree.csv", rb"b,x,o", b"b,,o"), ("tree.csv", rb"b,x,o\n", b"")),
    ),
    Kind("label tree of figures", ("run", "figures.json"), ("figures.json",), call=tree("figures.json")),
    Kind(
        "recipe YAML",
        ("recipe.yaml",),
        ("recipe.yaml",),
        call=recipe,
        wrong=changes(
            "recipe.yaml",
            {
                rb"epochs: 3": (
                    b"epochs: -3",
                    b"epochs: 1e400",
                    b"epochs: " + b"9" * 400,
                    b"epochs: 3.5",
                    b"epochs: yes",
                ),
                rb"image_size: 64": (b"image_size: 1000000", b"image_size: 4", b"image_size: nan"),
                rb"learning_rate: 1e-3": (b"learning_rate: 1e308", b"learning_rate: .nan", b"learning_rate: -1"),
                rb"milestones: \[1, 2\]": (b"milestones: [x]", b"milestones: [-1]", b"milestones: [.inf]"),
            },
        ),
    ),
    Kind(
        "grid YAML",
        ("grid.yaml",),
        ("grid.yaml",),
        call=grid,
        wrong=changes(
            "grid.yaml",
            {
                rb"seeds: 1": (b"seeds: 0", b"seeds: 99999999", b"seeds: x"),
                rb"name: plain": (b"name: '{'", b"name: late, sigma 1"),
                rb"\{sigma: \[1, 2\]\}": (b"{sigma: 1}", b"{nothing: [1]}", b"{seed: [1]}", b"{sigma: [x]}"),
                rb"epochs: 2\}": (b"epochs: x}", b"1: 2}"),
                rb'"sigma \{sigma\}"': (b'"{epochs.foo}"', b'"{epochs[0]}"', b'"{epochs:>9999999999}"', b'"{x}"'),
                rb"method: cam": (b"method: cm", b"method: 3"),
                rb"protocol: bas": (b"protocol: bass", b"protocol: 3", b"protocol: livia", b"protcol: bas"),
                rb"ten_crop: true": (b"ten_crop: 1", b"ten_crop: x"),
            },
        ),
    ),
    Kind(
        "kept figures",
        ("grid.yaml", "kept"),
        ("kept/plain-0.json",),
        call=table,
        wrong=changes(
            "kept/plain-0.json",
            {
                rb'"Top1Cls": [0-9.]+(?=, "Energy5)': (
                    rb'"Top1Cls": NaN',
                    rb'"Top1Cls": [1]',
                    rb'"Top1Cls": 1' + b"0" * 400,
                    rb'"Top1Cls": "x"',
                    rb'"Top1Cls": 900',
                ),
                rb'"CentreBox": \{': (rb'"CentreBox": NaN, "x": {', rb'"x": {'),
                rb'"data": "creatures"': (rb'"x": 1', rb'"data": 3'),
                rb'"minutes": 1.5': (rb'"minutes": "x"', rb'"minutes": -1'),
                rb'"protocols": \{': (rb'"protocols": 3, "x": {', rb'"protocols": {"bas": 3, '),
                rb'("protocols": .*?)"Top1Cls": [0-9.]+': (rb'\1"Top1Cls": "x"',),
            },
        ),
    ),
    OddSettings("settings on the command line", (), change=odd_settings, says=("epoch", "step", "FewShot learns")),
    OddOptions("options of locate, evaluate and cut", ("run", "photos", "found"), change=odd_settings),
    Kind(
        "names in training",
        ("photos",),
        change=odd_names,
        says=("epoch", "step"),
        commands=(
            ("data", "check", "photos", "--output", "out/sheet.png"),
            ("train", "cam", "photos", *SHEETS, "--epochs", "1", "--output", "out/run"),
            ("evaluate", "out/run", "photos", "--workers", "0", "--output", "out/figures.json"),
        ),
    ),
    Kind(
        "names of photos and classes",
        ("run", "photos"),
        change=odd_names,
        commands=(
            ("locate", "run", "photos", "--format", FORMATS + ",overlay", "--output", "out"),
            ("data", "check", "photos"),
            ("locate", "run", "photos", "--format", "parquet", "--output", "out2"),
        ),
    ),
]
