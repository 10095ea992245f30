"""`reslab data check` on a clean folder, a ruined one, and defects that need a folder of their own."""

import hashlib
import json
import os
import time
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reslab.cli.main import run
from reslab.data.checks.all_checks import check_images
from reslab.data.checks.file_facts import inspect_all
from reslab.data.checks.findings import KINDS
from reslab.data.sources.image_list import take_inventory
from reslab.errors import RunError

from .ruin import ruin, snapshot, write_clean


def check_as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = run(["data", "check", str(path), "--json"])
    return code, json.loads(capsys.readouterr().out)


def kinds_of(path: Path) -> set[str]:
    return {finding.kind for finding in check_images(take_inventory(path))}


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Path]]]:
    folder = tmp_path_factory.mktemp("ruined")
    return folder, ruin(write_clean(folder))


def test_a_clean_folder_gives_exit_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clean(tmp_path)
    assert run(["data", "check", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "train 72 images in 3 classes; validation 30 images in 3 classes; test 30" in said
    assert "nothing is wrong" in said
    assert check_as_json(tmp_path, capsys)[0] == 0


def test_every_kind_of_defect_is_named_with_every_path(
    ruined: tuple[Path, dict[str, list[Path]]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, planted = ruined
    assert len(planted) >= 25
    code, values = check_as_json(folder, capsys)
    assert code == 1
    found: dict[str, set[str]] = {}
    for finding in values["findings"]:
        found.setdefault(finding["kind"], set()).update(finding["paths"])
        assert finding["severity"] == KINDS[finding["kind"]][0]
    for kind, paths in planted.items():
        assert {str(path) for path in paths} <= found.get(kind, {"not named"}), kind


def test_nothing_in_the_folder_is_changed(ruined: tuple[Path, dict[str, list[Path]]]) -> None:
    before = snapshot(ruined[0])
    check_images(take_inventory(ruined[0]))
    assert snapshot(ruined[0]) == before


def test_the_text_names_each_kind_with_its_files_and_how_many_more(
    ruined: tuple[Path, dict[str, list[Path]]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, planted = ruined
    assert run(["data", "check", str(folder)]) == 1
    said = capsys.readouterr().out
    for kind in planted:
        assert f": {kind} (" in said
    assert f"{folder}/train/ant/page.jpg: is not an image, but a web page." in said
    assert r"caf\xe9.jpg" in said  # a name that is not valid Unicode can still be printed
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(13):
            (tmp_path / name / f"{number}.jpg").write_bytes(b"")
    run(["data", "check", str(tmp_path)])
    assert "zero-byte (26)" in (said := capsys.readouterr().out)
    assert "and 16 more; --json lists all" in said


def test_imagenette_has_grey_images_and_no_other_defect(imagenette: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, values = check_as_json(imagenette, capsys)
    assert values["splits"]["train"]["images"] == 9469
    assert {finding["kind"] for finding in values["findings"]} == {"odd-mode"}
    assert all(": L, where" in finding["text"] for finding in values["findings"])


# --- defects that need a folder of their own --------------------------------------------------------------------------


def write_photos(folder: Path, names: list[str], count: int = 10) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.effect_noise((40, 30), 60).convert("RGB").save(folder / name / f"{number}.png")


def test_a_single_folder_of_classes_is_a_layout(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a", "b"])
    assert take_inventory(tmp_path).layout == "classes"
    assert kinds_of(tmp_path) == set()


def test_fewer_than_two_classes_is_a_finding(tmp_path: Path) -> None:
    write_photos(tmp_path, ["only"])
    assert kinds_of(tmp_path) == {"too-few-classes"}


def test_names_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")
    write_photos(tmp_path, [composed, decomposed, "tea"])
    (finding,) = check_images(take_inventory(tmp_path))
    assert finding.kind == "look-alike-class"
    assert r"'cafe\u0301', 'caf\xe9'" in finding.text


def test_split_names_may_be_in_upper_case_and_names_in_any_script(tmp_path: Path) -> None:
    write_photos(tmp_path / "TRAIN", ["犬", "кошка"])
    write_photos(tmp_path / "Validation", ["犬", "кошка"])
    found = take_inventory(tmp_path)
    assert (found.layout, list(found.classes)) == ("splits", ["train", "validation"])
    assert kinds_of(tmp_path) == set()


def test_a_folder_of_images_that_is_no_split_by_its_name_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path / "train", ["a", "b"])
    write_photos(tmp_path / "testing", ["a", "b"])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no images")
    (tmp_path / "testing" / "a" / "again").symlink_to(tmp_path / "testing", target_is_directory=True)
    (found,) = check_images(take_inventory(tmp_path))
    assert (found.kind, found.severity, found.paths) == ("unused-folder", "warning", (tmp_path / "testing",))
    assert "20 images not used; names of splits are train, val, valid, validation, test." in found.text


def test_images_in_sub_folders_and_behind_links_count_as_their_class(tmp_path: Path) -> None:
    write_photos(tmp_path / "data", ["a", "b"])
    write_photos(tmp_path / "elsewhere" / "deep", ["inner"])
    (tmp_path / "data" / "b" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = take_inventory(tmp_path / "data")
    assert sum(item.label == "b" for item in found.items) == 20


def test_a_circle_of_two_links_ends(tmp_path: Path) -> None:
    write_photos(tmp_path / "data", ["a", "b"])
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y").symlink_to(tmp_path / "data" / "a", target_is_directory=True)
    (tmp_path / "data" / "a" / "x").symlink_to(tmp_path / "x", target_is_directory=True)
    loops = [finding for finding in take_inventory(tmp_path / "data").findings if finding.kind == "link-loop"]
    assert [finding.paths for finding in loops] == [(tmp_path / "data" / "a" / "x" / "y",)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a", "b", "c"])
    (tmp_path / "a" / "0.png").chmod(0)
    (tmp_path / "c").chmod(0)
    assert {"unreadable", "unreadable-folder"} <= kinds_of(tmp_path)
    (tmp_path / "c").chmod(0o700)


def test_a_folder_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path, ["a", "b", "c"])
    real = Path.iterdir

    def iterdir(path: Path) -> Any:
        if path == tmp_path / "c":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    (finding,) = take_inventory(tmp_path).findings
    assert (finding.kind, finding.paths) == ("unreadable-folder", (tmp_path / "c",))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a", "b"])
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    os.mkfifo(tmp_path / "a" / "pipe")
    findings = check_images(take_inventory(tmp_path))
    assert {(finding.kind, finding.paths[0].name) for finding in findings} == {
        ("unreadable", "pipe.jpg"),
        ("stray", "pipe"),
    }


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda path: write_photos(path / "val", ["a"]),
            "has 'val', which is read as a split, but no folder 'train' next to it",
        ),
        (lambda path: None, "has no folder 'train' and no class folders"),
        (lambda path: write_photos(path / "photos" / "train", ["a"]), "photos has one; use "),
    ],
)
def test_a_folder_without_a_layout_says_what_is_expected(make: Any, words: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(RunError, match=words):
        take_inventory(tmp_path)


def test_ctrl_c_stops_between_files_and_does_not_wait_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def slow(path: Path, *_: object, **__: object) -> None:
        opened.append(1)
        time.sleep(0.0005)

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reslab.data.checks.file_facts.inspect", slow)
    with pytest.raises(KeyboardInterrupt):
        list(inspect_all([tmp_path] * 100_000, on_file=interrupt))
    assert len(opened) < 1000


# --- CSV files --------------------------------------------------------------------------------------------------------


def test_a_csv_file_lists_paths_below_its_folder(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a", "b, the second"], count=12)
    rows = [f'"{path.relative_to(tmp_path)}","{path.parent.name}"' for path in sorted(tmp_path.rglob("*.png"))]
    (tmp_path / "list.csv").write_text("\ufeffFile,Label\n" + "\n".join(rows) + "\n\n", encoding="utf-8")
    found = take_inventory(tmp_path / "list.csv")
    assert found.classes == {"all": ["a", "b, the second"]}
    assert [item.path for item in found.items] == sorted(tmp_path.rglob("*.png"))
    assert kinds_of(tmp_path / "list.csv") == set()


def test_rows_that_cannot_be_used_are_named_by_their_line(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a", "b"], count=10)
    lines = ["path,label,split", "a/0.png,a,train", "b/0.png,b,train", "a/1.png,,train", ",a,train"]
    lines += ["a/2.png,a,dev", "a/0.png,a,val", "a/99.png,a,train"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    texts = {finding.kind: [] for finding in check_images(take_inventory(tmp_path / "list.csv"))}
    for finding in check_images(take_inventory(tmp_path / "list.csv")):
        texts[finding.kind].append(finding.text)
    assert [text.split("list.csv, ")[1] for text in texts["list-row"]] == [
        "line 4: has no label.",
        "line 5: has no path.",
        "line 6: has split 'dev'; allowed: train, val, test.",
        "line 7: repeats a/0.png, which is in line 2.",
    ]
    assert "a/99.png: does not exist" in texts["missing-file"][0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("path;label\na.png;a\n", "has the columns path;label; expected path and label"),
        ("path,label,split\na.png,a,val\n", "no row has the split 'train'"),
    ],
)
def test_a_csv_file_that_lists_no_images_is_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(RunError, match=words):
        take_inventory(tmp_path / "list.csv")


# --- documentation ----------------------------------------------------------------------------------------------------


def test_every_kind_of_defect_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "check-data.md"
    text = page.read_text(encoding="utf-8")
    for kind, (severity, meaning) in KINDS.items():
        assert f"| `{kind}` | {severity} | {meaning} |" in text


def test_identical_means_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"")
    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.uint8))
    (facts,) = inspect_all([tmp_path / "a.npy"])
    assert facts.digest == hashlib.sha256((tmp_path / "a.npy").read_bytes()).hexdigest()
