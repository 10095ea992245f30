"""What a run's report says of its images: counts by reason and by class, and nothing of where they lay."""

import json
import shutil
from pathlib import Path

import pytest

from reslab.artifacts.run_folder import RunFolder
from reslab.data.sources.image_list import write_list
from reslab.report import write_report
from reslab.report.skipped import class_sizes, left_out

HEADER = ("path", "split", "reason")


@pytest.fixture
def finished(digits_run: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(digits_run, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


def _skip(folder: RunFolder, *rows: tuple[str, str, str]) -> None:
    folder.skipped_path.write_bytes(write_list(rows, HEADER))


def test_images_are_counted_by_reason_and_copies_by_the_split_they_are_in(finished: RunFolder) -> None:
    _skip(
        finished,
        ("train/ant/1.jpg", "train", "truncated (12 bytes not processed)"),
        ("train/ant/2.jpg", "train", "has no bytes"),
        ("train/ant/3.jpg", "train", "truncated (7 bytes not processed)"),
        ("train/ant/4.jpg", "train", "the same image is in test: /data/photos/test/ant/9.jpg"),
        ("val/ant/5.jpg", "validation", "the same image is in test: /data/photos/test/ant/8.jpg"),
        ("train/ant/6.jpg", "train", "the same image is in test: /data/photos/test/ant/9.jpg"),
        ("train/ant/7.jpg", "train", "the same image is in test: /data/photos/test/ant/9.jpg"),
        ("train/ant/8.jpg", "train", "the same image is in test: /data/photos/test/ant/9.jpg"),
    )
    found = left_out(finished, "/data/photos")
    assert found is not None
    assert [(row.split, row.reason, row.count) for row in found.reasons] == [
        ("train", "the same image is in test", 4),
        ("train", "truncated (… bytes not processed)", 2),
        ("train", "has no bytes", 1),
        ("validation", "the same image is in test", 1),
    ]
    assert found.reasons[0].named == ("train/ant/4.jpg", "train/ant/6.jpg", "train/ant/7.jpg")
    assert found.rows[4] == ("val/ant/5.jpg", "validation", "the same image is in test: test/ant/8.jpg")
    beside = left_out(finished, "/data/photos/list.csv")
    assert beside is not None
    assert beside.rows == found.rows
    text = write_report(finished).read_text()
    assert "8 of them were left out" in text
    assert "train/ant/4.jpg, train/ant/6.jpg, train/ant/7.jpg and 1 more" in text
    assert "/data" not in text


def test_hostile_names_are_text(finished: RunFolder) -> None:
    _skip(finished, ("train/<script>/\udcff,\n.jpg", "train", "has <b>no</b> bytes"))
    text = write_report(finished).read_text()
    assert "train/&lt;script&gt;/\\xff" in text
    assert "<b>no" not in text
    assert "1 of them was left out" in text


def test_a_clean_folder_is_said_to_be_clean_and_images_in_memory_are_not_spoken_of(finished: RunFolder) -> None:
    assert left_out(finished, None) is None
    assert "left out" not in write_report(finished).read_text()
    _skip(finished)
    assert "every image was read once: none was left out" in write_report(finished).read_text()


def test_the_smallest_and_the_largest_class_of_each_split_are_named(finished: RunFolder) -> None:
    rows = [("a.jpg", "ant", "train"), ("b.jpg", "bee", "train"), ("c.jpg", "bee", "train"), ("d.jpg", "ant", "test")]
    finished.split_path.write_bytes(write_list(rows))
    assert class_sizes(finished, None) == [
        "train: from 1 (ant) to 2 (bee) images of a class.",
        "test: 1 image of each class.",
    ]


def test_of_images_in_memory_the_judged_split_is_counted(finished: RunFolder) -> None:
    result = json.loads((finished.path / "result.json").read_text())
    support = [sum(row) for row in result["confusion"]]
    sentence = f"{result['reported_split']}: from {min(support)} ("
    assert sentence in write_report(finished).read_text()
