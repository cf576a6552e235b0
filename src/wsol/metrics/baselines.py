"""Boxes that look at nothing. A method that does not beat them has found a part, or nothing."""

import numpy as np
from jaxtyping import Float


def centre_box(image_size: tuple[int, int], share: float = 0.7) -> Float[np.ndarray, "1 4"]:
    """A box in the middle of an image of (W, H) with `share` of each of its sides."""
    size, margin = np.array(image_size, np.float64), (1 - share) / 2
    return np.concatenate([size * margin, size * (1 - margin)])[None]


def whole_image(image_size: tuple[int, int]) -> Float[np.ndarray, "1 4"]:
    """The box of the whole image of (W, H)."""
    return centre_box(image_size, share=1.0)
