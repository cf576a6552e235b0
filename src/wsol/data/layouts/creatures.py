"""Creatures: generated birds whose class shows in a small part, with true boxes, masks and part masks.

They show the problem that the papers solve. Crest, face and beak decide the class; body, pose, size, place and
background are drawn independently of it, except that with probability `body_hint` the body has the colours of its
class's family (three classes share one). A network that looks at the head alone can name every class, and finds only
a part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from wsol.data.dataset import Dataset, Sample, Split, Truth
from wsol.errors import WsolError

CRESTS = ("Tufted", "Spiked", "Fanned", "Smooth")
FACES = ("cap", "mask", "cheek")
COUNTS = {"train": 1200, "val": 240, "test": 480}
SPLITS = ("train", "val", "test")

# colours are RGB in 0..1; a family is (body, belly, texture)
FAMILIES = (
    ((0.36, 0.50, 0.66), (0.83, 0.87, 0.90), "plain"),
    ((0.62, 0.45, 0.30), (0.93, 0.85, 0.70), "spots"),
    ((0.42, 0.55, 0.36), (0.88, 0.90, 0.70), "bars"),
    ((0.55, 0.47, 0.60), (0.92, 0.84, 0.88), "scales"),
)
MARKS = (
    (0.90, 0.27, 0.20),
    (0.98, 0.80, 0.20),
    (0.15, 0.35, 0.80),
    (0.98, 0.97, 0.93),
    (0.12, 0.12, 0.16),
    (0.10, 0.62, 0.58),
)
BEAKS = ((0.95, 0.60, 0.15), (0.20, 0.20, 0.24), (0.85, 0.30, 0.25), (0.93, 0.85, 0.55))

Colour = tuple[float, float, float]
Outline = Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class Shape:
    """A filled outline.

    outline: (n, 2) x, y.
    colour: RGB in 0 to 1.
    part: Whether it belongs to the part that decides the class.
    shade: How much it darkens towards the ground.
    texture: "plain", "spots", "bars" or "scales".
    """

    outline: Outline
    colour: Colour
    part: bool = False
    shade: float = 0.25
    texture: str = "plain"


@dataclass(frozen=True)
class Scene:
    """A rendered photo with its truth.

    pixels: (S, S, 3) RGB.
    mask: (S, S) true on the creature.
    part: (S, S) true on the part that decides the class.
    """

    pixels: UInt8[np.ndarray, "S S 3"]
    mask: Bool[np.ndarray, "S S"]
    part: Bool[np.ndarray, "S S"]


class Creatures(Dataset):
    """Generated photos, not stored: photo i depends on (seed, split, i) alone and looks the same at any size.

    split: "train", "val" or "test".
    images: How many photos, the classes in turn. Default: 1200 train, 240 val, 480 test.
    size: The side of a photo in pixels.
    seed: Other seeds give other photos.
    classes: how many kinds, at least 2. Twelve have different shapes; further ones repeat these in other colours.
    body_hint: 0 to 1, how often the colours of the body tell the family.
    first: the first kind; there are 72 in all.

    Raises WsolError for another number of classes.
    """

    about = "the word creatures, for generated photos of birds"
    name = "creatures"
    has_boxes = True
    generated = True

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return path if path == Path("creatures") else None

    def __init__(
        self,
        split: Split = "train",
        images: int | None = None,
        size: int = 128,
        seed: int = 0,
        classes: int = 12,
        body_hint: float = 0.8,
        first: int = 0,
    ) -> None:
        kinds = range(12 * len(MARKS))
        if classes < 2 or not 0 <= first <= len(kinds) - classes:
            raise WsolError(f"there are {len(kinds)} kinds of creatures, not {classes} from {first} on; take 2 or more")
        self.split, self.side, self.seed, self.body_hint, self.first = split, size, seed, body_hint, first
        names = [f"{CRESTS[c % 4]} {FACES[c % 3]}" for c in range(12)]
        self.classes = [names[c % 12] + (f" {c // 12 + 1}" if c >= 12 else "") for c in kinds[first : first + classes]]
        count = COUNTS[split] if images is None else images
        self.samples = [Sample(f"{split}/{i:05d}", i % classes, Path(f"{split}/{i:05d}")) for i in range(count)]
        self._scene = lru_cache(maxsize=4096 if size <= 160 else 64)(self._render)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._scene(index).pixels)

    def size(self, index: int) -> tuple[int, int]:
        return self.side, self.side

    def truth(self, index: int) -> Truth:
        """The tight box of the creature (x1, y1 one past its last pixel), its mask, and its head, crest and beak."""
        scene = self._scene(index)
        mask = scene.mask
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        return Truth(np.array([box], np.float64), mask, part=scene.part)

    def _render(self, index: int) -> Scene:
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        return render(rng, self.first + self.samples[index].label, self.side, self.body_hint)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_scene"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._scene = lru_cache(maxsize=4096 if self.side <= 160 else 64)(self._render)


def render(rng: np.random.Generator, label: int, size: int, body_hint: float) -> Scene:
    """Draws one photo. The label decides only the head and, as a hint, the family of the body.

    rng: Decides everything else.
    label: The class.
    size: The side in pixels.
    body_hint: 0 to 1, how often the body has the colours of its class's family.
    """
    ground, bird, hint, fine = (np.random.default_rng(each) for each in rng.integers(0, 2**63, 4))
    told = hint.random() < body_hint
    family = FAMILIES[label // 3 % len(FAMILIES) if told else hint.integers(len(FAMILIES))]
    fold = 3 if size <= 160 else 2  # drawn larger, then averaged down: smooth edges
    side = size * fold
    canvas = background(ground, side)
    shapes = placed(list(creature(bird, label, family)), bird, side)
    mask, part = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    _shadow(canvas, shapes)
    for shape in shapes:
        paint(canvas, shape)
        cv2.fillPoly(mask, [_fixed(shape.outline)], 255, shift=4)
        cv2.fillPoly(part, [_fixed(shape.outline)], 255 if shape.part else 0, shift=4)
    small = (size, size)
    pixels = cv2.resize(canvas, small, interpolation=cv2.INTER_AREA)
    grain = cv2.resize(fine.normal(0, 0.012, (128, 128, 1)).astype(np.float32), small)[:, :, None]
    light = fine.uniform(0.85, 1.1) * (1 + fine.uniform(-0.06, 0.06, 3))
    pixels = ((pixels * light + grain).clip(0, 1) * 255).astype(np.uint8)
    inside, head = (cv2.resize(each, small, interpolation=cv2.INTER_AREA) > 127 for each in (mask, part))
    return Scene(pixels, inside, head & inside)


def creature(rng: np.random.Generator, label: int, family: tuple[Colour, Colour, str]) -> Iterator[Shape]:
    """A bird in its own units, facing right, y downwards, back to front; body radius about 1."""
    body, belly, texture = family
    body = tuple(np.clip(np.array(body) + rng.normal(0, 0.05, 3), 0.05, 0.95))
    long, tall = rng.uniform(1.15, 1.7), rng.uniform(0.72, 1.0)
    dark = tuple(np.array(body) * 0.72)
    spread, tail = rng.uniform(0.15, 0.45), rng.uniform(0.6, 1.5)
    rise = rng.uniform(-0.7, 0.35)
    root = np.array([-0.75 * long, -0.05])
    tip = root + [-tail, -rise]
    yield Shape(
        _smooth([root + [0.2, -0.25], tip + [0, -spread], tip + [0.12, 0], tip + [0, spread], root + [0.2, 0.3]]), dark
    )
    if rng.random() < 0.75:
        length = rng.uniform(0.35, 0.9)
        for x in (-0.12, 0.28):
            foot = np.array([x + rng.uniform(-0.1, 0.15), tall * 0.85 + length])
            yield Shape(_stroke(np.array([x, tall * 0.7]), foot, 0.055), (0.45, 0.33, 0.25))
            yield Shape(_stroke(foot - [0.1, 0], foot + [0.24, 0.02], 0.05), (0.45, 0.33, 0.25))
    neck = rng.uniform(0.15, 0.85)
    lean = rng.uniform(0.35, 1.15)
    head = np.array([0.62 * long + neck * np.cos(lean), -0.45 * tall - neck * np.sin(lean) - 0.22])
    shoulder = np.array([0.42 * long, -0.2 * tall])
    across = np.array([np.sin(lean), np.cos(lean)])
    yield Shape(
        _smooth([shoulder - across * 0.5, head - across * 0.3, head + across * 0.3, shoulder + across * 0.55]),
        body,
        shade=0.15,
    )
    yield Shape(_ellipse((0, 0), (long, tall), -0.12), body, texture=texture)
    yield Shape(_ellipse((0.12 * long, 0.32 * tall), (0.72 * long, 0.55 * tall), -0.15), belly, shade=0.35)
    lift, wing = rng.uniform(-0.5, 0.25), rng.uniform(0.6, 0.95)
    yield Shape(
        _leaf((0.18 * long, -0.12), (-0.85 * long * wing, 0.12 + lift * 0.6), 0.42 * tall), dark, texture=texture
    )
    yield from _head(head, rng.uniform(0.36, 0.44), label, body)


def _head(centre: np.ndarray, radius: float, label: int, body: Colour) -> Iterator[Shape]:
    """The part that makes the class: beak, head, crest, face; crest and face together name it."""
    crest, face, beak = CRESTS[label % 4], FACES[label % 3], label // 3 % 4
    mark, other = MARKS[(label * 5 + label // 12) % 6], MARKS[(label * 5 + 3 + label // 12) % 6]

    def at(*points: tuple[float, float]) -> list[np.ndarray]:
        return [centre + radius * np.array(point) for point in points]

    beaks = (
        at((0.7, -0.4), (1.75, 0.05), (0.7, 0.45)),
        at((0.75, -0.22), (2.5, 0.16), (0.75, 0.25)),
        at((0.7, -0.45), (1.5, -0.3), (1.75, 0.6), (1.25, 0.2), (0.7, 0.4)),
        at((0.75, -0.3), (1.7, -0.2), (2.15, -0.35), (2.2, 0.3), (1.7, 0.15), (0.75, 0.3)),
    )
    yield Shape(np.array(beaks[beak]), BEAKS[beak], True, 0.3)
    for outline in {
        "Tufted": [
            _leaf(at((-0.2, -0.7))[0], at((x, -1.75 + abs(x + 0.45) * 0.5))[0], 0.16 * radius)
            for x in (-1.1, -0.55, 0.0)
        ],
        "Spiked": [np.array(at((0.35, -0.85), (-1.7, -1.5), (-0.9, -0.2)))],
        "Fanned": [_ellipse(at((-0.15, -0.95))[0], (0.85 * radius, 0.6 * radius), -0.2)],
        "Smooth": [],
    }[crest]:
        yield Shape(outline, mark, True, 0.2)
    yield Shape(_ellipse(centre, (radius, radius), 0), body, True, 0.2)
    angle = np.linspace(np.pi * 0.98, np.pi * 2.02, 24)
    yield Shape(
        {
            "cap": centre + radius * np.stack([np.cos(angle), np.sin(angle) * 1.02 - 0.12], 1),
            "mask": _leaf(at((-0.95, 0.05))[0], at((1.02, -0.12))[0], 0.33 * radius),
            "cheek": _ellipse(at((-0.12, 0.38))[0], (0.55 * radius, 0.45 * radius), 0),
        }[face],
        other,
        True,
        0.1,
    )
    eye = at((0.32, -0.14))[0]
    yield Shape(_ellipse(eye, (0.2 * radius, 0.2 * radius), 0), (0.97, 0.96, 0.92), True, 0)
    yield Shape(_ellipse(eye + 0.04 * radius, (0.13 * radius, 0.13 * radius), 0), (0.06, 0.06, 0.08), True, 0)


def placed(shapes: list[Shape], rng: np.random.Generator, side: int) -> list[Shape]:
    """The shapes turned, mirrored, scaled to 40 to 85 % of the photo's side, and moved to where they fit."""
    turn, mirror = rng.normal(0, 0.16), rng.choice([-1, 1])
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.array([[cosine, -sine], [sine, cosine]]) * [[mirror], [1]]
    # the part's own shapes do not take part: size and place must not tell the class
    body = np.concatenate([shape.outline for shape in shapes if not shape.part]) @ matrix.T
    centre = shapes[-1].outline.mean(0) @ matrix.T
    low, high = np.minimum(body.min(0), centre - 1), np.maximum(body.max(0), centre + 1)
    scale = rng.uniform(0.4, 0.85) * side / (high - low).max()
    room = np.maximum(side - scale * (high - low), 0)
    origin = rng.uniform(0, 1, 2) * room - scale * low
    return [Shape(s.outline @ matrix.T * scale + origin, s.colour, s.part, s.shade, s.texture) for s in shapes]


def paint(canvas: Float[np.ndarray, "S S 3"], shape: Shape) -> None:
    """Fills a shape: lighter above, darker below, with its texture."""
    x0, y0 = np.floor(shape.outline.min(0)).astype(int).clip(0).tolist()
    x1, y1 = (np.ceil(shape.outline.max(0)).astype(int) + 1).clip(0, len(canvas)).tolist()
    if x0 >= x1 or y0 >= y1:
        return
    cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(cover, [_fixed(shape.outline - [x0, y0])], 255, shift=4)
    down = np.linspace(-1, 1, y1 - y0, dtype=np.float32)[:, None]
    light = 1 - shape.shade * down * (0.6 + 0.4 * np.abs(down))
    light = light + np.zeros((1, x1 - x0), np.float32)
    if shape.texture != "plain":
        light = light * _texture(shape.texture, x1 - x0, y1 - y0)
    colour = np.array(shape.colour, np.float32) * light[:, :, None]
    inside = cover > 0
    canvas[y0:y1, x0:x1][inside] = colour.clip(0, 1)[inside]


def _texture(name: str, width: int, height: int) -> Float[np.ndarray, "h w"]:
    x, y = np.meshgrid(
        np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, height / width, height, dtype=np.float32)
    )
    if name == "spots":
        return 1 - 0.28 * ((np.sin(x * 44) * np.sin(y * 44)) > 0.45)
    if name == "bars":
        return 1 - 0.2 * (np.sin((x + 0.4 * y) * 50) > 0.35)
    return 1 - 0.22 * (np.abs(np.sin(x * 34 + 1.57 * (np.floor(y * 11) % 2))) * ((y * 11) % 1) > 0.62)


def background(rng: np.random.Generator, side: int) -> Float[np.ndarray, "S S 3"]:
    """Textured ground with distractors: stones, leaves and blobs in the colours of bodies and marks."""
    kind = rng.integers(4)
    low, high = (
        ((0.52, 0.63, 0.40), (0.80, 0.87, 0.78)),
        ((0.72, 0.64, 0.50), (0.90, 0.84, 0.72)),
        ((0.42, 0.56, 0.62), (0.78, 0.87, 0.90)),
        ((0.35, 0.45, 0.33), (0.60, 0.68, 0.48)),
    )[kind]
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    low, high = np.array(low, np.float32), np.array(high, np.float32)
    canvas = high * (1 - down) + low * down + rng.normal(0, 0.04, 3).astype(np.float32)
    canvas = np.repeat(canvas, side, 1)
    for cells, strength in ((4, 0.10), (12, 0.07), (40, 0.05)):
        wide = cells // 3 + 1 if kind == 2 else cells
        noise = rng.normal(0, strength, (cells, wide)).astype(np.float32)
        canvas += cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)[:, :, None]
    for _ in range(rng.integers(14, 30)):
        near = rng.uniform(0.02, 0.09) * side
        where = rng.uniform(0, side, 2)
        tone = low * rng.uniform(0.75, 1.3) if rng.random() < 0.7 else _borrowed(rng)
        shape = (
            _ellipse(where, (near, near * rng.uniform(0.5, 0.9)), rng.uniform(0, 3))
            if rng.random() < (0.25, 0.9, 0.6, 0.1)[kind]
            else _leaf(where, where + near * rng.normal(0, 1.6, 2), near * 0.3)
        )
        paint(canvas, Shape(shape, tuple(tone.clip(0, 1).tolist()), shade=0.3))
    return canvas.clip(0, 1)


def _borrowed(rng: np.random.Generator) -> np.ndarray:
    """A colour of some body or mark: colour alone says nothing."""
    palette = [family[0] for family in FAMILIES] + list(MARKS) + list(BEAKS)
    return np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.8, 1.1)


def _shadow(canvas: Float[np.ndarray, "S S 3"], shapes: list[Shape]) -> None:
    """A soft shadow under the bird, of its body alone."""
    points = np.concatenate([shape.outline for shape in shapes if not shape.part])
    low, high = points.min(0), points.max(0)
    side = len(canvas)
    shade = np.zeros((side // 8, side // 8), np.float32)
    centre = ((low[0] + high[0]) / 16, high[1] / 8)
    axes = (max(int((high[0] - low[0]) / 20), 1), max(int((high[1] - low[1]) / 80), 1))
    cv2.ellipse(shade, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, 0.35, -1)
    canvas *= 1 - cv2.resize(cv2.GaussianBlur(shade, (0, 0), 1.2), (side, side))[:, :, None]


def _fixed(outline: Outline) -> np.ndarray:
    """Coordinates in sixteenths of a pixel, as fillPoly takes them."""
    return np.round(outline * 16).astype(np.int32)


def _ellipse(centre: tuple[float, float] | np.ndarray, radii: tuple[float, float], turn: float) -> Outline:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([np.cos(angle) * radii[0], np.sin(angle) * radii[1]], 1)
    cosine, sine = np.cos(turn), np.sin(turn)
    return points @ np.array([[cosine, sine], [-sine, cosine]]) + np.asarray(centre)


def _leaf(start: tuple[float, float] | np.ndarray, end: tuple[float, float] | np.ndarray, width: float) -> Outline:
    """A pointed oval from one point to another."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    along = end - start
    across = np.array([-along[1], along[0]]) / (np.linalg.norm(along) + 1e-9)
    t = np.linspace(0, 1, 14)[:, None]
    bulge = np.sin(np.pi * t**0.8) * width
    return np.concatenate([start + t * along + bulge * across, (start + t * along - bulge * across)[::-1]])


def _stroke(start: np.ndarray, end: np.ndarray, width: float) -> Outline:
    along = end - start
    across = np.array([-along[1], along[0]]) / (np.linalg.norm(along) + 1e-9) * width / 2
    return np.array([start + across, end + across, end - across, start - across])


def _smooth(points: list[np.ndarray]) -> Outline:
    """Rounded corners, by Chaikin's corner cutting."""
    outline = np.array(points, float)
    for _ in range(2):
        after = np.roll(outline, -1, 0)
        outline = np.stack([0.8 * outline + 0.2 * after, 0.2 * outline + 0.8 * after], 1).reshape(-1, 2)
    return outline
