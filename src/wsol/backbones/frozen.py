"""Stages that learn nothing: a backbone frozen up to a boundary, and features kept from it that stand for photos."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsol.errors import WsolError


class Freezable(nn.Module, ABC):
    """A network of named stages, of which the first may be frozen.

    Frozen stages run in eval mode whatever mode the network is in: their batch norms keep their statistics, and their
    weights get no gradients. What they give of a photo is then always the same. It can be kept (`frozen_features`) and
    stand in their place later (`fed`), so that only the rest runs.

    frozen: the boundary up to which stages are frozen; None where all learn.
    """

    name: str
    boundaries: list[str]
    frozen: str | None = None
    _edits: dict[str, list[Any]]
    _fed: tuple[Tensor, Tensor] | None = None

    def freeze(self, boundary: str | int) -> None:
        """From here on the stages up to a boundary learn nothing.

        boundary: by name or index, or "all".
        """
        self.frozen = self.boundaries[-1] if boundary == "all" else self.boundary(boundary)
        learning = {id(parameter) for module in self.behind(self.frozen) for parameter in module.parameters()}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Freezable":
        super().train(mode and self.frozen is None)
        for module in self.behind(self.frozen) if self.frozen else ():
            module.train(mode)
        return self

    def frozen_state(self) -> dict[str, Tensor]:
        """The tensors that the frozen stages consist of, by name."""
        behind = self.behind(self.frozen or "")
        learning = {id(tensor) for module in behind for tensor in (*module.parameters(), *module.buffers())}
        tensors = (*self.named_parameters(), *self.named_buffers())
        return {name: tensor for name, tensor in tensors if id(tensor) not in learning}

    @torch.no_grad()
    def frozen_features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b ..."]:
        """What the frozen stages make of photos, as `fed` takes it.

        images: in [0, 1].
        """
        return self(images, until=self.frozen)

    @contextmanager
    def fed(self, features: Float[Tensor, "b ..."], size: int) -> Iterator[Float[Tensor, "b 3 _ _"]]:
        """Meanwhile features stand in the place of the frozen stages.

        Gives stand-ins for the photos, which hold nothing: a stream that begins with them goes on from the features.

        features: of a batch, as `frozen_features` gave them.
        size: side of its photos in pixels.
        """
        photos = features.new_full((), torch.nan).expand(len(features), 3, size, size)
        self._fed = photos, features
        try:
            yield photos
        finally:
            self._fed = None

    def features_for(self, images: Tensor, until: str) -> Tensor | None:
        """The features that stand for these images; None where the images themselves are to be run.

        until: the boundary where the stream ends.

        Raises WsolError where more is asked for than the features can give.
        """
        if self._fed is None:
            return None
        photos, features = self._fed
        end = self.boundaries.index(str(self.frozen))
        early = [name for name in self.boundaries[:end] if name == until or self._edits.get(name)]
        if images is not photos:
            raise WsolError(
                "the loss changes the photos, which are not there with cached features; leave cache_features out"
            )
        if early:
            raise WsolError(
                f"the loss needs the features at {early[0]}, but those at {self.frozen} alone are cached; "
                f"set freeze to {early[0]}, or leave cache_features out"
            )
        return features

    @abstractmethod
    def boundary(self, boundary: str | int) -> str:
        """The name of a boundary given by name or index."""

    def behind(self, boundary: str) -> list[nn.Module]:
        """The modules of the stages behind a boundary."""
        raise WsolError(f"{self.name} cannot be frozen; choose a backbone by name")
