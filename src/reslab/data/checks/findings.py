"""The kinds of defect that a folder of images can have, and one defect that was found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]

# name: (severity, what it means); errors make results wrong or stop a training, warnings are worth a look
KINDS: dict[str, tuple[Severity, str]] = {
    # --- structure
    "ambiguous-split": ("error", "two folders for the same split"),
    "flat": ("error", "a split's images lie in no class folder, so that their class is not known"),
    "unclassed": ("error", "images beside the class folders, whose class is not known"),
    "missing-class": ("error", "a split lacks classes that training has"),
    "extra-class": ("error", "a split has classes that training lacks"),
    "too-few-classes": ("error", "a classifier needs at least two classes"),
    "empty-class": ("error", "classes without a single image"),
    "unreadable-folder": ("error", "folders that cannot be opened"),
    "list-row": ("error", "rows of a CSV file that cannot be used"),
    "class-coding": ("error", "class names that are not valid Unicode"),
    "near-empty-class": ("warning", "classes with very few training images"),
    "imbalance": ("warning", "classes of very different sizes"),
    "look-alike-class": ("warning", "classes whose names differ only in case, spaces or Unicode form"),
    "class-name": ("warning", "class names that begin or end with a space"),
    "nested-class": ("warning", "several sub-folders with images inside one class; they count as that class"),
    "link-loop": ("warning", "links to a folder above them; not followed"),
    "file-name": ("warning", "file names that are not valid Unicode; other programs may not find these files"),
    "unused-folder": (
        "warning",
        "folders with images beside `train` that are no split by their name; they are not used",
    ),
    "stray": ("warning", "files that are not used: no images by their name"),
    "picture-without-suffix": ("warning", "images whose name does not say so; they are not used"),
    # --- files that cannot be used
    "missing-file": ("error", "links to nothing, and rows of a CSV file that name no file"),
    "unreadable": ("error", "files that cannot be opened or read"),
    "zero-byte": ("error", "files without content"),
    "not-an-image": ("error", "files that hold no image, whatever their name says"),
    "unsupported-format": ("error", "images in a format that is not read"),
    "truncated": ("error", "images that are cut off"),
    "damaged": ("error", "images that cannot be decoded"),
    "bomb": ("error", "images that would fill the memory"),
    "unknown-range": ("error", "pixels whose range is not known"),
    # --- files that can be used
    "damaged-part": ("warning", "JPEGs that can be decoded, but with damaged data in them: a part may be grey"),
    "wrong-extension": ("warning", "files named otherwise than what they are"),
    "odd-format": ("warning", "files in another format than nearly all others"),
    "odd-mode": ("warning", "images in another colour mode than nearly all others"),
    "sixteen-bit": ("warning", "images with 16 bits for each value, of which the high 8 are used"),
    "transparent": (
        "warning",
        "pictures with transparent parts, where grey and RGB show the colour stored beneath; 4 channels show the parts",
    ),
    "animated": ("warning", "files with several frames, of which the first is used"),
    "tiny": ("warning", "images with a side of very few pixels"),
    "elongated": ("warning", "images much longer than wide, of which a centre crop shows little"),
    "odd-size": ("warning", "images much larger or smaller than the others"),
    "blank": ("warning", "images of one single colour"),
    # --- identical files
    "leakage": ("error", "the same image in several splits"),
    "contradiction": ("warning", "the same image under several classes"),
    "duplicate": ("warning", "the same image several times"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect: its kind (a key of `KINDS`), what it is in words, and where; no path where it is about a name."""

    kind: str
    text: str
    paths: tuple[Path, ...] = ()

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind][0]


def listed(names: list[str], shown: int = 5) -> str:
    """Return names for a sentence: quoted, the first few, and how many more."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(repr(name) for name in names[:shown]) + more


def readable(name: str | Path) -> str:
    """Return a name that can be printed and written as UTF-8, whatever bytes it has."""
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
