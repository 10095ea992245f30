"""The judgement of a network on one split: its scores, the images that deserve a look, its layers; as JSON values.

It is kept in the run folder as `judgement.json`, with what it was made from, so that a second report costs nothing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

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
from reslab.artifacts.reader import current, write_document
from reslab.artifacts.run_folder import RunFolder
from reslab.data import Dataset
from reslab.data.views import batches
from reslab.errors import RunError
from reslab.evaluation import Predictions, Protocol, predict_split, recalibrated, summarize
from reslab.models import Network
from reslab.system.files import read_json, sha256_of

from .galleries import SHOWN, Painter, confused, mistakes, name_of, small_picture, suspects, uncertain
from .measurements import look_inside

VERSION = 2  # of what a judgement holds
FILE_NAME = "judgement.json"
LISTED = 0.03  # of the images are in the list of likely wrong labels, and as many in that of near-duplicates
_MOST_LISTED = 500
_NEIGHBOURS = 50
_BATCH = 250


Watch = Callable[[str, int], AbstractContextManager[Callable[..., None]]]  # as `reslab.system.progress.counting` is


def judge(
    model: Network, card: ModelCard, dataset: Dataset, *, split: str, train: Dataset | None, watch: Watch
) -> dict[str, Any]:
    """Answer every image of a split (protocol "center") and return all that a report shows of it.

    train: the training images to look for near-duplicates in; None to leave that out. watch: opens a display of
    progress, `reslab.system.progress.counting`. The model is in eval mode, on any device.

    Raises RunError for answers that are not finite.
    """
    with watch(f"{split} images", len(dataset)) as on_progress:
        answers = predict_split(
            model, dataset, card.preprocess, split=split, batch_size=_BATCH, on_progress=on_progress
        )
    if not answers.are_finite:
        raise RunError("the network's answers are not finite (its logits overflow): nothing can be ranked by them.")
    names = card.class_names
    summary = summarize(answers, names, (1, 5) if len(names) > 5 else (1,), card.temperature)
    shown = answers if card.temperature is None else _at_temperature(answers, card.temperature)
    painter = Painter(model, card, dataset, shown)
    evidence = _with_mirror_images(model, card, dataset, answers, watch)
    ranking = likely_mislabelled(evidence.probabilities, answers.labels, _votes(model, card, dataset, split))
    number = {name: position for position, name in enumerate(names)}
    pairs = [(number[pair["label"]], number[pair["prediction"]]) for pair in summary["confused"][:4]]
    uncertain_ranking = least_certain(shown.probabilities)
    with watch("the network's layers", 1) as on_progress:
        inside = look_inside(model, card, dataset, split)
        on_progress(1)
    return {
        "network": model.spec.label,
        "data": dataset.name,
        "data_fingerprint": dataset.fingerprint(),
        "scores": summary,
        "inside": inside,
        "galleries": {
            "confused": painter.paint(confused(pairs, shown)),
            "mistakes": painter.paint(mistakes(worst_mistakes(shown.probabilities, shown.labels))),
            "uncertain": painter.paint(uncertain(uncertain_ranking, shown, names)),
            "suspects": painter.paint(suspects(ranking, names)),
        },
        "suspects": _suspect_rows(ranking, dataset, answers, names),
        "duplicates": None if train is None else _duplicates(dataset, train, watch),
    }


def _at_temperature(answers: Predictions, temperature: float) -> Predictions:
    return Predictions(
        recalibrated(answers.probabilities, temperature), answers.labels, answers.split, answers.protocol
    )


def _with_mirror_images(
    model: Network, card: ModelCard, dataset: Dataset, answers: Predictions, watch: Watch
) -> Predictions:
    """Return the answers to images and their mirror images together; `answers` where those are worse, as of digits.

    Two views say more of a label than one.
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
    """What the neighbours say of training images, whose labels the network may know by heart."""
    k = min(_NEIGHBOURS, len(dataset) - 1)
    if split != "train" or k < 1:
        return None
    device = next(model.parameters()).device
    images = (batch.images for batch in batches(dataset, card.preprocess, batch_size=_BATCH, device=device))
    return neighbour_votes(penultimate_features(model, images), dataset.labels, len(card.class_names), k)


def num_listed(total: int) -> int:
    """Return how many images a list shows: the first 3 %, at least a gallery, at most 500."""
    return min(max(round(LISTED * total), SHOWN), _MOST_LISTED, total)


def _suspect_rows(
    ranking: Ranking, dataset: Dataset, answers: Predictions, names: tuple[str, ...]
) -> list[dict[str, Any]]:
    first = ranking.first(num_listed(len(dataset)))
    rows = zip(first.indices.tolist(), first.scores.tolist(), first.suggestions.tolist(), strict=True)
    return [
        {
            "index": index,
            "name": name_of(dataset, index),
            "label": names[int(answers.labels[index])],
            "perhaps": names[other],
            "score": round(score, 3),
        }
        for index, score, other in rows
    ]


def _duplicates(dataset: Dataset, train: Dataset, watch: Watch) -> list[dict[str, Any]]:
    """The images most like one of the training images, the most similar pair first; pictures of the first dozen."""
    with watch("small copies", len(dataset)) as on_progress:
        seen = small_copies(dataset, on_progress)
    with watch("small copies of the training images", len(train)) as on_progress:
        references = small_copies(train, on_progress)
    with watch("near-duplicates", len(dataset)) as on_progress:
        found = find_near_duplicates(seen, references, on_progress)
    first = slice(num_listed(len(dataset)))
    columns = (found.indices, found.matches, found.similarities, found.are_mirrored)
    rows = zip(*(column[first].tolist() for column in columns), strict=True)
    return [
        {
            "index": index,
            "name": name_of(dataset, index),
            "label": dataset.class_names[int(dataset.labels[index])],
            "match": match,
            "match_name": name_of(train, match),
            "match_label": train.class_names[int(train.labels[match])],
            "similarity": round(similarity, 4),
            "is_mirrored": is_mirrored,
            "picture": small_picture(dataset, index) if place < SHOWN else None,
            "match_picture": small_picture(train, match) if place < SHOWN else None,
        }
        for place, (index, match, similarity, is_mirrored) in enumerate(rows)
    ]


# --- kept in the run folder -------------------------------------------------------------------------------------------


def basis_of(model_path: Path, split: str, data: Path | None) -> dict[str, Any]:
    """Return what a judgement depends on; data: a folder given instead of the run's own."""
    place = None if data is None else str(data.resolve())
    return {"version": VERSION, "model": sha256_of(model_path), "split": split, "data": place}


def kept_judgement(folder: RunFolder, basis: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the run's judgement; None where there is none of this model file (of this split and data, if given)."""
    if not (folder.path / FILE_NAME).exists() or not folder.model_path.exists():
        return None
    path = folder.path / FILE_NAME
    found = current(read_json(path), "judgement", path)
    there = found["basis"]
    data = None if there["data"] is None else Path(there["data"])
    return found if there == (basis or basis_of(folder.model_path, there["split"], data)) else None


def keep_judgement(folder: RunFolder, basis: dict[str, Any], judgement: dict[str, Any]) -> dict[str, Any]:
    """Write a judgement into the run folder, and return it as it will be read."""
    write_document(folder.path / FILE_NAME, {"basis": basis, **judgement})
    return {"basis": basis, **judgement}
