"""The comparison with an earlier commit, and that it sees what differs."""

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.reference.harness import REPOSITORY, compare_folders, main
from tests.reference.page_comparison import compare_figures
from tests.reference.pages import read_figure, read_page
from tests.reference.renamed import CONFIG, RENAMES, Renames
from tests.reference.translate import to_toml, translate_settings, translate_words

COMMIT = "ebf7f61"


def has_commit() -> bool:
    """Whether git is here and knows the commit, which a shallow clone does not."""
    command = ["git", "-C", str(REPOSITORY), "cat-file", "-e", f"{COMMIT}^{{commit}}"]
    return shutil.which("git") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.slow
def test_all_numbers_are_those_of_the_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not has_commit():
        pytest.skip(f"needs git and commit {COMMIT}, which a shallow clone does not have")
    code = main(["--reference", COMMIT, "--workdir", str(tmp_path)])
    printed = capsys.readouterr().out.splitlines()
    assert code == 0, "\n".join(line for line in printed if not line.startswith("same"))


# --- that the comparison sees what differs ----------------------------------------------------------------------------

ROW = {"step": 10, "split": "train", "loss": 0.25, "seconds": 1.5}
CONFIG_OF_THEN = {
    "seed": 1,
    "train": {"bn": "frozen", "clip_norm": None, "batch_size": 8},
    "schedule": {"kind": "step", "factor": 0.1, "milestones": [1, 2]},
}
CONFIG_OF_TODAY = {
    "seed": 1,
    "train": {"grad_clip_norm": None, "batch_size": 8},
    "batch_norm": {"frozen": True},
    "schedule": {"kind": "step", "gamma": 0.1, "milestones": [1, 2]},
}
PAGE = """<html><style>p { margin: 3px }</style><h1>run</h1><p>Error: {error} % of 359 images.</p>
<table><thead><tr><th>seed</th><th>minutes</th></tr></thead><tbody><tr><td>4</td><td>{minutes}</td></tr></tbody></table>
<table><tbody><tr><td><code>train.clip_norm</code></td><td>{clip}</td></tr></tbody></table>
<img src="data:image/png;base64,{picture}" alt="mistake 7"><pre>{{"train": {{"clip_norm": {clip}}}}}</pre></html>"""


def write(folder: Path, name: str, content: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else str(content).encode())


def tensor_file(values: tuple[float, ...], card: dict[str, Any]) -> bytes:
    data = struct.pack(f"<{len(values)}f", *values)
    header = {
        "__metadata__": {"reslab": json.dumps(card)},
        "fc.weight": {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]},
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def page(error: str = "3.25", minutes: str = "0.5", clip: str = "1.0", picture: str = "AAAA") -> str:
    text = PAGE.replace("{{", "{").replace("}}", "}")
    for name, value in (("error", error), ("minutes", minutes), ("clip", clip), ("picture", picture)):
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the same content."""
    folders = tmp_path / "reference", tmp_path / "current"
    for folder in folders:
        write(folder, "runs/a/config.json", json.dumps(CONFIG_OF_THEN))
        write(folder, "runs/a/metrics.jsonl", json.dumps(ROW) + "\n")
        write(folder, "runs/a/model.safetensors", tensor_file((1.0, 2.0), {"preprocess": {"mean": [0.5]}}))
        write(folder, "runs/a/report.html", page())
        write(folder, "said/predict.csv", "image,probability\na.jpg,0.123456\n")
        write(folder, "said/show.toml", "seed = 1\n# weights = none\n[train]\nbatch_size = 8\n")
        write(folder, "said/train.txt", f"test error: 3.25 % (7 wrong)\ntime: 0.1 minutes\n{folder}/runs/a\n")
    return folders


def different(folders: tuple[Path, Path], renames: Renames) -> dict[str, tuple[str, ...]]:
    results = compare_folders(*folders, renames)
    return {result.file: result.differences for result in results if result.differences}


def test_the_same_is_the_same(sides: tuple[Path, Path]) -> None:
    write(sides[1], "said/train.txt", f"test error: 3.25 % (7 wrong)\ntime: 0.7 minutes\n{sides[1]}/runs/a\n")
    write(sides[1], "runs/a/report.html", page(minutes="0.9"))
    write(sides[1], "runs/a/metrics.jsonl", json.dumps({**ROW, "seconds": 9.0}) + "\n")
    assert different(sides, Renames()) == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("runs/a/config.json", json.dumps({**CONFIG_OF_THEN, "seed": 2})),
        ("runs/a/config.json", json.dumps({**CONFIG_OF_THEN, "seed": 1.0})),
        ("runs/a/config.json", json.dumps({**CONFIG_OF_THEN, "more": 1})),
        ("runs/a/metrics.jsonl", json.dumps({**ROW, "loss": 0.25000000000000006}) + "\n"),
        ("runs/a/metrics.jsonl", 2 * (json.dumps(ROW) + "\n")),
        ("runs/a/model.safetensors", tensor_file((1.0, 2.0000002), {"preprocess": {"mean": [0.5]}})),
        ("runs/a/model.safetensors", tensor_file((1.0, 2.0), {"preprocess": {"mean": [0.6]}})),
        ("runs/a/model.safetensors", tensor_file((1.0, 2.0, 0.0), {"preprocess": {"mean": [0.5]}})),
        ("runs/a/report.html", page(error="3.26")),
        ("runs/a/report.html", page(clip="2.0")),
        ("runs/a/report.html", page(picture="AAAB")),
        ("said/predict.csv", "image,probability\na.jpg,0.123457\n"),
        ("said/show.toml", "seed = 1\n[train]\nbatch_size = 8\n"),
        ("said/train.txt", "test error: 3.25 % (8 wrong)\n/x/current/runs/a\n"),
        ("said/new.txt", "5"),
    ],
)
def test_one_number_more_or_less_is_seen(sides: tuple[Path, Path], name: str, content: Any) -> None:
    write(sides[1], name, content)
    for renames in (Renames(), replace(Renames(), strict=False)):
        assert list(different(sides, renames)) == [name]


def test_a_missing_file_is_seen(sides: tuple[Path, Path]) -> None:
    (sides[1] / "runs/a/metrics.jsonl").unlink()
    assert different(sides, Renames()) == {"runs/a/metrics.jsonl": ("only the reference has this file",)}


def test_words_count_only_where_nothing_is_renamed(sides: tuple[Path, Path]) -> None:
    write(sides[1], "said/train.txt", f"error on the test set: 3.25 % (7 wrong)\ntime: 1\n{sides[1]}/runs/a\n")
    assert list(different(sides, Renames())) == ["said/train.txt"]
    assert different(sides, replace(Renames(), strict=False)) == {}


def test_renamed_keys_are_the_same_and_unknown_ones_are_named(sides: tuple[Path, Path]) -> None:
    renames = replace(Renames(), config=CONFIG, strict=False)
    write(sides[1], "runs/a/config.json", json.dumps(CONFIG_OF_TODAY))
    write(sides[1], "runs/a/report.html", page().replace("clip_norm", "grad_clip_norm"))
    assert different(sides, renames) == {}
    write(sides[1], "runs/a/config.json", json.dumps({**CONFIG_OF_TODAY, "batch_norm": {"frozen": False}}))
    (found,) = different(sides, renames)["runs/a/config.json"]
    assert found == "batch_norm.frozen: reference true, current false"
    write(sides[1], "runs/a/config.json", json.dumps(CONFIG_OF_THEN))
    found = " ".join(different(sides, renames)["runs/a/config.json"])
    assert "batch_norm.frozen: only the reference has it" in found
    assert "train.bn: only the current tree has it" in found


RECORD_OF_THEN = {"test": {"correct": 3, "total": 4}, "final": {"test": {"correct": 3, "total": 4}}, "metrics": {}}
RECORD_OF_TODAY = {"final": {"test": {"correct": 3, "total": 4, "error": 25.0}}, "metrics": None}


@pytest.mark.parametrize(
    ("today", "difference"),
    [
        (RECORD_OF_TODAY, None),
        ({**RECORD_OF_TODAY, "final": {"test": {"correct": 3, "total": 5, "error": 40.0}}}, "test.total"),
        ({**RECORD_OF_TODAY, "final": {"test": {"correct": 3, "total": 4, "error": 26.0}}}, "final.test.error"),
        ({**RECORD_OF_TODAY, "metrics": 0}, "metrics"),
    ],
)
def test_a_value_may_move_or_follow_from_others_but_not_change(
    sides: tuple[Path, Path], today: dict[str, Any], difference: str | None
) -> None:
    renames = replace(
        Renames(),
        repeated=(("*", "test.*", "final.test.*"),),
        errors=(("*", "final.*.error"),),
        values=(("*", "metrics", {}, None),),
        strict=False,
    )
    for folder, record in zip(sides, (RECORD_OF_THEN, today), strict=True):
        write(folder, "results/a/0.json", json.dumps(record))
    found = " ".join(different(sides, renames).get("results/a/0.json", ()))
    assert (difference is None and not found) or (difference is not None and f"{difference}: " in found)


def test_a_command_gets_todays_words() -> None:
    command = "train folder --data a --train.bn frozen --schedule.kind step --schedule.factor 0.1 --size 64"
    today = "train-folder a --batch_norm.frozen true --schedule.kind step --schedule.gamma 0.1 --size 64"
    assert translate_words(tuple(command.split()), RENAMES) == tuple(today.split())
    assert translate_words(tuple(command.split()), Renames()) == tuple(command.split())
    command = "predict a b --fit squash"
    assert translate_words(tuple(command.split()), RENAMES) == ("predict", "a", "b", "--resize-mode", "squash")
    plateau = "train r --schedule.kind plateau --schedule.factor 0.1"
    assert translate_words(tuple(plateau.split()), RENAMES) == tuple(plateau.split())
    with pytest.raises(ValueError, match=r"must say schedule\.kind"):
        translate_words(("train", "r", "--schedule.factor", "0.1"), RENAMES)


def test_settings_get_todays_names() -> None:
    settings = {"train": {"bn": "batch", "iterations": 3}, "schedule": {"kind": "step", "factor": 0.5}}
    assert to_toml(translate_settings(settings, RENAMES)).splitlines() == [
        "batch_norm.frozen = false",
        "train.iterations = 3",
        'schedule.kind = "step"',
        "schedule.gamma = 0.5",
    ]


SVG = """<svg aria-label="chart"><!-- {text} --><!-- 10 --><path d="M 20 20 L {x} 60 "
 clip-path="url(#p1)" style="stroke: #0072b2"/><defs><clipPath id="p1">
 <rect x="10" y="10" width="{width}" height="100"/></clipPath></defs></svg>"""


def test_figures_are_compared_within_their_axes_where_words_differ() -> None:
    renames = replace(Renames(), strict=False)
    old = read_figure(SVG.format(text="error", x=60, width=100))
    assert not compare_figures(old, old, "a", renames).differences
    assert compare_figures(old, read_figure(SVG.format(text="error", x=61, width=100)), "a", renames).differences
    wider = SVG.replace("M 20 20", "M 30 20").format(text="errors", x=110, width=200)
    same = compare_figures(old, read_figure(wider), "a", renames)
    assert (same.differences, same.remark) == ((), "words on figures differ: curves compared by their ends and bounds")
    moved = SVG.replace("M 20 20", "M 30 20").format(text="errors", x=120, width=200)
    assert compare_figures(old, read_figure(moved), "a", renames).differences


def test_a_page_is_taken_apart() -> None:
    found = read_page(page())
    assert found.settings == {"train.clip_norm": "1.0"}
    assert found.documents == [{"train": {"clip_norm": 1.0}}]
    assert len(found.pictures) == 1
    assert "Error: 3.25 % of 359 images." in found.text
    assert "mistake 7" in found.text
    assert "0.5" not in found.text
    assert "margin" not in found.text
