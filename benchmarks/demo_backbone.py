"""Trains the demo's backbone on the 60 kinds of creatures that the demo does not show, and writes it at half precision.

    python benchmarks/demo_backbone.py --output src/wsol/cli/creatures.safetensors

It stands for the ImageNet weights that people begin with, in a demo that downloads nothing.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

import wsol
from wsol.data.layouts.creatures import Creatures

BACKBONE = "test_resnet"  # timm's smallest plain ResNet: 0.37 million parameters
KINDS = {"first": 12, "classes": 60}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=4080)
    parser.add_argument("--epochs", type=int, default=24)
    given = parser.parse_args()
    photos = tuple(
        Creatures(split, images, seed=1, **KINDS) for split, images in (("train", given.photos), ("val", 600))
    )
    with TemporaryDirectory() as folder:
        run = wsol.train(
            "cam",
            photos,
            folder,
            recipe="creatures",
            backbone=BACKBONE,
            end="layer4",
            epochs=given.epochs,
            batch_size=32,
            learning_rate=0.1,
            sheet_every=0,
        )
        state = run.open().method.backbone.state_dict()
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file({name: value.contiguous() for name, value in half.items()}, given.output)
