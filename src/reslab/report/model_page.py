"""The report of a model file on a data set: a run's report without the training."""

from dataclasses import dataclass
from pathlib import Path

from reslab.artifacts.documents import ReportedCounts

from .html import write_page
from .judgement import Judgement
from .run_page import verdict_in_words
from .sections import JudgementSection, from_judgement


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPage:
    """What `model.html` shows.

    Attributes:
        title: The model file's name.
        verdict: The sentence at the top.
        recipe: The recipe that the model file names.
        metrics: The counts that the model file reports of itself; None for one that reports none.
        data: The data set's name.
        fingerprint: A hash of the judged images and labels.
        command: What writes the page again.
        section: The judgement.
    """

    title: str
    verdict: str
    recipe: str
    metrics: ReportedCounts | None
    data: str
    fingerprint: str
    command: str
    section: JudgementSection


def write_model_report(
    judgement: Judgement, path: Path, *, name: str, recipe: str, metrics: ReportedCounts | None, command: str
) -> Path:
    """Write a page about a judged model file.

    Args:
        judgement: From `reslab.report.judge`.
        path: The file to write.
        name: The model file's name.
        recipe: The recipe that the model file names.
        metrics: The counts that the model file reports of itself.
        command: What writes the page again.

    Returns:
        The path.
    """
    scores = judgement.scores
    page = ModelPage(
        title=name,
        verdict=verdict_in_words(judgement.network, scores.split, scores.wrong, scores.total),
        recipe=recipe,
        metrics=metrics,
        data=judgement.data,
        fingerprint=judgement.data_fingerprint,
        command=command,
        section=from_judgement(judgement),
    )
    return write_page("model.html", path, page, is_interactive=True)
