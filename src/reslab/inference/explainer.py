"""Answers with heat maps: what every network out of a model file can do that is not on an engine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast, overload

import torch
from PIL import Image
from torch import Tensor

from reslab.analysis import enlarged, head_maps, last_map, overlay, picture_of, side_by_side, upsampled
from reslab.data.images.picture import Picture, with_resize_mode
from reslab.errors import RunError, UsageError, did_you_mean
from reslab.models import Network
from reslab.models.modes import eval_mode
from reslab.spec import PreprocessSpec, ResizeMode

from .classifier import BadFile, Classifier, NamedView, Prediction, check_counts, is_one, several

_SIDE = 384  # of a view in a panel, in pixels; smaller ones are enlarged up to it
_MOST_NAMED = 20  # classes, in an error


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """The answer for one picture, and where the network found what speaks for a class.

    prediction: the answer, the same to the bit as `predict_files` gives for the same batches.
    class_name: the class that is explained: the answer, or the one asked for; probability: its probability.
    view: what the network was shown, uint8 [channels, height, width], on the CPU.
    heat: Grad-CAM of that class over the view, float32 [height, width] in [0, 1], its maximum 1, on the CPU; 0
        everywhere where nothing speaks for the class. As each has a maximum of its own, maps of two pictures or
        classes do not say which has more.
    """

    prediction: Prediction
    class_name: str
    probability: float
    view: Tensor
    heat: Tensor

    @property
    def name(self) -> str:
        """What the picture is called: `prediction.name`."""
        return self.prediction.name

    def picture(self) -> Image.Image:
        """Return the view as a picture; of other than 1 or 3 channels, their mean in grey."""
        return picture_of(self.view)

    def overlay(self, alpha: float = 0.5) -> Image.Image:
        """Return the view in grey under its heat map, in the view's size; see `reslab.analysis.overlay`."""
        return overlay(self.picture(), self.heat, alpha)

    def panel(self) -> Image.Image:
        """Return the view beside its heat map, with the answer and the class under them; small views enlarged."""
        picture = enlarged(self.picture(), _SIDE)
        answer, right = self.captions()
        return side_by_side([(picture, answer), (overlay(picture, self.heat), right)])

    def captions(self) -> tuple[str, str]:
        """Return what a panel says: the answer with its probability, and what the heat map is of."""
        answer = f"{100 * self.prediction.probability:.1f} % {self.prediction.label}"
        if not self.heat.any():
            return answer, f"nothing found for {self.class_name}"
        if self.class_name == self.prediction.label:
            return answer, f"heat map: {self.class_name}"
        return answer, f"heat map: {100 * self.probability:.1f} % {self.class_name}"


class Explainer(Classifier):
    """A network out of a model file, `reslab.load(path)`, that also explains its answers."""

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
        """Return the answer for a picture with its heat map; of several, a list in their order.

        Pictures, settings and errors are those of `predict`; `class_name` is that of `explain_files`, which goes on
        where a picture cannot be read.
        """
        found: list[Explanation] = []
        stream = self.explain_files(
            several(images), class_name=class_name, top_k=top_k, batch_size=batch_size, resize_mode=resize_mode
        )
        for one in stream:
            if isinstance(one, BadFile):
                raise RunError(one.reason)
            found.append(one)
        return found[0] if is_one(images) else found

    def explain_files(
        self,
        images: Iterable[Picture],
        *,
        class_name: str | None = None,
        top_k: int = 5,
        batch_size: int = 32,
        resize_mode: ResizeMode | None = None,
    ) -> Iterator[Explanation | BadFile]:
        """Yield the answer for each picture in turn with its heat map; for one that cannot be read, a BadFile.

        A stream as `predict_files`; the network runs once for both answer and map (Grad-CAM, `reslab.analysis`).
        class_name: explain this class instead of the answer; where several have that name, the most probable of them.

        Raises UsageError at once for a class that the model does not have, and for counts below 1.
        """
        check_counts(top_k=top_k, batch_size=batch_size)
        spec = with_resize_mode(self.card.preprocess, resize_mode)
        candidates = None if class_name is None else self._classes_named(class_name)
        explain = partial(self._explanations, top_k=top_k, spec=spec, candidates=candidates)
        return self._stream(images, batch_size, spec, explain)

    def _classes_named(self, class_name: str) -> Tensor:
        names = [self._class_name(index) for index in range(cast("Network", self).spec.num_classes)]
        found = [index for index, name in enumerate(names) if name == class_name]
        if not found:
            known = f": {', '.join(map(repr, names))}" if len(names) <= _MOST_NAMED else f" {len(names)} classes"
            raise UsageError(
                f"class {class_name!r} is not one of this model's{known}.{did_you_mean(class_name, names)}"
            )
        return torch.tensor(found)

    def _explanations(
        self, views: list[NamedView], top_k: int, spec: PreprocessSpec, candidates: Tensor | None
    ) -> list[Explanation | BadFile]:
        good = [view for _, view in views if isinstance(view, Tensor)]
        if not good:
            return [view for _, view in views if isinstance(view, BadFile)]
        logits, classes, heats = self._maps(self._normalized(spec, good), top_k, candidates)
        rows = iter(zip(logits, classes.tolist(), heats, strict=True))
        return [
            view if isinstance(view, BadFile) else self._explanation(name, view, top_k, *next(rows))
            for name, view in views
        ]

    def _maps(self, images: Tensor, top_k: int, candidates: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [n, num_classes], the classes explained [n] and heat maps [n, height, width], on the CPU."""
        network = cast("Network", self)
        with eval_mode(network):
            with torch.no_grad():
                last = last_map(network, images)
                logits = network.forward_head(last).float().cpu()
            classes = self._chosen(logits, top_k, candidates)
            maps = head_maps(network, last, classes.to(last.device))
        return logits, classes, upsampled(maps, (images.shape[2], images.shape[3])).float().cpu()

    def _chosen(self, logits: Tensor, top_k: int, candidates: Tensor | None) -> Tensor:
        if candidates is not None:
            return candidates[logits[:, candidates].argmax(1)]
        # the very ranking that the answer comes from: argmax, or another k, may take another one of equals
        return torch.stack([self._ranking(row).indices[0] for row in logits])

    def _explanation(
        self, name: str, view: Tensor, top_k: int, logits: Tensor, chosen: int, heat: Tensor
    ) -> Explanation:
        probability = self._probabilities(logits)[chosen].item()
        return Explanation(self._answer(name, logits, top_k), self._class_name(chosen), probability, view, heat)
