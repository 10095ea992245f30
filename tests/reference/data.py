"""The photos that both trees read: of imagenette where RESLAB_DATA holds it, else drawn by a generator."""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("apple", "bell", "chair", "drum", "engine", "fish", "goose", "horn", "iron", "jar")
_OF_EACH = 20
_SIDE = 128


def make_photos(folder: Path) -> None:
    """Make photos/CLASS/*.jpg, 200 in ten classes, and parts/, some of them in train and val with two bad files."""
    photos = folder / "photos"
    root = os.environ.get("RESLAB_DATA")
    source = Path(root, "imagenette-128", "train") if root else None
    for number, name in enumerate(CLASSES):
        (photos / name).mkdir(parents=True)
        if source is not None and source.is_dir():
            _copy(sorted(source.iterdir())[number], photos / name)
        else:
            _draw(number, photos / name)
    _make_parts(photos, folder / "parts")


def _copy(source: Path, folder: Path) -> None:
    for number, path in enumerate(sorted(source.iterdir())[:_OF_EACH]):
        shutil.copyfile(path, folder / f"{number:02d}.jpg")


def _draw(label: int, folder: Path) -> None:
    """Draw coloured stripes with noise: the class decides the colour and the direction."""
    random = np.random.default_rng(label)
    across, down = np.meshgrid(np.arange(_SIDE), np.arange(_SIDE))
    for number in range(_OF_EACH):
        angle = np.pi * label / len(CLASSES) + random.normal(0, 0.1)
        wave = np.sin((across * np.cos(angle) + down * np.sin(angle)) / random.uniform(4, 12))
        color = np.roll([200.0, 120.0, 60.0], label % 3)
        pixels = color + 50 * wave[:, :, None] + random.normal(0, 20, (_SIDE, _SIDE, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number:02d}.jpg", quality=90)


def _make_parts(photos: Path, parts: Path) -> None:
    for name in CLASSES[:3]:
        for part, numbers in (("train", range(12)), ("val", range(12, 16))):
            (parts / part / name).mkdir(parents=True)
            for number in numbers:
                shutil.copyfile(photos / name / f"{number:02d}.jpg", parts / part / name / f"{number:02d}.jpg")
    (parts / "train" / "apple" / "empty.jpg").write_bytes(b"")
    cut = (photos / "bell" / "00.jpg").read_bytes()
    (parts / "train" / "bell" / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    shutil.copyfile(photos / "chair" / "12.jpg", parts / "train" / "chair" / "known.jpg")  # in val too
