"""A small clean image folder, and a ruined one with one or more of every kind of defect.

python -m tests.data.ruin FOLDER writes the ruined one, to look at with `reslab data check FOLDER`.
"""

import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")
COUNTS = {"train": 24, "val": 10, "test": 10}

Places = dict[str, list[Path]]


def write_clean(folder: Path) -> Path:
    """Write train, val and test with three classes of distinct photos, and what has to be ignored."""
    generator = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for label, name in enumerate(CLASSES):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 120, (40, 48 + number % 3, 3), dtype=np.uint8)
                pixels[..., label] += 120
                Image.fromarray(pixels).save(place / f"{number:02d}.{'JPG' if number % 2 else 'jpeg'}")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "__MACOSX").mkdir()
    (folder / "train" / "ant" / "._00.jpeg").write_bytes(b"resource fork")
    return folder


def ruin_files(folder: Path) -> Places:
    """Break single files of a clean folder; return where, by kind of defect. Structure and classes stay whole."""
    places: Places = {}
    for write in (_unusable, _odd, _identical):
        for kind, paths in write(folder).items():
            places.setdefault(kind, []).extend(paths)
    return places


def ruin(folder: Path) -> Places:
    """Break everything that one folder can have broken at once; return where, by kind of defect."""
    return ruin_files(folder) | _structure(folder)


def _unusable(folder: Path) -> Places:
    ant, bee = folder / "train" / "ant", folder / "train" / "bee"
    whole = (ant / "01.JPG").read_bytes()
    places: Places = {}

    def put(kind: str, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        places.setdefault(kind, []).append(path)

    put("zero-byte", ant / "empty.jpg", b"")
    put("truncated", ant / "cut.jpg", whole[: len(whole) // 2])
    put("not-an-image", ant / "page.jpg", b"<!DOCTYPE html><html>404</html>")
    put("not-an-image", bee / "text.png", b"only text\n")
    put("not-an-image", bee / "phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    put("unsupported-format", bee / "phone.HEIC", b"\0\0\0\x18ftypheic" + bytes(64))
    put("unsupported-format", bee / "logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    put("bomb", bee / "bomb.png", huge_png(30_000))
    put("bomb", bee / "bomb.jpg", huge_jpeg(whole))
    put("damaged", bee / "flipped.png", _flipped_png(ant / "03.JPG", bee / "flipped.png"))
    Image.fromarray(np.ones((40, 48), np.float32)).save(bee / "depth.tif")
    places["unknown-range"] = [bee / "depth.tif"]
    (ant / "gone.jpg").symlink_to("nowhere.jpg")
    (ant / "itself.jpg").symlink_to("itself.jpg")
    places["missing-file"] = [ant / "gone.jpg"]
    places["unreadable"] = [ant / "itself.jpg"]
    return places


def _odd(folder: Path) -> Places:
    cat = folder / "train" / "cat"
    with Image.open(cat / "00.jpeg") as opened:
        photo = opened.convert("RGB")
    places: Places = {}

    def save(kind: str, picture: Image.Image, name: str, **options: Any) -> None:
        picture.save(cat / name, **options)
        places.setdefault(kind, []).append(cat / name)

    save("odd-mode", photo.convert("CMYK"), "print.jpg")
    save("odd-mode", photo.convert("L"), "grey.jpg")
    save("odd-format", photo.rotate(90), "old.bmp")
    save("tiny", photo.resize((9, 9)), "tiny.jpg")
    save("elongated", photo.resize((400, 40)), "banner.jpg")
    save("odd-size", photo.resize((600, 500)), "large.jpg")
    save("blank", Image.new("RGB", (48, 40), (9, 9, 9)), "blank.jpg")
    save("animated", photo.convert("P"), "moving.gif", save_all=True, append_images=[photo.rotate(5).convert("P")])
    deep = np.arange(48 * 40, dtype=np.uint16).reshape(40, 48) * 30
    save("sixteen-bit", Image.fromarray(deep), "deep.png")
    save("wrong-extension", photo.rotate(180), "really_a_png.jpg", format="PNG")
    cut_out = photo.rotate(270).convert("RGBA")
    cut_out.putalpha(Image.linear_gradient("L").resize(cut_out.size))
    save("transparent", cut_out, "cut-out.png")
    places["damaged-part"] = [cat / "overwritten.jpg"]
    content = bytearray((cat / "05.JPG").read_bytes())
    content[-200:-150] = b"\xff\xd0" * 25
    (cat / "overwritten.jpg").write_bytes(content)
    return places


def _identical(folder: Path) -> Places:
    ant, bee, val, test = (folder / part for part in ("train/ant", "train/bee", "val/ant", "test/ant"))
    copies = {
        "leakage": [(val / "00.jpeg", ant / "seen.jpeg"), (test / "01.JPG", val / "known.JPG")],
        "contradiction": [(ant / "06.jpeg", bee / "same.jpeg")],
        "duplicate": [(ant / "08.jpeg", ant / "again.jpeg")],
    }
    for pairs in copies.values():
        for source, copy in pairs:
            copy.write_bytes(source.read_bytes())
    return {kind: [path for pair in pairs for path in pair] for kind, pairs in copies.items()}


def _structure(folder: Path) -> Places:
    train, val = folder / "train", folder / "val"
    (folder / "valid").mkdir()
    (folder / "testing" / "ant").mkdir(parents=True)
    Image.effect_noise((50, 40), 60).convert("RGB").save(folder / "testing" / "ant" / "0.jpg")
    (val / "cat").rename(val / "dog")
    (train / "few").mkdir()
    Image.effect_noise((50, 40), 60).convert("RGB").save(train / "few" / "0.jpg")
    (train / "none").mkdir()
    (train / "Ant").mkdir()
    for number in range(12):
        Image.effect_noise((50, 40), 60).convert("RGB").save(train / "Ant" / f"{number}.jpg")
    (train / "space ").mkdir()
    Image.effect_noise((50, 40), 60).convert("RGB").save(train / "space " / "0.jpg")
    (train / os.fsdecode(b"latin-\xe9")).mkdir()
    (train / "bee" / os.fsdecode(b"caf\xe9.jpg")).write_bytes((train / "bee" / "07.JPG").read_bytes() + b"\n")
    (train / "cat" / "more").mkdir()
    Image.effect_noise((50, 40), 60).convert("RGB").save(train / "cat" / "more" / "1.jpg")
    (train / "cat" / "round").symlink_to(train, target_is_directory=True)
    Image.effect_noise((50, 40), 60).convert("RGB").save(train / "beside.jpg")
    (train / "cat" / "notes.txt").write_text("to do")
    (train / "cat" / "IMG_0001").write_bytes((train / "cat" / "09.JPG").read_bytes())
    for name in CLASSES:
        for path in (folder / "test" / name).iterdir():
            path.rename(folder / "test" / f"{name}{path.name}")
        (folder / "test" / name).rmdir()
    return {
        "ambiguous-split": [val, folder / "valid"], "missing-class": [val], "extra-class": [val / "dog"],
        "near-empty-class": [train / "few"], "empty-class": [train / "none"], "imbalance": [], "look-alike-class": [],
        "class-name": [], "class-coding": [], "file-name": [train / "bee" / os.fsdecode(b"caf\xe9.jpg")],
        "nested-class": [train / "cat"], "link-loop": [train / "cat" / "round"], "unclassed": [train / "beside.jpg"],
        "stray": [train / "cat" / "notes.txt"], "picture-without-suffix": [train / "cat" / "IMG_0001"],
        "flat": [folder / "test"], "unused-folder": [folder / "testing"],
        # the test images have no class any more, so that only this one is known to be in two splits
        "leakage": [val / "ant" / "00.jpeg", train / "ant" / "seen.jpeg"],
    }  # fmt: skip


def huge_png(side: int) -> bytes:
    """A PNG of some bytes that says it has side x side pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def huge_jpeg(content: bytes) -> bytes:
    """The same JPEG, saying that it has 60000 x 60000 pixels."""
    place = content.index(b"\xff\xc0") + 5  # height and width in the frame header
    return content[:place] + struct.pack(">HH", 60_000, 60_000) + content[place + 4 :]


def _flipped_png(source: Path, target: Path) -> bytes:
    with Image.open(source) as photo:
        photo.save(target)
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """What is in a folder, to see whether anything was changed: every name with its mode, time and content."""
    found: dict[str, tuple[object, ...]] = {}
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(top) / name
            facts = path.lstat()
            is_folder = path.is_dir() and not path.is_symlink()
            content = path.readlink() if path.is_symlink() else None if is_folder else path.read_bytes()
            found[str(path)] = (facts.st_mode, facts.st_mtime_ns, content)
    return found


if __name__ == "__main__":
    for kind, paths in ruin(write_clean(Path(sys.argv[1]))).items():
        print(kind, *paths)
