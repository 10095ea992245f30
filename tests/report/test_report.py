"""Reports: one self-contained file, the numbers of the run, the same bytes each time."""

import base64
import hashlib
import json
import re
import shutil
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import BinaryIO

import pytest
from matplotlib.figure import Figure

from reslab.artifacts.metrics_log import TrainRow
from reslab.artifacts.model_file import ModelCard, save_model
from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.errors import RunError
from reslab.models import create_model
from reslab.report import compare, save_figure, write_comparison, write_report
from reslab.report.comparison_page import comparison_figure
from reslab.report.figures.curves import Curve, draw
from reslab.report.run_page import _whole_windows
from reslab.spec import PreprocessSpec

RESULTS = Path(__file__).parents[2] / "results"


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.figures: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [str(values[key]) for key in ("src", "href", "xlink:href") if key in values]
        self.figures += [values] if tag == "svg" else []
        self.ids += [str(values["id"])] if "id" in values else []
        self.scripts += tag == "script"


@pytest.fixture
def finished(digits_run: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(digits_run, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


def _check(path: Path) -> _Page:
    page = _Page(path.read_text())
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    assert not re.search(r"url\(\s*['\"]?http|@import", path.read_text())
    assert page.figures
    assert all(figure.get("aria-label") for figure in page.figures)
    assert len(page.ids) == len(set(page.ids))
    return page


def test_a_finished_report_does_not_reload(finished: RunFolder) -> None:
    assert 'http-equiv="refresh"' not in write_report(finished).read_text()


def test_a_report_asks_no_outside_host_and_labels_its_figures(finished: RunFolder) -> None:
    page = _check(write_report(finished))
    assert len(page.figures) == 2
    assert page.scripts == 1


def test_a_report_shows_the_runs_numbers_with_split_and_protocol(finished: RunFolder) -> None:
    text = write_report(finished).read_text()
    result = finished.result()
    assert result is not None
    for counts in result.final.values():
        assert f"{counts.error:.2f} %" in text
        assert f">{counts.wrong}<" in text
    assert "single original view, fp32" in text
    assert "none: the last weights" in text
    assert finished.environment().data.fingerprint in text


def test_a_final_loss_that_is_not_finite_is_said(finished: RunFolder) -> None:
    path = finished.path / "result.json"
    result = json.loads(path.read_text())
    result["final"]["test"]["loss"] = None
    path.write_text(json.dumps(result))
    assert write_report(finished).read_text().count('<td class="number">not finite</td>') == 1


def test_the_same_run_makes_the_same_bytes(finished: RunFolder) -> None:
    first = write_report(finished).read_bytes()
    assert write_report(finished).read_bytes() == first


def test_a_run_in_progress_has_a_report_that_says_so(finished: RunFolder) -> None:
    for name in ("result.json", "model.safetensors"):
        (finished.path / name).unlink()
    text = write_report(finished).read_text()
    assert "In progress: step 40 of 40" in text
    assert 'http-equiv="refresh" content="15"' in text
    finished.metrics.path.unlink()
    assert "In progress: step 0 of 40" in write_report(finished).read_text()


def test_a_page_does_not_say_where_the_data_lay(finished: RunFolder) -> None:
    config = json.loads((finished.path / "config.json").read_text())
    config["data"]["path"] = "/home/somebody/photos"
    (finished.path / "config.json").write_text(json.dumps(config))
    assert "somebody" not in write_report(finished).read_text()


def test_a_last_window_of_a_few_iterations_is_not_drawn_as_a_spike() -> None:
    *rows, spike, half = (TrainRow(step=step, loss=1.0, error=9.0, lr=0.1) for step in (50, 100, 150, 153, 175))
    assert _whole_windows([*rows, spike], 50) == rows
    assert _whole_windows([*rows, half], 50) == [*rows, half]
    assert _whole_windows(rows[:1], 200) == rows[:1]


def test_a_test_curve_is_declared(finished: RunFolder) -> None:
    config = json.loads((finished.path / "config.json").read_text())
    config["evaluation"]["monitor"] = "test"
    (finished.path / "config.json").write_text(json.dumps(config))
    assert (
        "The test curve is drawn for the figure only: nothing was chosen by it." in write_report(finished).read_text()
    )


def test_hostile_class_names_are_text_and_a_hundred_classes_fit(finished: RunFolder) -> None:
    names = ("<script>alert(1)</script>", *(f"class {number}" for number in range(99)))
    preprocess = PreprocessSpec(channels=1, height=8, width=8, mean=(0.0,), std=(1.0,))
    card = ModelCard(preprocess=preprocess, class_names=names, recipe="r")
    save_model(finished.model_path, create_model("cifar_resnet8", num_classes=100, in_channels=1), card)
    result = json.loads((finished.path / "result.json").read_text())
    result["confusion"] = [[3 if row == column else int(row == 0) for column in range(100)] for row in range(100)]
    (finished.path / "result.json").write_text(json.dumps(result))
    page = _check(write_report(finished))
    assert page.scripts == 1  # ours, and its hash is the only one that the page's policy lets run
    text = finished.report_path.read_text()
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_run_that_has_just_started_hides_no_other_runs_curves(finished: RunFolder, tmp_path: Path) -> None:
    rows = finished.metrics.path.read_text().splitlines(keepends=True)
    whole = _lines([finished])
    assert len(whole) == 2
    assert [x for x, _ in whole[0]] == [row.step for row in finished.rows("train")]
    for number, kept in ((0, []), (1, rows[:1])):
        path = tmp_path / f"started{number}"
        shutil.copytree(finished.path, path)
        (path / "metrics.jsonl").write_text("".join(kept))
        (path / "result.json").unlink()
        # same numbers as far as it has come: the mean is that of the whole run
        assert _lines([RunFolder.open(path), finished]) == whole
        page = write_comparison([finished, RunFolder.open(path)], tmp_path / "a.html").read_text()
        assert "Runs in progress count as far as they have come." in page
    assert _lines([RunFolder.open(tmp_path / "started0")]) == []


def _lines(folders: list[RunFolder]) -> list[list[tuple[float, float]]]:
    (axes,) = comparison_figure(compare(folders)).axes
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    return [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in lines]  # type: ignore[arg-type]


def test_a_mean_over_seeds_is_of_those_that_have_come_so_far_and_of_steps_they_share() -> None:
    short, long, sparse = ((2, 10.0), (4, 8.0)), ((2, 20.0), (4, 12.0), (6, 6.0), (8, 4.0)), ((4, 1.0), (8, 2.0))
    for runs, expected in (
        ((short, long), [(2, 15.0), (4, 10.0), (6, 6.0), (8, 4.0)]),
        ((short, long, sparse), [(4, 7.0), (8, 3.0)]),
    ):
        axes = Figure().subplots()
        draw(axes, Curve("", "k", 1.0, runs))
        assert list(zip(axes.lines[0].get_xdata(), axes.lines[0].get_ydata(), strict=True)) == expected  # type: ignore[arg-type]


def _altered(source: RunFolder, path: Path, changes: dict[str, object], **environment: object) -> RunFolder:
    """A copy of a run that says that it had other settings: {"optim.lr": 0.2}."""
    shutil.copytree(source.path, path)
    for name, found in (("config.json", changes), ("environment.json", environment)):
        values = json.loads((path / name).read_text())
        for key, value in found.items():
            *parts, last = key.split(".")
            part = values
            for one in parts:
                part = part[one]
            part[last] = value
        (path / name).write_text(json.dumps(values))
    return RunFolder.open(path)


def _labels(runs: list[RunFolder]) -> list[tuple[str, int]]:
    return [(group.label, len(group.rows)) for group in compare(runs).groups]


def test_runs_with_other_settings_are_no_seeds_and_labels_say_what_differs(finished: RunFolder, tmp_path: Path) -> None:
    longer = _altered(finished, tmp_path / "longer", {"train.iterations": 80, "seed": 4})
    seed = _altered(finished, tmp_path / "seed", {"seed": 4, "data.path": "/elsewhere"})
    assert _labels([finished, seed]) == [("digits-resnet20", 2)]
    assert _labels([finished, longer, seed]) == [
        ("digits-resnet20, train.iterations 40", 2),
        ("digits-resnet20, train.iterations 80", 1),
    ]
    page = write_comparison([finished, longer], tmp_path / "a.html").read_text()
    assert "<td>digits-resnet20, train.iterations 80</td>" in page
    assert "±" not in page.split("<tbody>")[1].split("</tbody>")[0]
    (axes,) = comparison_figure(compare([finished, longer])).axes
    assert len([line for line in axes.lines if ", training" in str(line.get_label())]) == 2


def test_the_legend_of_a_comparison_covers_no_curve_and_is_all_there(finished: RunFolder, tmp_path: Path) -> None:
    several = {"train.iterations": 80, "train.batch_size": 32, "optim.lr": 0.2, "optim.momentum": 0.8}
    plain: dict[str, object] = {"model.shortcut": "none"}
    runs = [
        finished,
        _altered(finished, tmp_path / "plain", plain),
        _altered(finished, tmp_path / "other", several),
        _altered(finished, tmp_path / "plain-other", several | plain),
    ]
    for chosen in ([finished], runs[::2], runs[:2], runs):
        figure = comparison_figure(compare(chosen))
        for _ in range(2):  # the layout is exact from the second drawing on
            figure.draw_without_rendering()
        for axes in figure.axes:
            legend = axes.get_legend()
            assert legend is not None
            box = legend.get_window_extent()
            assert not box.overlaps(axes.bbox), chosen
            assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, chosen
            assert figure.bbox.y0 <= box.y0, chosen


def test_dollars_in_a_name_are_dollars_and_no_formula(finished: RunFolder, tmp_path: Path) -> None:
    name = r"for-$\frac$-each"
    figure = comparison_figure(compare([finished, _altered(finished, tmp_path / "cheap", {"recipe": name})]))
    figure.draw_without_rendering()  # a formula that is none would raise
    labels = [str(line.get_label()) for axes in figure.axes for line in axes.lines]
    assert any(name in label.replace(r"\$", "$") for label in labels)


def test_a_picture_that_cannot_be_written_leaves_the_one_before_it_whole(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(self: Figure, file: BinaryIO, **options: object) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    path = save_figure([finished], tmp_path / "figure.png")
    before = path.read_bytes()
    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises((OSError, RunError), match="No space left"):
        save_figure([finished], path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if "figure" in one.name] == ["figure.png"]


def test_many_differences_are_counted_unless_that_leaves_two_trainings_alike(
    finished: RunFolder, tmp_path: Path
) -> None:
    several = {"train.iterations": 80, "train.batch_size": 32, "optim.lr": 0.2, "optim.momentum": 0.8}
    other = _altered(finished, tmp_path / "other", several)
    said = "digits-resnet20, train.iterations 80, train.batch_size 32, optim.lr 0.2, "
    assert _labels([finished, other])[1] == (said + "1 more", 1)
    third = _altered(finished, tmp_path / "third", {**several, "optim.momentum": 0.7})
    assert [label for label, _ in _labels([finished, other, third])][1:] == [
        said + "optim.momentum 0.8",
        said + "optim.momentum 0.7",
    ]


def test_other_images_and_other_first_weights_are_other_trainings(finished: RunFolder, tmp_path: Path) -> None:
    data = asdict(finished.environment().data)
    renamed = _altered(finished, tmp_path / "renamed", {"seed": 5}, data={**data, "name": "renamed"})
    images = _altered(finished, tmp_path / "images", {"seed": 6}, data={**data, "fingerprint": "0" * 16})
    assert _labels([finished, renamed, images]) == [
        (f"digits-resnet20, dataset digits ({data['fingerprint'][:8]})", 2),
        ("digits-resnet20, dataset digits (00000000)", 1),
    ]
    begun = {
        (letter, seed): _altered(
            finished,
            tmp_path / f"{letter}{seed}",
            {"seed": seed, "weights": f"{letter}/model.safetensors"},
            weights={"file": "model.safetensors", "sha256": letter * 64},
        )
        for letter in "ab"
        for seed in (0, 1)
    }
    assert _labels([begun["a", 0], begun["b", 1]]) == [("digits-resnet20", 2)]  # each seed from weights of its own
    assert _labels([finished, begun["a", 0]]) == [
        ("digits-resnet20, weights none", 1),
        ("digits-resnet20, weights given", 1),
    ]
    assert _labels(list(begun.values())) == [
        ("digits-resnet20, weights model.safetensors (aaaaaaaa)", 2),
        ("digits-resnet20, weights model.safetensors (bbbbbbbb)", 2),
    ]


def test_a_seed_that_was_run_twice_is_one_seed(finished: RunFolder, tmp_path: Path) -> None:
    again = _altered(finished, tmp_path / "again", {})
    other = _altered(finished, tmp_path / "other", {"seed": 4})
    assert [compare(runs).groups[0].seeds for runs in ([finished, other], [finished, again, other])] == [
        "2",
        "2 (3 runs)",
    ]


def test_a_run_given_twice_counts_once(finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _labels([finished, RunFolder.open(Path("run")), finished]) == [("digits-resnet20", 1)]


def test_a_comparison_groups_seeds_and_puts_plain_beside_residual(finished: RunFolder, tmp_path: Path) -> None:
    folders = [finished]
    for number, shortcut in ((1, "A"), (2, "none")):
        path = tmp_path / f"copy{number}"
        shutil.copytree(finished.path, path)
        config = json.loads((path / "config.json").read_text())
        config["seed"], config["model"]["shortcut"] = number, shortcut
        (path / "config.json").write_text(json.dumps(config))
        folders.append(RunFolder.open(path))
    comparison = compare(folders)
    assert [len(group.rows) for group in comparison.groups] == [2, 1]
    error = comparison.rows[0].train_error
    assert comparison.groups[0].spread("train_error") == f"{error:.2f} ± 0.00"
    page = _check(write_comparison(folders, tmp_path / "index.html", title="Twins", verdict=["It <b>holds</b>."]))
    assert len(page.figures) == 1
    assert "It &lt;b&gt;holds&lt;/b&gt;." in (tmp_path / "index.html").read_text()
    assert save_figure(folders, tmp_path / "a.svg").read_text().count("<svg") == 1


def test_the_axis_of_a_comparison_has_room_for_what_the_paper_draws_of_20_layers() -> None:
    runs = [RecordedRun.open(RESULTS / f"cifar-{name}20" / "0.json") for name in ("plain", "resnet")]
    top = comparison_figure(compare(runs)).axes[0].get_ylim()[1]
    later = [row.error for run in runs for row in run.rows("test") if row.step > 64_000 / 3]
    assert max(later) < top < 25  # its Fig. 6 ends at 20 %: the start, at a rate of 0.1, does not flatten the rest
