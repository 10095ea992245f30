"""Draw docs/images from results/bench and the CIFAR records: `python tools/make_plots.py`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.artifacts.record import RecordedRun
from reslab.report.figures.curves import BOLD, THIN, Curve, draw, points
from reslab.report.figures.style import COLORS, INK, in_iterations, styled

ROOT = Path(__file__).parents[1]
BENCH, IMAGES = ROOT / "results" / "bench", ROOT / "docs" / "images"
_CONTESTS = ("cifar", "photos", "large", "inference")


def _read(name: str) -> dict[str, Any] | None:
    path = BENCH / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _bars(axes: Axes, found: dict[str, Any]) -> None:
    rows = found["rows"][::-1]
    ratios = [row["ratio"] for row in rows]
    spread = [[row["ratio"] - row["ratio_min"] for row in rows], [row["ratio_max"] - row["ratio"] for row in rows]]
    colors = [COLORS[0] if row["name"] == "reslab" else "#9aa1ab" for row in rows]
    axes.barh([row["name"] for row in rows], ratios, xerr=spread, color=colors, error_kw={"lw": 1, "capsize": 2})
    for place, row in enumerate(rows):
        axes.text(row["ratio_max"] + 0.02 * max(ratios), place, f"{row['ratio']:.2f}", va="center")
    # from the figure's edge, because a panel is narrower than its title; the empty title keeps room for it
    axes.set_title(" ", fontsize=10)
    place = ("figure fraction", "axes fraction")
    axes.annotate(found["title"], (0.01, 1), (0, 5), xycoords=place, textcoords="offset points", weight="bold")
    axes.set_xlim(0, 1.15 * max(row["ratio_max"] for row in rows))
    axes.grid(axis="y", visible=False)


def throughput() -> Figure | None:
    """Images per second over those of the first contestant, each contest in a panel."""
    found = [contest for name in _CONTESTS if (contest := _read(name))]
    if not found:
        return None
    heights = [len(contest["rows"]) + 1.2 for contest in found]
    figure = Figure(figsize=(7.5, 0.36 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(found), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, contest in zip(panels, found, strict=True):
        _bars(axes, contest)
    panels[-1].set_xlabel("images per second, relative to the first of each panel")
    return figure


def memory() -> Figure | None:
    """Peak memory and time per step by depth, with and without activation checkpoints."""
    found = _read("depth")
    if not found:
        return None
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for checkpoints, label, color in ((False, "all activations kept", COLORS[1]), (True, "recomputed", COLORS[0])):
        rows = [row for row in found["rows"] if row["checkpoint_activations"] is checkpoints]
        depths = [row["depth"] for row in rows]
        left.plot(depths, [row["peak_gb"] for row in rows], "o-", ms=4, color=color, label=label)
        right.plot(depths, [row["seconds_per_step"] for row in rows], "o-", ms=4, color=color, label=label)
    left.set_ylabel("peak resident memory, GB")
    right.set_ylabel("seconds per step of 128 images")
    for axes in (left, right):
        axes.set_xlabel("layers")
        axes.set_ylim(bottom=0)
    left.legend()
    return figure


def matrix_rate() -> Figure | None:
    """What part of the machine's rate of matrix products a training step reaches, and its convolutions alone."""
    found = _read("profile")
    if not found:
        return None
    figure = Figure(figsize=(7.5, 2.6), layout="constrained")
    axes = figure.subplots()
    rows = found["rows"][::-1]
    names = [f"{row['network'].split(' (')[0]}, {row['size']} px, batch {row['batch_size']}" for row in rows]
    for offset, key, label, color in (
        (0.2, "step_of_machine", "whole step", COLORS[0]),
        (-0.2, "convolutions_of_machine", "its convolutions alone", "#9aa1ab"),
    ):
        shares = [100 * row[key] for row in rows]
        axes.barh([place + offset for place in range(len(rows))], shares, 0.38, color=color, label=label)
        for place, share in enumerate(shares):
            # on white: the line at 100 % may pass behind it
            white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(share + 1, place + offset, f"{share:.0f} %", va="center", fontsize=9, bbox=white)
    axes.set_yticks(range(len(rows)), names)
    axes.axvline(100, color="#666", lw=1, ls="--")
    axes.set_xlabel("rate of operations, in % of the machine's in a 4096³ matrix product (bf16)")
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.12)
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def images_to_error() -> Figure | None:
    """Training error against images seen, of the paper's recipe and of the fast one; dots: test error at the end."""
    folders = {
        name: sorted((ROOT / "results" / name).glob("*.json")) for name in ("cifar-resnet20", "cifar-resnet20-fast")
    }
    if not all(folders.values()):
        return None
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, paths), color in zip(folders.items(), COLORS, strict=False):
        for number, path in enumerate(paths):
            record = RecordedRun.open(path).document
            steps, errors = zip(*record.curve["train"], strict=True)
            images = [step * 128 / 1e6 for step in steps]
            label = f"{name}, {len(paths)} {'seed' if len(paths) == 1 else 'seeds'}"
            axes.plot(images, errors, color=color, lw=1, label=None if number else label)
            axes.plot(images[-1], record.final["test"].error, "o", color=color, ms=5)
    axes.axhline(8.75, color="#666", lw=1, ls="--")
    axes.text(axes.get_xlim()[1], 9.0, "8.75 %, the paper's test error", ha="right", va="bottom", fontsize=9)
    axes.set_xlabel("million training images seen")
    axes.set_ylabel("error of training batches (%)")
    axes.set_ylim(0, 60)
    axes.legend()
    return figure


def cifar_curves() -> Figure | None:
    """The twins of 20 layers at the paper's length, as in its Fig. 6: training error thin, test error bold."""
    paths = {name: ROOT / "results" / name / "0.json" for name in ("cifar-plain20", "cifar-resnet20")}
    if not all(path.exists() for path in paths.values()):
        return None
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    axes = figure.subplots()
    for path, color in zip(paths.values(), COLORS, strict=False):
        record = RecordedRun.open(path)
        network = record.document.network.split(" (")[0]
        for split, width, label in (("train", THIN, ""), ("test", BOLD, f"{network}, seed {record.document.seed}")):
            draw(axes, Curve(label, color, width, (points(record.rows(split)),)))
    for step in record.rate_drops():
        axes.axvline(step, color=INK, linewidth=0.7, linestyle=(0, (4, 4)), alpha=0.5)
    axes.set_ylim(0, 20)
    axes.set_ylabel("error (%)")
    in_iterations(axes)
    axes.legend(title="CIFAR-10; thin: training error, bold: test error", title_fontsize=9)
    return figure


PLOTS: dict[str, Callable[[], Figure | None]] = {
    "throughput": throughput,
    "memory": memory,
    "matrix-rate": matrix_rate,
    "images-to-error": images_to_error,
    "cifar20": cifar_curves,
}


def main() -> None:
    """Draw every figure that has its results."""
    for name, make in PLOTS.items():
        with styled():
            figure = make()
            if figure is not None:
                figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None, "Creator": None})
        print(f"{name}: {'not measured yet' if figure is None else 'drawn'}")


if __name__ == "__main__":
    main()
