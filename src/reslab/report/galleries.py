"""The images that a report shows, each small and with a heat map of what speaks for the network's answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reslab.analysis import Ranking, enlarged, grad_cam, overlay_heat, picture_of, thumbnail_uri, upsampled
from reslab.artifacts.model_file import ModelCard
from reslab.data import Dataset
from reslab.data.checks.findings import readable
from reslab.data.dataset import ArrayDataset
from reslab.data.images.picture import view_of
from reslab.data.preprocess import Normalizer
from reslab.evaluation import Predictions
from reslab.models import Network

SHOWN = 12  # images of a gallery
_SIDE = 160  # of a thumbnail, in pixels
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Shown:
    """One image to show.

    Attributes:
        index: Its place in the split.
        mapped: The class whose evidence the heat map shows.
        note: A remark below the image.
    """

    index: int
    mapped: int
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryItem:
    """One image in a gallery.

    Attributes:
        index: Its place in the split.
        name: Its class folder and file, or "image" and its number.
        label: Its true class.
        answer: The class that the network finds most probable.
        probability: The probability of that class.
        note: A remark below the image; may be empty.
        mapped: The class whose evidence the heat map shows.
        picture: The image, as a data URI.
        heat: The image under its heat map, as a data URI.
    """

    index: int
    name: str
    label: str
    answer: str
    probability: float
    note: str
    mapped: str
    picture: str
    heat: str


class Painter:
    """Makes the gallery items of one network's answers to one data set."""

    def __init__(self, model: Network, card: ModelCard, dataset: Dataset, answers: Predictions) -> None:
        self._model, self._card, self._dataset, self._answers = model, card, dataset, answers
        self._normalize = Normalizer(card.preprocess, next(model.parameters()).device)

    def paint(self, chosen: Sequence[Shown]) -> tuple[GalleryItem, ...]:
        """Return an item for every image."""
        items: list[GalleryItem] = []
        for start in range(0, len(chosen), _AT_ONCE):
            part = chosen[start : start + _AT_ONCE]
            pixels = torch.stack([self._pixels(one.index) for one in part])
            device = next(self._model.parameters()).device
            classes = torch.tensor([one.mapped for one in part])
            maps = grad_cam(self._model, self._normalize(pixels.to(device)), classes.to(device)).maps
            heats = upsampled(maps, (pixels.shape[2], pixels.shape[3])).cpu()
            items += [self._item(*row) for row in zip(part, pixels, heats, strict=True)]
        return tuple(items)

    def _pixels(self, index: int) -> Tensor:
        if isinstance(self._dataset, ArrayDataset):
            return self._dataset.images[index]
        return view_of(self._dataset.paths[index], self._card.preprocess)

    def _item(self, shown: Shown, pixels: Tensor, heat: Tensor) -> GalleryItem:
        names = self._card.class_names
        answer = int(self._answers.classes[shown.index])
        picture = enlarged(picture_of(pixels), _SIDE)
        return GalleryItem(
            index=shown.index,
            name=name_of(self._dataset, shown.index),
            label=names[int(self._answers.labels[shown.index])],
            answer=names[answer],
            probability=round(float(self._answers.probabilities[shown.index, answer]), 4),
            note=shown.note,
            mapped=names[shown.mapped],
            picture=thumbnail_uri(picture, _SIDE),
            heat=thumbnail_uri(overlay_heat(picture, heat), _SIDE),
        )


def name_of(dataset: Dataset, index: int) -> str:
    """Return the name of an image: its class folder and file, or "image" and its number.

    Args:
        dataset: The images.
        index: The image's place in them, from 0.
    """
    if isinstance(dataset, ArrayDataset):
        return f"image {index}"
    return readable("/".join(dataset.paths[index].parts[-2:]))


def small_picture(dataset: Dataset, index: int) -> str:
    """Return a data URI of a whole image, as it is in the data.

    Args:
        dataset: The images.
        index: The image's place in them, from 0.
    """
    if isinstance(dataset, ArrayDataset):
        return thumbnail_uri(enlarged(picture_of(dataset.images[index]), _SIDE), _SIDE)
    from reslab.data.images.decode import decode

    return thumbnail_uri(enlarged(picture_of(decode(dataset.paths[index], dataset.num_channels)), _SIDE), _SIDE)


def mistakes(ranking: Ranking) -> list[Shown]:
    """Choose the worst mistakes; the heat map is that of the wrong answer."""
    return [Shown(index, answer, f"loss {score:.2f}") for index, score, answer in _rows(ranking)]


def uncertain(ranking: Ranking, answers: Predictions, names: Sequence[str]) -> list[Shown]:
    """Choose the least certain answers; the heat map is that of the answer.

    Args:
        ranking: The images, the least certain first.
        answers: The network's answers.
        names: The classes.
    """
    return [
        Shown(index, int(answers.classes[index]), f"next: {names[second]}, {100 * (1 - score):.1f} points behind")
        for index, score, second in _rows(ranking)
    ]


def suspects(ranking: Ranking, names: Sequence[str]) -> list[Shown]:
    """Choose the likely mislabelled; the heat map is that of the class that speaks against the label.

    Args:
        ranking: The images, the likeliest first.
        names: The classes.
    """
    return [
        Shown(index, other, f"perhaps {names[other]} (log odds {score:.1f})") for index, score, other in _rows(ranking)
    ]


def confused(pairs: Sequence[tuple[int, int]], answers: Predictions, each: int = 3) -> list[Shown]:
    """Choose the most confident answers of each kind of mistake.

    Args:
        pairs: (true class, answer) of each kind, the most frequent first.
        answers: The network's answers.
        each: Images of each kind.
    """
    found: list[Shown] = []
    for label, prediction in pairs:
        members = torch.nonzero((answers.labels == label) & (answers.classes == prediction)).flatten()
        order = torch.argsort(answers.probabilities[members, prediction], descending=True, stable=True)
        found += [Shown(index, prediction, "") for index in members[order[:each]].tolist()]
    return found


def _rows(ranking: Ranking) -> list[tuple[int, float, int]]:
    first = ranking.first(SHOWN)
    return list(zip(first.indices.tolist(), first.scores.tolist(), first.suggestions.tolist(), strict=True))
