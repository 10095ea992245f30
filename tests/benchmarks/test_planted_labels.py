"""Wrong labels and copies are planted only in the copy of a folder, in the right number, and counted right."""

from pathlib import Path

from benchmarks.planted_labels import SHARE, plant, shares_found
from tests.data.ruin import write_clean


def test_labels_and_copies_are_planted_in_the_copy_alone(tmp_path: Path) -> None:
    source = write_clean(tmp_path / "source")
    for folder in (source / "val").iterdir():  # 2 % of 150 are 3
        for number in range(40):
            (folder / f"more-{number}.jpg").write_bytes((folder / "01.JPG").read_bytes())
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    wrong, copies = plant(source, tmp_path / "target", seed=0)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before
    photos = {f"{path.parent.name}/{path.name}" for path in (tmp_path / "target" / "val").glob("*/*")}
    assert len(wrong) == len(copies) == round(SHARE * 150) == 3
    assert wrong | set(copies) <= photos
    assert len(photos) == 153
    assert all((tmp_path / "target" / "train" / original).is_file() for original in copies.values())
    assert plant(source, tmp_path / "again", seed=0) == (wrong, copies)


def test_a_copy_counts_only_with_its_original() -> None:
    judgement = {
        "suspects": [{"name": "ant/1.jpg"}, {"name": "ant/2.jpg"}],
        "duplicates": [{"name": "bee/copy-1.jpg", "match_name": "bee/1.jpg"},
                       {"name": "bee/copy-2.jpg", "match_name": "bee/7.jpg"}],
    }  # fmt: skip
    found = shares_found(
        judgement, {"ant/1.jpg", "cat/9.jpg"}, {"bee/copy-1.jpg": "bee/1.jpg", "bee/copy-2.jpg": "bee/2.jpg"}
    )
    assert found == {"wrong_labels": 0.5, "near_duplicates": 0.5}
