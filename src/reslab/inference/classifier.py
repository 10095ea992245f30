"""From pictures to class names: what every loaded model can do, whatever it runs on."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from os import PathLike
from typing import TypeVar, cast, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reslab.artifacts.model_file import ModelCard
from reslab.data.images.picture import Picture, view_of, with_resize_mode
from reslab.data.preprocess import Normalizer
from reslab.errors import RunError, UsageError
from reslab.spec import PreprocessSpec, ResizeMode
from reslab.system.threads import map_ahead

T = TypeVar("T")
NamedView = tuple[str, "Tensor | BadFile"]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model predicts for one picture.

    Attributes:
        name: The picture's path, or "picture 0", "picture 1", ... where it has none.
        top: The most probable classes with their probabilities, the best first; at the card's temperature, if any.
        logits: float32 [num_classes], on the CPU.
    """

    name: str
    top: tuple[tuple[str, float], ...]
    logits: Tensor

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.top[0][0]

    @property
    def probability(self) -> float:
        """The probability of `label`."""
        return self.top[0][1]


@dataclass(frozen=True, slots=True)
class BadFile:
    """A picture that cannot be read.

    Attributes:
        name: The picture's path, or its number, as in `Prediction`.
        reason: What is wrong with it; begins with the name.
    """

    name: str
    reason: str


class Classifier:
    """What `reslab.load(path)` and `reslab.load(path, engine=...)` have in common: they predict pictures.

    A picture is anything that `reslab.data.images.picture.read_picture` takes. The network sees it exactly as in
    evaluation, unless `resize_mode` ("crop", "letterbox" or "squash") replaces the model file's.

    Attributes:
        card: Preprocessing, class names, recipe, metrics and temperature.
        device: The device that inputs must be on.
    """

    card: ModelCard
    device: torch.device

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self.card.class_names

    def logits_of(self, images: Tensor) -> Tensor:
        """Compute logits.

        Args:
            images: Normalised images [n, channels, height, width], as `prepare` returns them.

        Returns:
            float32 [n, num_classes], on the CPU.
        """
        raise NotImplementedError

    def prepare(self, images: Picture | Iterable[Picture], *, resize_mode: ResizeMode | None = None) -> Tensor:
        """Turn one picture or several into the network's input.

        Args:
            images: One picture, or an iterable of them.
            resize_mode: How to resize, instead of the model file's way.

        Returns:
            Normalised float32 images [n, channels, height, width], on the network's device.

        Raises:
            RunError: A picture cannot be read; the message names it.
        """
        spec = with_resize_mode(self.card.preprocess, resize_mode)
        views = [view_of(picture, spec, _name(picture, number)) for number, picture in enumerate(as_many(images))]
        if not views:
            return torch.empty(0, spec.channels, spec.height, spec.width, device=self.device)
        return self._normalize(spec, views)

    @overload
    def predict(
        self, images: Picture, *, top_k: int = 5, batch_size: int = 32, resize_mode: ResizeMode | None = None
    ) -> Prediction: ...
    @overload
    def predict(
        self, images: Iterable[Picture], *, top_k: int = 5, batch_size: int = 32, resize_mode: ResizeMode | None = None
    ) -> list[Prediction]: ...
    def predict(
        self,
        images: Picture | Iterable[Picture],
        *,
        top_k: int = 5,
        batch_size: int = 32,
        resize_mode: ResizeMode | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict the classes of one picture, or of several, in their order.

        Args:
            images: One picture; or several: an iterable, an array [n, h, w, c] or a tensor [n, c, h, w].
            top_k: How many classes of each, the most probable first; fewer where the model has fewer.
            batch_size: How many pictures go through the network together.
            resize_mode: How to resize, instead of the model file's way.

        Returns:
            One prediction for one picture, a list for several.

        Raises:
            RunError: A picture cannot be read; the message names the first one. `predict_files` continues instead.
            UsageError: `top_k` or `batch_size` is below 1.
        """
        predictions: list[Prediction] = []
        for prediction in self.predict_files(
            as_many(images), top_k=top_k, batch_size=batch_size, resize_mode=resize_mode
        ):
            if isinstance(prediction, BadFile):
                raise RunError(prediction.reason)
            predictions.append(prediction)
        return predictions[0] if is_single(images) else predictions

    def predict_files(
        self, images: Iterable[Picture], *, top_k: int = 5, batch_size: int = 32, resize_mode: ResizeMode | None = None
    ) -> Iterator[Prediction | BadFile]:
        """Predict pictures one after the other, and continue after one that cannot be read.

        Threads decode two batches ahead, and memory holds no more than these, so `images` may be a generator of any
        length. An error that `images` raises is raised after the predictions of all pictures before it.

        Args:
            images: The pictures.
            top_k: How many classes of each, the most probable first; fewer where the model has fewer.
            batch_size: How many pictures go through the network together.
            resize_mode: How to resize, instead of the model file's way.

        Returns:
            An iterator with one item for each picture, in order: a Prediction, or a BadFile for one that cannot be
            read.

        Raises:
            UsageError: `top_k` or `batch_size` is below 1.
        """
        check_counts(top_k=top_k, batch_size=batch_size)
        spec = with_resize_mode(self.card.preprocess, resize_mode)
        return self._stream(images, batch_size, spec, partial(self._predict_views, top_k=top_k, spec=spec))

    def _stream(
        self,
        images: Iterable[Picture],
        batch_size: int,
        spec: PreprocessSpec,
        use: Callable[[list[NamedView]], list[T]],
    ) -> Iterator[T]:
        source = _Source(images)
        chunks = iter(lambda: list(islice(source, batch_size)), [])
        with closing(map_ahead(lambda numbered: _read(*numbered, spec), chunks)) as decoded:
            for views in decoded:
                yield from use(views)
        if source.error is not None:
            raise source.error

    def _predict_views(self, views: list[NamedView], top_k: int, spec: PreprocessSpec) -> list[Prediction | BadFile]:
        good = [view for _, view in views if isinstance(view, Tensor)]
        logits = iter(self.logits_of(self._normalize(spec, good)) if good else ())
        return [
            view if isinstance(view, BadFile) else self._prediction(name, next(logits), top_k) for name, view in views
        ]

    def _prediction(self, name: str, logits: Tensor, top_k: int) -> Prediction:
        best = self._ranking(logits)
        pairs = zip(best.indices.tolist()[:top_k], best.values.tolist()[:top_k], strict=True)
        return Prediction(name, tuple((self._class_name(index), value) for index, value in pairs), logits)

    def _ranking(self, logits: Tensor) -> torch.return_types.sort:
        """Sort all classes, the most probable first; ties keep their order, as in argmax and unlike topk."""
        return self._probabilities(logits).sort(descending=True, stable=True)

    def _probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits.double() / (self.card.temperature or 1.0), 0)

    def _class_name(self, index: int) -> str:
        return self.class_names[index] if index < len(self.class_names) else f"class {index}"

    def _normalize(self, spec: PreprocessSpec, views: list[Tensor]) -> Tensor:
        return Normalizer(spec, self.device)(torch.stack(views).to(self.device))


class _Source(Iterator[tuple[int, Picture]]):
    """Number the pictures. An error of their iterator is kept, so that no prediction before it is lost."""

    def __init__(self, images: Iterable[Picture]) -> None:
        self._numbered = enumerate(images)
        self.error: BaseException | None = None

    def __next__(self) -> tuple[int, Picture]:
        if self.error is not None:
            raise StopIteration
        try:
            number, picture = next(self._numbered)
        except StopIteration:
            raise
        except BaseException as error:  # also Ctrl-C while it waits for a path
            self.error = error
            raise StopIteration from None
        if isinstance(picture, Image.Image):
            # a lazily opened picture reads its file in this thread: two threads must not do so at once
            with suppress(Exception):  # `_read` reports what is wrong with it
                picture.load()
        return number, picture


def as_many(images: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """Return an iterable of pictures: `images` itself, or a list of the one picture that it is."""
    return [cast("Picture", images)] if is_single(images) else cast("Iterable[Picture]", images)


def is_single(images: object) -> bool:
    """Return whether `images` is one picture."""
    if isinstance(images, np.ndarray | Tensor):
        return images.ndim < 4
    return isinstance(images, str | PathLike | bytes | bytearray | memoryview | Image.Image) or not isinstance(
        images, Iterable
    )


def _name(picture: Picture, number: int) -> str:
    return str(picture) if isinstance(picture, str | PathLike) else f"picture {number}"


def _read(number: int, picture: Picture, spec: PreprocessSpec) -> NamedView:
    name = _name(picture, number)
    try:
        return name, view_of(picture, spec, name)
    except RunError as error:
        return name, BadFile(name, str(error))


def check_counts(**counts: int) -> None:
    """Check that counts are at least 1.

    Args:
        counts: By name.

    Raises:
        UsageError: One is not; the message names it.
    """
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} is {count}; allowed: 1 or more.")
