"""A localizer whose network costs nothing, to see what surrounds it."""

from typing import Any

import numpy as np

from wsol.answer import Answer


class Costless:
    """It says how bright an image is and finds its bright part, and notes how many images it was shown at once."""

    def __init__(self, name: str = "costless") -> None:
        self.name, self.batches = name, []
        self.classes, self.image_size, self.several, self.names_classes = ("dark", "bright"), 8, False, True
        self.threshold, self.threshold_source = 0.5, "recipe"
        self.folder = self.background = None
        self.facts: dict[str, Any] = {}

    def look(self, images: np.ndarray, classes: None = None, best: int = 1) -> Answer:
        self.batches.append(len(images))
        grey = images.mean(1)
        scores = self.judge(images)
        order = scores.argsort(1)[:, ::-1][:, :best].copy()
        return Answer(scores, scores, order, grey[:, None].repeat(best, 1), np.zeros(len(images), bool))

    def judge(self, images: np.ndarray) -> np.ndarray:
        bright = images.mean((1, 2, 3))
        return np.stack([1 - bright, bright], 1).astype(np.float32)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        return logits
