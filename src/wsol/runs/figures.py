"""The figures of an evaluation, read again from the file that keeps them."""

from pathlib import Path
from typing import Annotated, Any

from wsol.errors import WsolError
from wsol.system.files import read_json
from wsol.system.values import Count, Cut, Range, cast

Percent = Annotated[float, Range(0, 100)] | None
Minutes = Annotated[float, Range(0)] | None
AGAIN = "remove it, then evaluate again"
PERCENT = ("Top1Cls", "Top5Cls", "mAP", "MaxBoxAcc", "MaxBoxAcc30", "MaxBoxAcc50", "MaxBoxAcc70", "MaxBoxAccV2")
PERCENT += ("GTKnownLoc", "Top1Loc", "Top5Loc", "MaxTop1Loc", "MaxTop5Loc", "MeanBoxIoU")
PERCENT += ("PxAP", "PIoU", "MeanIoU", "PeakOnPart")
KINDS: dict[str, Any] = {"data": str, "split": str, "images": Count, "protocol": str, "threshold": Cut}
KINDS |= dict.fromkeys(("CentreBox", "WholeImage"), dict[str, float | None])
KINDS |= {"Errors": dict[str, Percent] | None, "IoUs": tuple[Percent, ...] | None}
KINDS |= {"Curves": dict[str, tuple[float, ...]] | None, "Confusion": dict[str, dict[str, Count]] | None}
KINDS |= dict.fromkeys(PERCENT, Percent) | {"minutes": Minutes, "settings": dict | None}


def read_figures(path: Path, needed: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `wsol.evaluate` gave, and a benchmark's `settings`, `minutes` and `protocols` where it was one.

    needed: kinds of further entries.

    Raises WsolError naming the file, and the entry that is missing or no number that it can be.
    """
    figures = read_json(path, AGAIN)
    try:
        for name, kind in (KINDS | (needed or {})).items():
            cast(figures.get(name), kind, name)
        for protocol, others in cast(figures.get("protocols", {}), dict[str, dict], "protocols").items():
            for name, kind in KINDS.items():
                cast(others.get(name), kind, f"protocols.{protocol}.{name}")
    except WsolError as error:
        raise WsolError(f"{path}: holds no figures ({error}); {AGAIN}") from error
    return figures
