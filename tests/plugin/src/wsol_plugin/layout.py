"""A layout: photos.txt with `file class` on each line; every third photo is for validation and for tests."""

from pathlib import Path

from wsol.data.dataset import Dataset, Sample, Split, Truth


class Listed(Dataset):
    """ROOT/photos.txt, a line a photo."""

    about = "photos.txt with `file class` on each line"

    @classmethod
    def found(cls, path: str | Path) -> Path | None:
        return Path(path) if (Path(path) / "photos.txt").is_file() else None

    def __init__(self, root: str | Path, split: Split) -> None:
        root = Path(root)
        rows = [line.split() for line in (root / "photos.txt").read_text(encoding="utf-8").splitlines()]
        self.name, self.classes = root.name, sorted({name for _, name in rows})
        held = [row for place, row in enumerate(rows) if (place % 3 == 2) == (split != "train")]
        self.samples = [Sample(file, self.classes.index(name), root / file) for file, name in held]

    def truth(self, index: int) -> Truth:
        return Truth()
