"""Plant wrong labels and near-duplicates in a copy of a folder of photos, and count those that a report lists.

python -m benchmarks.planted_labels RUN FOLDER writes results/bench/planted.json. RUN was trained on FOLDER/train, and
its model has not seen FOLDER/val, the part that is spoiled and judged.
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

SHARE = 0.02  # fraction of val's photos that get a wrong label; as many altered copies of training photos are added
SEEDS = (0, 1, 2)
SPLIT = "val"
RESULT = Path(__file__).parents[1] / "results" / "bench" / "planted.json"


def brighter(photo: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(1.1)


def smaller(photo: Image.Image) -> Image.Image:
    return photo.resize((round(0.9 * photo.width), round(0.9 * photo.height)))


def cropped(photo: Image.Image) -> Image.Image:
    """Cut off 5 % of each side, unevenly."""
    return photo.crop((round(0.02 * photo.width), 0, round(0.97 * photo.width), round(0.95 * photo.height)))


def everything(photo: Image.Image) -> Image.Image:
    return ImageOps.mirror(brighter(smaller(cropped(photo))))


COPIES: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda photo: photo, smaller, brighter, cropped, ImageOps.mirror, everything,
)  # fmt: skip


def plant(source: Path, target: Path, seed: int) -> tuple[set[str], dict[str, str]]:
    """Copy a folder and spoil the copy's val.

    Args:
        source: A folder with train and val.
        target: Where to copy it.
        seed: Seed of the choice of photos.

    Returns:
        The photos with a wrong label, and the altered copies with their originals, each as CLASS/FILE.
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
    """Move a photo into the folder of a random other class; the old class in its name keeps names unique."""
    others = sorted(folder for folder in photo.parent.parent.iterdir() if folder != photo.parent)
    return _name(photo.rename(draw.choice(others) / f"{photo.parent.name}-{photo.name}"))


def _copy(original: Path, target: Path, number: int) -> tuple[str, str]:
    copy = target / SPLIT / original.parent.name / f"copy-{original.stem}.jpg"
    with Image.open(original) as photo:
        COPIES[number % len(COPIES)](photo.convert("RGB")).save(copy, quality=60)
    return _name(copy), _name(original)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def shares_found(judgement: dict[str, Any], wrong: set[str], copies: dict[str, str]) -> dict[str, float]:
    """Return the fractions of the planted photos that a report lists; a copy counts only with its original."""
    suspects = {row["name"] for row in judgement["suspects"]}
    pairs = {row["name"]: row["match_name"] for row in judgement["duplicates"]}
    return {
        "wrong_labels": len(wrong & suspects) / len(wrong),
        "near_duplicates": sum(pairs.get(copy) == original for copy, original in copies.items()) / len(copies),
    }


def judge_spoiled(run: Path, source: Path, seed: int, folder: Path) -> dict[str, Any]:
    """Spoil a copy of the data, judge a copy of the run by `reslab report`, and count."""
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
    """Judge one run with every seed and write the result."""
    run, source = map(Path, words)
    runs = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(judge_spoiled(run, source, seed, Path(folder)))
            print(json.dumps(runs[-1]), flush=True)
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "data": source.name,
        "split": SPLIT,
        "share": SHARE,
        "model": json.loads((run / "config.json").read_text())["recipe"],
        "environment": asdict(collect_environment()),
        "runs": runs,
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
