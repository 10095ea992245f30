"""The report of one run: one HTML file with everything to look at."""

import json
from pathlib import Path
from typing import Any

from reslab.files import to_json
from reslab.metrics import error_percent
from reslab.modelfile import load_card
from reslab.runfolder import RunFolder

from .confusion import confusion_figure
from .curves import error_figure, loss_figure
from .figures import to_svg
from .pages import figure_markup, write_page


def write_report(folder: RunFolder) -> Path:
    """Write `report.html` into a run folder, finished or in progress, and return its path."""
    config, environment, result = folder.config(), folder.environment(), folder.result()
    train, monitored = folder.rows("train"), folder.rows(config["train"]["monitor"])
    return write_page(
        "report.html",
        folder.report_path,
        title=f"{config['recipe']}, seed {config['seed']}",
        verdict=_verdict(result, train, config),
        result=result,
        final=_final_rows(result),
        notes=_notes(result, config),
        figures=_figures(folder, train, monitored, config, result),
        data=environment["data"],
        settings=_flatten(config),
        config_json=to_json({"format_version": 1, **config}),
        sessions=environment["sessions"],
        command=f"reslab train {folder.path.name}/config.json --run-dir NEW-FOLDER",
    )


def _verdict(result: dict[str, Any] | None, train: list[dict[str, Any]], config: dict[str, Any]) -> str:
    if result is None:
        step = train[-1]["step"] if train else 0
        return f"In progress: step {step:,} of {config['train']['iterations']:,}."
    split = result["reported_split"]
    if split is None:
        return f"{result['model']}: trained for {result['iterations']:,} iterations; there is no split to judge it on."
    counts = result["final"][split]
    wrong = counts["total"] - counts["correct"]
    return f"{result['model']}: {counts['error']:.2f} % {split} error, {wrong:,} of {counts['total']:,} images wrong."


def _final_rows(result: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the final numbers, each with its split, protocol and counts."""
    if result is None:
        return []
    names = {"test": "test", "validation": "validation", "train": "training images, clean (no augmentation, eval mode)"}
    return [
        {"split": names[split], "protocol": result["protocol"], "wrong": counts["total"] - counts["correct"], **counts}
        for split, counts in result["final"].items()
    ]


def _notes(result: dict[str, Any] | None, config: dict[str, Any]) -> list[str]:
    monitor = config["train"]["monitor"]
    notes = [
        "The training error in the curve is that of the batches as trained on (augmented, before each update), "
        f"averaged over windows of {config['train']['log_every']} iterations."
    ]
    if result is not None:
        notes.insert(0, f"What was selected: {result['selection']}.")
    if monitor == "test":
        notes.append("The test curve is drawn for the figure only: nothing was chosen by it.")
    elif result is not None and result["reported_split"] == "test":
        notes.append("The test set was read once, at the end.")
    return notes


def _figures(
    folder: RunFolder,
    train: list[dict[str, Any]],
    monitored: list[dict[str, Any]],
    config: dict[str, Any],
    result: dict[str, Any] | None,
) -> list[dict[str, Any]]:
    if not train:
        return []
    split = config["train"]["monitor"]
    bold = f", {split} bold" if monitored else ""
    caption = f"Error over iterations: training thin{bold}; dashed where the learning rate drops."
    label = f"Line chart. Training error ends at {train[-1]['error']:.2f} %"
    label += f", {split} error at {monitored[-1]['error']:.2f} %." if monitored else "."
    figures = [_figure("curves", error_figure(train, monitored, split), "Learning curves", caption, label)]
    figures.append(
        _figure("loss", loss_figure(train), "Loss and learning rate", "Training loss and learning rate; logarithmic.",
                f"Line charts. Training loss ends at {train[-1]['loss']:.4g}.")
    )  # fmt: skip
    if result is not None and result["confusion"] is not None:
        names = load_card(folder.model_path).class_names
        figures.append(_confusion(result, names))
    return figures


def _confusion(result: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    counts = result["confusion"]
    split = result["reported_split"]
    caption = f"Rows: true class, columns: predicted, on the {split} split; colour: share of the true class."
    worst = [(error_percent(row[i], sum(row)), names[i]) for i, row in enumerate(counts) if sum(row)]
    worst.sort(key=lambda item: -item[0])
    listed = ", ".join(f"{name}: {error:.1f} %" for error, name in worst[:5])
    label = f"Confusion matrix of {len(names)} classes. Highest errors: {listed}."
    return _figure(
        "confusion",
        confusion_figure(counts, names),
        "Confusion matrix",
        f"{caption} Highest class errors: {listed}.",
        label,
    )


def _figure(name: str, figure: Any, title: str, caption: str, label: str) -> dict[str, Any]:
    return {"name": name, "title": title, "caption": caption, "svg": figure_markup(to_svg(figure, name, label))}


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return settings as a user writes them: [("optim.lr", "0.1"), ...]."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flatten(value, f"{prefix}{key}.")
        elif prefix + key != "data.path":
            rows.append((prefix + key, "none" if value is None else json.dumps(value, ensure_ascii=False).strip('"')))
    return rows
