"""Published data sets that torchvision can fetch."""

from pathlib import Path
from typing import Any

from wsol.errors import WsolError

# name -> the class of torchvision.datasets and its arguments
SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "caltech256": ("Caltech256", {}),
    "flowers102": ("Flowers102", {}),
    "pet": ("OxfordIIITPet", {"target_types": "segmentation"}),
    "voc2012": ("VOCDetection", {"year": "2012", "image_set": "trainval"}),
}


def download(name: str, folder: str | Path) -> None:
    """Fetches a published data set by torchvision. Files that are there already are kept.

    This was not tried against the servers, only against replacements of torchvision's classes.

    name: The data set: caltech256, flowers102, pet or voc2012.
    folder: The folder to write it to. `wsol train METHOD FOLDER` then reads it.

    Raises WsolError for an unknown name, and with torchvision's reason when nothing can be fetched.
    """
    from torchvision import datasets

    if name not in SOURCES:
        raise WsolError(f"{name}: torchvision does not fetch it; there are {', '.join(SOURCES)}")
    kind, options = SOURCES[name]
    try:
        getattr(datasets, kind)(str(folder), download=True, **options)
    except ModuleNotFoundError as error:
        raise WsolError(f"{name}: torchvision fetches it by {error.name}; pip install {error.name}") from error
    except (OSError, RuntimeError) as error:
        raise WsolError(f"{folder}: {name} could not be fetched ({error}); try again, or fetch it by hand") from error
