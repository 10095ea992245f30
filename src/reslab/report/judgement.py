"""The judgement of a network on one split: its scores, the images that deserve a look, its layers.

The run folder keeps it as `judgement.json`, with its basis (what it was made from), so a second report need not
compute it again.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from reslab.analysis import (
    Ranking,
    find_near_duplicates,
    least_certain,
    likely_mislabelled,
    neighbour_votes,
    penultimate_features,
    small_copies,
    worst_mistakes,
)
from reslab.artifacts.model_file import ModelCard
from reslab.artifacts.reader import checked, current, write_document
from reslab.artifacts.run_folder import RunFolder
from reslab.data import Dataset
from reslab.data.checks.findings import readable
from reslab.data.views import batches
from reslab.errors import RunError
from reslab.evaluation import Predictions, Protocol, Scores, predict_split, recalibrated, summarize
from reslab.models import Network
from reslab.system.files import read_json, sha256_of

from .galleries import SHOWN, GalleryItem, Painter, confused, mistakes, name_of, small_picture, suspects, uncertain
from .measurements import LayerMeasurements, measure_layers

log = logging.getLogger(__name__)

VERSION = 2  # of the contents of a judgement; a judgement of another version is made again
FILE_NAME = "judgement.json"
LISTED = 0.03  # the share of a split's images that each list (likely wrong labels, near-duplicates) holds
_MOST_LISTED = 500
_NEIGHBOURS = 50
_BATCH = 250


Watch = Callable[[str, int], AbstractContextManager[Callable[..., None]]]  # like `reslab.system.progress.counting`


@dataclass(frozen=True, kw_only=True, slots=True)
class Basis:
    """What a judgement depends on.

    Attributes:
        version: `VERSION` when the judgement was made.
        model: SHA-256 of the model file.
        split: The part of the data whose images were judged.
        data: The folder that was judged instead of the run's own data; None for the run's own.
    """

    version: int
    model: str
    split: str
    data: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Galleries:
    """Four galleries: most confused classes, worst mistakes, least certain answers and likely mislabelled images."""

    confused: tuple[GalleryItem, ...]
    mistakes: tuple[GalleryItem, ...]
    uncertain: tuple[GalleryItem, ...]
    suspects: tuple[GalleryItem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """An image whose label is likely wrong.

    Attributes:
        index: Its place in the split.
        name: Its name.
        label: The class that the data gives it.
        perhaps: The class that is more likely right.
        score: Log odds of that class against the label.
    """

    index: int
    name: str
    label: str
    perhaps: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """An image and the training image that is most like it.

    Attributes:
        index: The image's place in the split.
        name: The image's name.
        label: The image's class.
        match: The training image's place in the training data.
        match_name: The training image's name.
        match_label: The training image's class.
        similarity: From -1 to 1; copies have more than about 0.95.
        is_mirrored: Whether the two are alike when one of them is mirrored.
        picture: The image as a data URI; only the first pairs of the list have it, the others None.
        match_picture: The training image as a data URI, for the same pairs.
    """

    index: int
    name: str
    label: str
    match: int
    match_name: str
    match_label: str
    similarity: float
    is_mirrored: bool
    picture: str | None
    match_picture: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """`judgement.json`: everything that a report shows about a network's answers on one split.

    Attributes:
        basis: What the judgement was made from; None until a run folder keeps it.
        network: The network's name (`ModelSpec.label`).
        data: The data set's name.
        data_fingerprint: A hash of the split's images and labels.
        scores: Accuracy and calibration, as computed from the answers.
        inside: What was measured inside the network; None if the split has only one image.
        galleries: The images that deserve a look.
        suspects: The images whose labels are likely wrong, the most likely first.
        duplicates: The images most like a training image, the most similar first; None where nothing was compared.
    """

    basis: Basis | None = None
    network: str
    data: str
    data_fingerprint: str
    scores: Scores
    inside: LayerMeasurements | None
    galleries: Galleries
    suspects: tuple[Suspect, ...]
    duplicates: tuple[Duplicate, ...] | None


def judge(
    model: Network, card: ModelCard, dataset: Dataset, *, split: str, train: Dataset | None, watch: Watch
) -> Judgement:
    """Run a network on every image of a split (protocol "center") and return everything that a report shows about it.

    Args:
        model: The network, in eval mode, on any device.
        card: How to prepare images for the network, and what its classes are.
        dataset: The images of the split.
        split: What the split is called.
        train: The training images, which are searched for near-duplicates of the split's images; None to skip
            the search.
        watch: Opens a display of progress, like `reslab.system.progress.counting`.

    Raises:
        RunError: The answers are not finite.
    """
    with watch(f"{split} images", len(dataset)) as on_progress:
        answers = predict_split(
            model, dataset, card.preprocess, split=split, batch_size=_BATCH, on_progress=on_progress
        )
    if not answers.are_finite:
        raise RunError("the network's answers are not finite (its logits overflow), so no image can be ranked by them.")
    names = card.class_names
    scores = summarize(answers, names, (1, 5) if len(names) > 5 else (1,), card.temperature)
    shown = answers if card.temperature is None else _at_temperature(answers, card.temperature)
    painter = Painter(model, card, dataset, shown)
    evidence = _with_mirror_images(model, card, dataset, answers, watch)
    ranking = likely_mislabelled(evidence.probabilities, answers.labels, _votes(model, card, dataset, split))
    number = {name: position for position, name in enumerate(names)}
    pairs = [(number[pair.label], number[pair.prediction]) for pair in scores.confused[:4]]
    uncertain_ranking = least_certain(shown.probabilities)
    with watch("the network's layers", 1) as on_progress:
        inside = measure_layers(model, card, dataset, split)
        on_progress(1)
    return Judgement(
        network=model.spec.label,
        data=readable(dataset.name),
        data_fingerprint=dataset.fingerprint(),
        scores=scores,
        inside=inside,
        galleries=Galleries(
            confused=painter.paint(confused(pairs, shown)),
            mistakes=painter.paint(mistakes(worst_mistakes(shown.probabilities, shown.labels))),
            uncertain=painter.paint(uncertain(uncertain_ranking, shown, names)),
            suspects=painter.paint(suspects(ranking, names)),
        ),
        suspects=_suspect_rows(ranking, dataset, answers, names),
        duplicates=None if train is None else _duplicates(dataset, train, watch),
    )


def _at_temperature(answers: Predictions, temperature: float) -> Predictions:
    return Predictions(
        recalibrated(answers.probabilities, temperature), answers.labels, answers.split, answers.protocol
    )


def _with_mirror_images(
    model: Network, card: ModelCard, dataset: Dataset, answers: Predictions, watch: Watch
) -> Predictions:
    """Return answers averaged over each image and its mirror image, or `answers` if the average has more errors.

    Two views are better evidence about a label than one, except where mirroring changes the class, as with digits.
    """
    protocol = Protocol("flip")
    with watch("mirror images, for wrong labels", len(dataset) * protocol.num_views) as on_progress:
        both = predict_split(
            model, dataset, card.preprocess, protocol,
            split=answers.split, batch_size=_BATCH, on_progress=on_progress,
        )  # fmt: skip
    return both if _num_correct(both) >= _num_correct(answers) else answers


def _num_correct(answers: Predictions) -> int:
    return int((answers.classes == answers.labels).sum())


def _votes(model: Network, card: ModelCard, dataset: Dataset, split: str) -> torch.Tensor | None:
    """Return how the nearest neighbours of each image vote on its class.

    None if the split is not "train" or has only one image.

    The network may have memorised the training labels, so its answers alone say little about them.
    """
    k = min(_NEIGHBOURS, len(dataset) - 1)
    if split != "train" or k < 1:
        return None
    device = next(model.parameters()).device
    images = (batch.images for batch in batches(dataset, card.preprocess, batch_size=_BATCH, device=device))
    return neighbour_votes(penultimate_features(model, images), dataset.labels, len(card.class_names), k)


def num_listed(total: int) -> int:
    """Return how many images a list shows: 3 % of `total`, but at least 12 (or all, if fewer) and at most 500."""
    return min(max(round(LISTED * total), SHOWN), _MOST_LISTED, total)


def _suspect_rows(
    ranking: Ranking, dataset: Dataset, answers: Predictions, names: tuple[str, ...]
) -> tuple[Suspect, ...]:
    first = ranking.first(num_listed(len(dataset)))
    rows = zip(first.indices.tolist(), first.scores.tolist(), first.suggestions.tolist(), strict=True)
    return tuple(
        Suspect(
            index=index,
            name=name_of(dataset, index),
            label=names[int(answers.labels[index])],
            perhaps=names[other],
            score=round(score, 3),
        )
        for index, score, other in rows
    )


def _duplicates(dataset: Dataset, train: Dataset, watch: Watch) -> tuple[Duplicate, ...]:
    """Return the images most like a training image, the most similar pair first; the first 12 pairs have pictures."""
    with watch("small copies", len(dataset)) as on_progress:
        seen = small_copies(dataset, on_progress)
    with watch("small copies of the training images", len(train)) as on_progress:
        references = small_copies(train, on_progress)
    with watch("near-duplicates", len(dataset)) as on_progress:
        found = find_near_duplicates(seen, references, on_progress)
    first = slice(num_listed(len(dataset)))
    columns = (found.indices, found.matches, found.similarities, found.are_mirrored)
    rows = zip(*(column[first].tolist() for column in columns), strict=True)
    return tuple(
        Duplicate(
            index=index,
            name=name_of(dataset, index),
            label=dataset.class_names[int(dataset.labels[index])],
            match=match,
            match_name=name_of(train, match),
            match_label=train.class_names[int(train.labels[match])],
            similarity=round(similarity, 4),
            is_mirrored=is_mirrored,
            picture=small_picture(dataset, index) if place < SHOWN else None,
            match_picture=small_picture(train, match) if place < SHOWN else None,
        )
        for place, (index, match, similarity, is_mirrored) in enumerate(rows)
    )


# --- kept in the run folder -------------------------------------------------------------------------------------------


def basis_of(model_path: Path, split: str, data: Path | None) -> Basis:
    """Return what a judgement depends on.

    Args:
        model_path: The model file.
        split: The part of the data to judge.
        data: The folder to judge instead of the run's own data; None for the run's own.
    """
    place = None if data is None else readable(data.resolve())
    return Basis(version=VERSION, model=sha256_of(model_path), split=split, data=place)


def kept_judgement(folder: RunFolder, basis: Basis | None = None) -> Judgement | None:
    """Return the judgement that a run folder keeps.

    Args:
        folder: The run folder.
        basis: What it must have been made from; by default the run's model file, with any split and data.

    Returns:
        The judgement, or None if it is missing, damaged or of another basis. No error is
            raised, since judging again costs only time.
    """
    path = folder.path / FILE_NAME
    if not path.exists() or not folder.model_path.exists():
        return None
    try:
        values = current(read_json(path), "judgement", path)
        kept = checked(values.get("basis"), Basis, path)
        data = None if kept.data is None else Path(kept.data)
        # read the rest only now: a judgement of another version has other fields
        if kept != (basis or basis_of(folder.model_path, kept.split, data)):
            return None
        return checked(values, Judgement, path)
    except RunError as error:
        log.warning("the kept judgement is ignored: %s", error)
        return None


def keep_judgement(folder: RunFolder, basis: Basis, judgement: Judgement) -> Judgement:
    """Write a judgement into a run folder.

    Args:
        folder: The run folder.
        basis: What the judgement was made from.
        judgement: The judgement.

    Returns:
        The judgement as `kept_judgement` will read it, with its basis.
    """
    kept = replace(judgement, basis=basis)
    write_document(folder.path / FILE_NAME, kept)
    return kept
