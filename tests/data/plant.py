"""Wrong labels and near-duplicates, planted in a copy of a folder of photos, and counted in what a report lists.

python -m tests.data.plant RUN FOLDER writes results/bench/planted.json. RUN was trained on FOLDER/train, and
its model has not seen FOLDER/val, which is the part that is spoiled and judged.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from reslab.engines.hardware import collect_environment

SHARE = 0.02  # of the photos of val get a wrong label; as many altered copies of training photos are added
SEEDS = (0, 1, 2)
SPLIT = "val"
RESULT = Path(__file__).parents[2] / "results" / "bench" / "planted.json"


def brighter(photo: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(1.1)


def smaller(photo: Image.Image) -> Image.Image:
    return photo.resize((round(0.9 * photo.width), round(0.9 * photo.height)))


def cropped(photo: Image.Image) -> Image.Image:
    """5 % off, not evenly."""
    return photo.crop((round(0.02 * photo.width), 0, round(0.97 * photo.width), round(0.95 * photo.height)))


def everything(photo: Image.Image) -> Image.Image:
    return ImageOps.mirror(brighter(smaller(cropped(photo))))


COPIES: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda photo: photo, smaller, brighter, cropped, ImageOps.mirror, everything,
)  # fmt: skip


def plant(source: Path, target: Path, seed: int) -> tuple[set[str], dict[str, str]]:
    """Copy `source` to `target` and spoil its val there.

    Returns the photos with a wrong label, and the altered copies with their originals: class folder and file name.
    """
    copytree(source, target)
    draw = random.Random(seed)
    photos = sorted(path for path in (target / SPLIT).glob("*/*"))
    count = round(SHARE * len(photos))
    originals = draw.sample(sorted((target / "train").glob("*/*")), count)
    return {_mislabel(photo, draw) for photo in draw.sample(photos, count)}, dict(
        _copy(original, target, number) for number, original in enumerate(originals)
    )


def _mislabel(photo: Path, draw: random.Random) -> str:
    """Move a photo into the folder of another class, each as likely; return its new name."""
    others = sorted(folder for folder in photo.parent.parent.iterdir() if folder != photo.parent)
    return _name(photo.rename(draw.choice(others) / f"{photo.parent.name}-{photo.name}"))  # no name is there twice


def _copy(original: Path, target: Path, number: int) -> tuple[str, str]:
    place = target / SPLIT / original.parent.name / f"copy-{original.stem}.jpg"
    with Image.open(original) as photo:
        COPIES[number % len(COPIES)](photo.convert("RGB")).save(place, quality=60)
    return _name(place), _name(original)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def shares_found(judgement: dict[str, Any], wrong: set[str], copies: dict[str, str]) -> dict[str, float]:
    """Return which part of what was planted the report's lists name; a copy only counts with its original."""
    suspects = {row["name"] for row in judgement["suspects"]}
    pairs = {row["name"]: row["match_name"] for row in judgement["duplicates"]}
    return {
        "wrong_labels": len(wrong & suspects) / len(wrong),
        "near_duplicates": sum(pairs.get(copy) == original for copy, original in copies.items()) / len(copies),
    }


def measure(run: Path, source: Path, seed: int, folder: Path) -> dict[str, Any]:
    """Plant, let `reslab report` judge a copy of the run, and count."""
    wrong, copies = plant(source, folder / source.name, seed)
    copied = folder / "run"
    copytree(run, copied, ignore=ignore_patterns("judgement.json", "checkpoints"))
    words = ["report", str(copied), "--data", str(folder / source.name), "--split", "validation"]
    subprocess.run([sys.executable, "-m", "reslab", *words], check=True)
    judgement = json.loads((copied / "judgement.json").read_text())
    scores = judgement["scores"]
    return {
        "seed": seed,
        "planted": {"wrong_labels": len(wrong), "near_duplicates": len(copies)},
        "photos": scores["total"],
        "listed": {"wrong_labels": len(judgement["suspects"]), "near_duplicates": len(judgement["duplicates"])},
        "error": scores["error"],
        "found": shares_found(judgement, wrong, copies),
    }


def main(words: Sequence[str]) -> None:
    run, source = map(Path, words)
    found = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(run, source, seed, Path(folder)))
            print(json.dumps(found[-1]), flush=True)
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "data": source.name,
        "split": SPLIT,
        "share": SHARE,
        "model": json.loads((run / "config.json").read_text())["recipe"],
        "environment": asdict(collect_environment()),
        "runs": found,
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
