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

Answer = TypeVar("Answer")
NamedView = tuple[str, "Tensor | BadFile"]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer for one picture.

    name: its path, or "picture 0", "picture 1", ... for those that have none.
    top: the most probable classes with their probabilities, the best first; at the card's temperature, if it has
        one.
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
        """Its probability."""
        return self.top[0][1]


@dataclass(frozen=True, slots=True)
class BadFile:
    """A picture that has no answer. reason: why; it begins with the name."""

    name: str
    reason: str


class Classifier:
    """What the network of `reslab.load(path)` and the Predictor of `reslab.load(path, engine=...)` share.

    Pictures are of any kind that `reslab.data.images.picture.read_picture` takes, and are shown to the network exactly
    as in evaluation. `resize_mode` shows them another way than the model file says: "crop", "letterbox" or "squash".
    """

    card: ModelCard

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self.card.class_names

    def logits_of(self, images: Tensor) -> Tensor:
        """Return float32 logits [n, num_classes] on the CPU of what `prepare` returns."""
        raise NotImplementedError

    def place(self) -> torch.device:
        """Return the device that the inputs have to be on."""
        raise NotImplementedError

    def prepare(self, images: Picture | Iterable[Picture], *, resize_mode: ResizeMode | None = None) -> Tensor:
        """Return the network's input for one picture or several: float32 [n, channels, height, width], on its device.

        RunError names a picture that cannot be read.
        """
        spec = with_resize_mode(self.card.preprocess, resize_mode)
        views = [view_of(picture, spec, _name(picture, number)) for number, picture in enumerate(several(images))]
        if not views:
            return torch.empty(0, spec.channels, spec.height, spec.width, device=self.place())
        return self._normalized(spec, views)

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
        """Return the `top_k` most probable classes of a picture; of several, a list in their order.

        An array [n, h, w, c] or a tensor [n, c, h, w] is several. Fewer classes than `top_k` are all returned.

        Raises RunError that names the first picture that cannot be read (`predict_files` goes on), and UsageError for a
        `top_k` or `batch_size` below 1.
        """
        found: list[Prediction] = []
        for answer in self.predict_files(several(images), top_k=top_k, batch_size=batch_size, resize_mode=resize_mode):
            if isinstance(answer, BadFile):
                raise RunError(answer.reason)
            found.append(answer)
        return found[0] if is_one(images) else found

    def predict_files(
        self, images: Iterable[Picture], *, top_k: int = 5, batch_size: int = 32, resize_mode: ResizeMode | None = None
    ) -> Iterator[Prediction | BadFile]:
        """Yield the answer for each picture in turn; for one that cannot be read, a BadFile, and go on.

        Threads decode some batches ahead. No more are held in memory, so `images` may be an iterator over any number;
        the first answer comes when three batches, or all there are, have been asked for. What the iterator raises is
        raised after the answers that come before it.
        """
        check_counts(top_k=top_k, batch_size=batch_size)
        spec = with_resize_mode(self.card.preprocess, resize_mode)
        return self._stream(images, batch_size, spec, partial(self._answers, top_k=top_k, spec=spec))

    def _stream(
        self,
        images: Iterable[Picture],
        batch_size: int,
        spec: PreprocessSpec,
        answers: Callable[[list[NamedView]], list[Answer]],
    ) -> Iterator[Answer]:
        source = _Source(images)
        chunks = iter(lambda: list(islice(source, batch_size)), [])
        with closing(map_ahead(lambda numbered: _read(*numbered, spec), chunks)) as decoded:
            for views in decoded:
                yield from answers(views)
        if source.error is not None:
            raise source.error

    def _answers(self, views: list[NamedView], top_k: int, spec: PreprocessSpec) -> list[Prediction | BadFile]:
        good = [view for _, view in views if isinstance(view, Tensor)]
        logits = iter(self.logits_of(self._normalized(spec, good)) if good else ())
        return [view if isinstance(view, BadFile) else self._answer(name, next(logits), top_k) for name, view in views]

    def _answer(self, name: str, logits: Tensor, top_k: int) -> Prediction:
        best = self._ranking(logits)
        pairs = zip(best.indices.tolist()[:top_k], best.values.tolist()[:top_k], strict=True)
        return Prediction(name, tuple((self._class_name(index), value) for index, value in pairs), logits)

    def _ranking(self, logits: Tensor) -> torch.return_types.sort:
        """All classes, the most probable first; of equal ones the first, as argmax has it and topk does not."""
        return self._probabilities(logits).sort(descending=True, stable=True)

    def _probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits.double() / (self.card.temperature or 1.0), 0)

    def _class_name(self, index: int) -> str:
        return self.class_names[index] if index < len(self.class_names) else f"class {index}"

    def _normalized(self, spec: PreprocessSpec, views: list[Tensor]) -> Tensor:
        device = self.place()
        return Normalizer(spec, device)(torch.stack(views).to(device))


class _Source(Iterator[tuple[int, Picture]]):
    """The pictures, numbered. What their iterator raises is kept for later, so that no answer before it is lost."""

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
        except BaseException as error:  # Ctrl-C while it waits for a path, too
            self.error = error
            raise StopIteration from None
        if isinstance(picture, Image.Image):
            # a lazily opened picture reads its file now: two threads must not do so at once
            with suppress(Exception):  # whatever is wrong with it is said where it is read
                picture.load()
        return number, picture


def several(images: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """Return the pictures that were given, one or more."""
    return [cast("Picture", images)] if is_one(images) else cast("Iterable[Picture]", images)


def is_one(images: object) -> bool:
    """Whether it is one picture, and not several."""
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
    """Raise UsageError for a count below 1, by its name."""
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} is {count}; it must be at least 1.")
