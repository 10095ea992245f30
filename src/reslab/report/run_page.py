"""The report of one run: one HTML file with everything to look at."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure
from pydantic import JsonValue

from reslab.artifacts.documents import Counts, DataFacts, RunResult, Session, TestUse
from reslab.artifacts.metrics_log import MetricsRow, TrainRow
from reslab.artifacts.model_file import load_card
from reslab.artifacts.run_folder import RunFolder
from reslab.artifacts.upgrade import FORMAT_VERSION
from reslab.config import RunConfig, from_dict, to_dict
from reslab.evaluation import wilson
from reslab.evaluation.metrics import error_percent
from reslab.system.files import to_json

from .figures.curves import error_figure, loss_figure
from .figures.style import to_svg
from .html import figure_markup, write_page
from .judgement import Judgement, kept_judgement
from .reading import drops_of_run
from .sections import JudgementSection, from_counts, from_judgement
from .skipped import LeftOut, class_sizes, left_out

RELOAD_SECONDS = 15


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A figure of the page, under a heading."""

    title: str
    caption: str
    svg: Markup


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """What `report.html` shows.

    Attributes:
        title: The recipe, the data and the seed.
        verdict: The sentence at the top.
        result: What the run came to; None while it is in progress.
        final: The final counts, by what their splits are called on the page.
        notes: Sentences below them.
        test_uses: Every use of the test set since the training.
        figures: The learning curves.
        section: The judgement; None for a run in progress, or without a split to judge on.
        data: Which data the run saw.
        left_out: The images that it left out; None for images in memory.
        class_sizes: Sentences on the smallest and the largest class.
        settings: (key, value) of each setting, as a user writes it.
        config_json: The content of config.json, without paths.
        sessions: The starts of the run.
        command: What repeats the run.
    """

    title: str
    verdict: str
    result: RunResult | None
    final: Mapping[str, Counts]
    notes: tuple[str, ...]
    test_uses: tuple[TestUse, ...]
    figures: tuple[PageFigure, ...]
    section: JudgementSection | None
    data: DataFacts
    left_out: LeftOut | None
    class_sizes: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    config_json: str
    sessions: tuple[Session, ...]
    command: str


def write_report(folder: RunFolder, path: Path | None = None) -> Path:
    """Write the page of a run, finished or in progress.

    The page of a finished run has what was judged (`judgement.json`), if that was this model file. The page of a run in
    progress reloads itself.

    Args:
        folder: The run.
        path: The file to write; by default `report.html` in the run's folder.

    Returns:
        The path.
    """
    page = _run_page(folder)
    return write_page(
        "report.html",
        path or folder.report_path,
        page,
        is_interactive=page.section is not None,
        reload_seconds=RELOAD_SECONDS if page.result is None else None,
    )


def _run_page(folder: RunFolder) -> RunPage:
    config, environment, result = from_dict(folder.config()), folder.environment(), folder.result()
    train, monitored = folder.train_rows(), folder.rows(config.evaluation.monitor)
    document, uses = _without_paths(config), folder.test_uses()
    judgement = None if result is None else kept_judgement(folder)
    section = None if result is None else _section(folder, result, judgement)
    known = None if section is None or _judged_elsewhere(judgement) else section.scores
    return RunPage(
        title=f"{config.recipe} on {environment.data.name}, seed {config.seed}",
        verdict=_verdict(result, train, config),
        result=result,
        final=_final_counts(result),
        notes=tuple(_notes(result, config, uses)),
        test_uses=uses,
        figures=_figures(train, monitored, config),
        section=section,
        data=environment.data,
        left_out=left_out(folder, config.data.path),
        class_sizes=tuple(class_sizes(folder, known)),
        settings=tuple(_flatten(document)),
        config_json=to_json({"format_version": FORMAT_VERSION, **document}),
        sessions=environment.sessions,
        command=f"reslab train {shlex.quote(folder.path.resolve().name)}/config.json --run-dir NEW-FOLDER",
    )


def _without_paths(config: RunConfig) -> dict[str, JsonValue]:
    """Return the config as JSON values without paths: a page is passed on, and where data lay is nobody's business."""
    weights = None if config.weights is None else Path(config.weights).name
    return to_dict(replace(config, data=replace(config.data, path=None), weights=weights))


def _section(folder: RunFolder, result: RunResult, judgement: Judgement | None) -> JudgementSection | None:
    if judgement is not None:
        return from_judgement(judgement, _judged_elsewhere(judgement))
    if result.confusion is None or result.reported_split is None:
        return None
    note = f"Calibration and the images that deserve a look are added by: reslab report {folder.path.name}"
    names = load_card(folder.model_path).class_names
    return from_counts(result.confusion, names, result.reported_split, result.protocol, [note])


def _judged_elsewhere(judgement: Judgement | None) -> list[str]:
    """Return a sentence on the data of a judgement where it is not the run's, which the rest of the page is about."""
    if judgement is None or judgement.basis is None or judgement.basis.data is None:
        return []
    place = Path(judgement.basis.data).name
    return [
        f"Judged on other data than the run's: {place} (read as {judgement.data}; fingerprint "
        f"{judgement.data_fingerprint}). The final numbers, the curves and the data further down are the run's."
    ]


def _verdict(result: RunResult | None, train: Sequence[TrainRow], config: RunConfig) -> str:
    if result is None:
        step = train[-1].step if train else 0
        return f"In progress: step {step:,} of {config.train.iterations:,}."
    if result.reported is None or result.reported_split is None:
        return f"{result.model}: trained for {result.iterations:,} iterations; there is no split to judge it on."
    return verdict_in_words(result.model, result.reported_split, result.reported.wrong, result.reported.total)


def verdict_in_words(network: str, split: str, wrong: int, total: int) -> str:
    """Return the sentence at the top of a page: the error, its interval and the counts.

    Args:
        network: The network's label.
        split: The part of the data that was judged.
        wrong: Images answered wrongly.
        total: Images in all.
    """
    interval = wilson(wrong, total)
    error = error_percent(total - wrong, total)
    return (
        f"{network}: {error:.2f} % {split} error (95 % interval {100 * interval.low:.2f} to "
        f"{100 * interval.high:.2f} %), {wrong:,} of {total:,} images wrong."
    )


def _final_counts(result: RunResult | None) -> dict[str, Counts]:
    """Return the final counts, under what their splits are called on the page."""
    if result is None:
        return {}
    names = {"test": "test", "validation": "validation", "train": "training images, clean (no augmentation, eval mode)"}
    return {names[split]: counts for split, counts in result.final.items()}


def _notes(result: RunResult | None, config: RunConfig, uses: Sequence[TestUse]) -> list[str]:
    monitor = config.evaluation.monitor
    notes = [
        "The training error in the curve is that of the batches as trained on (augmented, before each update), "
        f"averaged over windows of {config.train.log_every} iterations."
    ]
    if result is not None:
        notes.insert(0, f"What was selected: {result.selection}.")
    if monitor == "test":
        notes.append("The test curve is drawn for the figure only: nothing was chosen by it.")
    elif result is not None and result.reported_split == "test":
        notes.append(
            "The test set was read once, at the end."
            if not uses
            else f"The test set was read at the end of the training, and since then: {len(uses)} x (below)."
        )
    return notes


def _figures(train: Sequence[TrainRow], monitored: Sequence[MetricsRow], config: RunConfig) -> tuple[PageFigure, ...]:
    if not train:
        return ()
    train = _whole_windows(train, config.train.log_every)
    split = config.evaluation.monitor
    bold = f", {split} bold" if monitored else ""
    caption = f"Error over iterations: training thin{bold}; dashed where the learning rate drops."
    drops = drops_of_run(config, train, monitored)
    label = f"Line chart. Training error ends at {train[-1].error:.2f} %"
    label += f", {split} error at {monitored[-1].error:.2f} %." if monitored else "."
    return (
        _figure("curves", error_figure(train, monitored, split, drops), "Learning curves", caption, label),
        _figure("loss", loss_figure(train), "Loss and learning rate", "Training loss and learning rate; logarithmic.",
                f"Line charts. Training loss ends at {train[-1].loss:.4g}."),
    )  # fmt: skip


def _whole_windows(train: Sequence[TrainRow], log_every: int) -> Sequence[TrainRow]:
    """Leave out a last row of less than half a window: a spike that says nothing."""
    is_short = len(train) > 1 and train[-1].step - train[-2].step < log_every / 2
    return train[:-1] if is_short else train


def _figure(name: str, figure: Figure, title: str, caption: str, label: str) -> PageFigure:
    return PageFigure(title, caption, figure_markup(to_svg(figure, name, label)))


def _flatten(values: Mapping[str, JsonValue], prefix: str = "") -> list[tuple[str, str]]:
    """Return settings as a user writes them: [("optim.lr", "0.1"), ...]."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flatten(value, f"{prefix}{key}.")
        elif prefix + key != "data.path":
            rows.append((prefix + key, "none" if value is None else json.dumps(value, ensure_ascii=False).strip('"')))
    return rows
