"""Names to things: methods, backbones, read-outs, layouts and formats, ours and those that installed packages offer.

A package offers its own by entry points, a line each in its pyproject.toml::

    [project.entry-points."wsol.methods"]
    forgetful = "forgetful.method:Forgetful"

Nothing is imported before it is asked for. A name that two packages take is an error that names both.
"""

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points, version
from typing import Any, Literal, TypeVar

from wsol.errors import WsolError

Kind = Literal["methods", "backbones", "readouts", "layouts", "formats"]
T = TypeVar("T")
CALLED: dict[Kind, str] = {
    "methods": "method",
    "backbones": "backbone",
    "readouts": "read-out",
    "layouts": "layout",
    "formats": "format",
}
OURS: dict[Kind, dict[str, str]] = {
    "methods": {
        "cam": "wsol.methods.cam:CAM",
        "acol": "wsol.methods.acol:ACoL",
        "eil": "wsol.methods.eil:EIL",
        "meil": "wsol.methods.eil:MEIL",
        "sltnet": "wsol.methods.slt:SLTNet",
        "regressor": "wsol.methods.regressor:Regressor",
        "ega": "wsol.methods.ega:EGA",
        "bas": "wsol.methods.bas:BAS",
        "aepl": "wsol.methods.aepl:AEPL",
        "spg": "wsol.methods.spg:SPG",
        "i2c": "wsol.methods.i2c:I2C",
        "danet": "wsol.methods.danet:DANet",
        "nlccam": "wsol.methods.nlccam:NLCCAM",
        "has": "wsol.methods.has:HaS",
        "cutmix": "wsol.methods.cutmix:CutMix",
        "adl": "wsol.methods.adl:ADL",
        "trilite": "wsol.methods.trilite:TriLite",
        "tscam": "wsol.methods.tscam:TSCAM",
        "gcnet": "wsol.methods.gcnet:GCNet",
        "fewshot": "wsol.methods.fewshot:FewShot",
    },
    "backbones": {
        "vgg16": "wsol.backbones.vgg:VGG16",
        "vgg16_bn": "wsol.backbones.vgg:VGG16_BN",
        "resnet18": "wsol.backbones.resnet:RESNET18",
        "resnet50": "wsol.backbones.resnet:RESNET50",
        "googlenet": "wsol.backbones.googlenet:GOOGLENET",
        "inception_v3": "wsol.backbones.inception:INCEPTION_V3",
        "densenet161": "wsol.backbones.densenet:DENSENET161",
        "mobilenetv1": "wsol.backbones.mobilenet:MOBILENETV1",
        "mobilenetv2": "wsol.backbones.mobilenet:MOBILENETV2",
        "squeezenet1_1": "wsol.backbones.squeezenet:SQUEEZENET1_1",
    },
    "readouts": {
        "own": "wsol.readouts.contract:Own",
        "saliency": "wsol.readouts.saliency:Saliency",
        "gradcam": "wsol.readouts.gradcam:GradCAM",
        "gradcam++": "wsol.readouts.gradcam_plus_plus:GradCAMPlusPlus",
        "layercam": "wsol.readouts.layercam:LayerCAM",
        "scorecam": "wsol.readouts.scorecam:ScoreCAM",
        "ccam": "wsol.readouts.ccam:CCAM",
        "mean": "wsol.readouts.mean:Mean",
        "pc1": "wsol.readouts.pc1:PC1",
    },
    # in the order in which they are asked; the plain folder, which takes any, comes after those of other packages
    "layouts": {
        "creatures": "wsol.data.layouts.creatures:Creatures",
        "csv": "wsol.data.layouts.table:Csv",
        "coco": "wsol.data.layouts.coco:Coco",
        "cub": "wsol.data.layouts.cub:CUB",
        "voc": "wsol.data.layouts.voc:VOC",
        "caltech256": "wsol.data.layouts.caltech256:Caltech256",
        "pet": "wsol.data.layouts.pet:Pet",
        "flowers102": "wsol.data.layouts.flowers102:Flowers102",
        "flowers17": "wsol.data.layouts.flowers17:Flowers17",
        "metadata": "wsol.data.layouts.metadata:Metadata",
        "ilsvrc": "wsol.data.layouts.ilsvrc:ILSVRC",
        "folder": "wsol.data.layouts.folder:Folder",
    },
    "formats": {
        "coco": "wsol.export.coco:CocoWriter",
        "yolo": "wsol.export.yolo:YoloWriter",
        "voc": "wsol.export.voc:VocWriter",
        "labelstudio": "wsol.export.labelstudio:LabelStudioWriter",
        "json": "wsol.export.table:JsonWriter",
        "csv": "wsol.export.table:CsvWriter",
        "parquet": "wsol.export.parquet:ParquetWriter",
        "overlay": "wsol.export.overlay:OverlayWriter",
        "heatmap": "wsol.export.heatmaps:HeatmapWriter",
    },
}


ALIASES = {"psol": "regressor"}  # what else the field calls a thing


@dataclass(frozen=True)
class Entry:
    """A name, where the thing that it stands for is defined, and the package that offers it.

    target: "module:attribute".
    package: name of the installed distribution; "" for what a running program registered itself.
    thing: what the program registered.
    """

    kind: Kind
    name: str
    target: str
    package: str
    thing: Any = field(default=None, repr=False, compare=False)

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]

    @property
    def title(self) -> str:
        """The attribute's own name, which for a method is the paper's spelling."""
        return self.target.partition(":")[2]

    @property
    def version(self) -> str:
        """The package's version, "" where it has none."""
        return version(self.package) if self.package else ""

    @property
    def source(self) -> str:
        """The package, or the module of a running program."""
        return self.package or self.module

    def load(self) -> Any:
        """Imports the thing. Raises WsolError that names the package and its error where it cannot be imported."""
        if self.thing is not None:
            return self.thing
        try:
            thing = import_module(self.module)
            for attribute in self.title.split("."):
                thing = getattr(thing, attribute)
        except Exception as error:  # whatever somebody else's module raises when it is imported
            said = str(error).partition("\n")[0] or type(error).__name__
            raise WsolError(
                f"the {CALLED[self.kind]} {self.name!r} of the package {self.source} cannot be loaded ({said}); "
                f"fix or remove that package"
            ) from error
        return thing


_registered: dict[tuple[Kind, str], Entry] = {}


@cache
def _installed(kind: Kind) -> list[Entry]:
    ours = [Entry(kind, name, target, "wsol") for name, target in OURS[kind].items()]
    offered = entry_points(group=f"wsol.{kind}")
    return ours + [Entry(kind, each.name.lower(), each.value, each.dist.name if each.dist else "") for each in offered]


def entries(kind: Kind) -> list[Entry]:
    """All entries of a kind: ours first, then those of installed packages, then what the program registered."""
    return _installed(kind) + [entry for (of, _), entry in _registered.items() if of == kind]


def names(kind: Kind) -> list[str]:
    """The names that `find` knows."""
    return list(dict.fromkeys(entry.name for entry in entries(kind)))


def entry(kind: Kind, name: str) -> Entry:
    """The entry of a name, in any case, or of an alias.

    Raises WsolError with a suggestion for an unknown name, and for one that two packages take.
    """
    key = ALIASES.get(name.lower(), name.lower())
    check_key(key, names(kind), f"there is no {CALLED[kind]}")
    found = [each for each in entries(kind) if each.name == key]
    if len(found) > 1:
        sources = " and ".join(each.source for each in found)
        raise WsolError(f"the {CALLED[kind]} {name!r} is offered by {sources}; remove one of these packages")
    return found[0]


def find(kind: Kind, name: str) -> Any:
    """The thing of a name. Raises WsolError as `entry` and `Entry.load` do."""
    return entry(kind, name).load()


def register(thing: T, kind: Kind = "methods") -> T:
    """Makes a class of a running program known under its name in lower case: a decorator.

    Raises WsolError where another package has that name.
    """
    module, title = getattr(thing, "__module__", ""), getattr(thing, "__qualname__", "")
    own = Entry(kind, title.lower(), f"{module}:{title}", "", thing)
    taken = [each for each in entries(kind) if each.name == own.name and each.target != own.target]
    if taken:
        raise WsolError(
            f"the {CALLED[kind]} {own.name!r} of {own.source} is taken by {taken[0].source}; "
            "give the class another name"
        )
    _registered[kind, own.name] = own
    return thing


def check_key(key: str, known: Collection[str], said: str) -> None:
    """Raises WsolError, with a suggestion, for a key that is not known."""
    if key not in known:
        close = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        raise WsolError(f"{said} {key!r}; {hint}")
