"""Predictions with heat maps (Grad-CAM), for networks in torch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import overload

import torch
from PIL import Image
from torch import Tensor

from reslab.analysis import enlarged, head_maps, last_map, overlay_heat, picture_of, side_by_side, upsampled
from reslab.data.images.picture import Picture, with_resize_mode
from reslab.errors import RunError, UsageError, did_you_mean
from reslab.models import Network
from reslab.models.modes import eval_mode
from reslab.spec import PreprocessSpec, ResizeMode

from .classifier import BadFile, Classifier, NamedView, Prediction, as_many, check_counts, is_single

_SIDE = 384  # pixels; smaller views are enlarged to it in a panel
_MOST_NAMED = 20  # an error lists the classes of a model that has at most this many


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """The prediction for one picture, with a heat map of the evidence for one class.

    Attributes:
        prediction: The same bits as `predict_files` gives for the same batches.
        class_name: The class that is explained: the predicted one, or the one asked for.
        probability: The probability of that class.
        view: What the network saw, uint8 [channels, height, width], on the CPU.
        heat: Grad-CAM of that class (Selvaraju et al. 2017), float32 [height, width] in [0, 1], on the CPU. It is
            divided by its maximum, so two maps cannot be compared in strength; 0 everywhere without any evidence.
    """

    prediction: Prediction
    class_name: str
    probability: float
    view: Tensor
    heat: Tensor

    @property
    def name(self) -> str:
        """The picture's name: `prediction.name`."""
        return self.prediction.name

    def picture(self) -> Image.Image:
        """Return the view as a picture; one that has neither 1 nor 3 channels, as their mean in grey."""
        return picture_of(self.view)

    def overlay(self, alpha: float = 0.5) -> Image.Image:
        """Return the view in grey with its heat map over it.

        Args:
            alpha: Opacity of the heat map, from 0 to 1.

        Returns:
            A picture of the view's size.
        """
        return overlay_heat(self.picture(), self.heat, alpha)

    def panel(self) -> Image.Image:
        """Return a picture of the view next to its heat map, both with captions; small views are enlarged."""
        picture = enlarged(self.picture(), _SIDE)
        left, right = self.captions()
        return side_by_side([(picture, left), (overlay_heat(picture, self.heat), right)])

    def captions(self) -> tuple[str, str]:
        """Return a panel's captions: the prediction with its probability, and the class of the heat map."""
        predicted = f"{100 * self.prediction.probability:.1f} % {self.prediction.label}"
        if not self.heat.any():
            return predicted, f"nothing found for {self.class_name}"
        if self.class_name == self.prediction.label:
            return predicted, f"heat map: {self.class_name}"
        return predicted, f"heat map: {100 * self.probability:.1f} % {self.class_name}"


class Explainer(Classifier):
    """A classifier that also explains its predictions, for which it needs the network itself.

    Attributes:
        network: What predicts.
    """

    network: Network

    @overload
    def explain(
        self,
        images: Picture,
        *,
        class_name: str | None = None,
        top_k: int = 5,
        batch_size: int = 32,
        resize_mode: ResizeMode | None = None,
    ) -> Explanation: ...
    @overload
    def explain(
        self,
        images: Iterable[Picture],
        *,
        class_name: str | None = None,
        top_k: int = 5,
        batch_size: int = 32,
        resize_mode: ResizeMode | None = None,
    ) -> list[Explanation]: ...
    def explain(
        self,
        images: Picture | Iterable[Picture],
        *,
        class_name: str | None = None,
        top_k: int = 5,
        batch_size: int = 32,
        resize_mode: ResizeMode | None = None,
    ) -> Explanation | list[Explanation]:
        """Predict one picture, or several in their order, each with a heat map.

        Args:
            images: One picture; or several: an iterable, an array [n, h, w, c] or a tensor [n, c, h, w].
            class_name: Explain this class instead of the predicted one.
            top_k: How many classes of each, the most probable first; fewer where the model has fewer.
            batch_size: How many pictures go through the network together.
            resize_mode: How to resize, instead of the model file's way.

        Raises:
            RunError: A picture cannot be read; the message names the first one. `explain_files` continues instead.
            UsageError: The model does not have the class, or a count is below 1.
        """
        explanations: list[Explanation] = []
        for explanation in self.explain_files(
            as_many(images), class_name=class_name, top_k=top_k, batch_size=batch_size, resize_mode=resize_mode
        ):
            if isinstance(explanation, BadFile):
                raise RunError(explanation.reason)
            explanations.append(explanation)
        return explanations[0] if is_single(images) else explanations

    def explain_files(
        self,
        images: Iterable[Picture],
        *,
        class_name: str | None = None,
        top_k: int = 5,
        batch_size: int = 32,
        resize_mode: ResizeMode | None = None,
    ) -> Iterator[Explanation | BadFile]:
        """Yield the prediction of each picture in turn with a heat map; of one that cannot be read, a BadFile.

        Reads and batches pictures as `predict_files` does. The network runs once for prediction and map.

        Args:
            images: The pictures.
            class_name: Explain this class instead of the predicted one; where several classes have the name, the most
                probable of them.
            top_k: How many classes of each, the most probable first; fewer where the model has fewer.
            batch_size: How many pictures go through the network together.
            resize_mode: How to resize, instead of the model file's way.

        Raises:
            UsageError: The model does not have the class, or a count is below 1; before any picture is read.
        """
        check_counts(top_k=top_k, batch_size=batch_size)
        spec = with_resize_mode(self.card.preprocess, resize_mode)
        candidates = None if class_name is None else self._classes_named(class_name)
        explain = partial(self._explain_views, top_k=top_k, spec=spec, candidates=candidates)
        return self._stream(images, batch_size, spec, explain)

    def _classes_named(self, class_name: str) -> Tensor:
        names = [self._class_name(index) for index in range(self.network.spec.num_classes)]
        classes = [index for index, name in enumerate(names) if name == class_name]
        if not classes:
            known = f": {', '.join(map(repr, names))}" if len(names) <= _MOST_NAMED else f" {len(names)} classes"
            raise UsageError(
                f"class {class_name!r} is not one of this model's{known}.{did_you_mean(class_name, names)}"
            )
        return torch.tensor(classes)

    def _explain_views(
        self, views: list[NamedView], top_k: int, spec: PreprocessSpec, candidates: Tensor | None
    ) -> list[Explanation | BadFile]:
        good = [view for _, view in views if isinstance(view, Tensor)]
        if not good:
            return [view for _, view in views if isinstance(view, BadFile)]
        logits, classes, heats = self._maps(self._normalize(spec, good), candidates)
        rows = iter(zip(logits, classes.tolist(), heats, strict=True))
        return [
            view if isinstance(view, BadFile) else self._explanation(name, view, top_k, *next(rows))
            for name, view in views
        ]

    def _maps(self, images: Tensor, candidates: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [n, num_classes], the classes explained [n] and heat maps [n, height, width], on the CPU."""
        with eval_mode(self.network):
            with torch.no_grad():
                last = last_map(self.network, images)
                logits = self.network.forward_head(last).float().cpu()
            classes = self._explained_classes(logits, candidates)
            maps = head_maps(self.network, last, classes.to(last.device))
        return logits, classes, upsampled(maps, (images.shape[2], images.shape[3])).float().cpu()

    def _explained_classes(self, logits: Tensor, candidates: Tensor | None) -> Tensor:
        if candidates is not None:
            return candidates[logits[:, candidates].argmax(1)]
        # the ranking that the prediction comes from: of equal classes, argmax might take another
        return torch.stack([self._ranking(row).indices[0] for row in logits])

    def _explanation(
        self, name: str, view: Tensor, top_k: int, logits: Tensor, explained: int, heat: Tensor
    ) -> Explanation:
        probability = self._probabilities(logits)[explained].item()
        return Explanation(self._prediction(name, logits, top_k), self._class_name(explained), probability, view, heat)
