"""The report of a model file on a data set: what a run's report has, without the training."""

from pathlib import Path
from typing import Any

from reslab.artifacts.documents import ReportedCounts

from .html import write_page
from .run_page import verdict_in_words
from .sections import from_judgement


def write_model_report(
    judgement: dict[str, Any], path: Path, *, name: str, recipe: str, metrics: ReportedCounts | None, command: str
) -> Path:
    """Write a page about a judged model file and return its path.

    name: of the model file; recipe, metrics: of its card; command: what writes this page again.
    """
    scores = judgement["scores"]
    wrong = scores["total"] - scores["correct"]
    return write_page(
        "model.html",
        path,
        is_interactive=True,
        title=name,
        verdict=verdict_in_words(judgement["network"], scores["split"], wrong, scores["total"]),
        recipe=recipe,
        metrics=metrics,
        data=judgement["data"],
        fingerprint=judgement["data_fingerprint"],
        command=command,
        **from_judgement(judgement),
    )
