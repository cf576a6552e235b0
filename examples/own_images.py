"""From a folder of class folders to crops of what was found: `python own_images.py photos new_photos`."""

import sys
from pathlib import Path

import wsol

if __name__ == "__main__":
    photos, new_photos = sys.argv[1:3]
    run = wsol.train("eil", photos, "runs/own", backbone="mobilenetv2", epochs=10)

    crops = Path("crops")
    for result in wsol.locate(run, new_photos):
        if result.findings[0].whole_image:
            print(f"{result.path}: nothing stands out")
            continue
        target = crops / result.name / Path(result.path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        result.crop().save(target)
        print(f"{result.path}: {result.name} ({result.score:.0%}) at {result.boxes[0].round().tolist()}")
