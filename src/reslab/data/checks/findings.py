"""The kinds of defect that a set of images can have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]

# name: (severity, meaning); errors make results wrong or stop a training, warnings are worth checking
KINDS: dict[str, tuple[Severity, str]] = {
    # --- structure
    "ambiguous-split": ("error", "two folders for the same split"),
    "flat": ("error", "a split's images are not in class folders, so their class is not known"),
    "unclassed": ("error", "images next to the class folders, whose class is not known"),
    "missing-class": ("error", "a split lacks classes that training has"),
    "extra-class": ("error", "a split has classes that training lacks"),
    "too-few-classes": ("error", "a classifier needs at least two classes"),
    "empty-class": ("error", "classes without images"),
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
        "folders with images next to `train` whose name is not that of a split; they are not used",
    ),
    "stray": ("warning", "files that are not images by their name; they are not used"),
    "picture-without-suffix": ("warning", "images without the suffix of an image file; they are not used"),
    # --- files that cannot be used
    "missing-file": ("error", "broken links, and rows of a CSV file whose file does not exist"),
    "unreadable": ("error", "files that cannot be opened or read"),
    "zero-byte": ("error", "files without content"),
    "not-an-image": ("error", "files that are not images, whatever their name says"),
    "unsupported-format": ("error", "images in a format that is not read"),
    "truncated": ("error", "images that are cut off"),
    "damaged": ("error", "images that cannot be decoded"),
    "bomb": ("error", "images that would fill the memory"),
    "unknown-range": ("error", "pixels whose range is not known"),
    # --- files that can be used
    "damaged-part": ("warning", "JPEGs that can be decoded but contain damaged data: a part may be grey"),
    "wrong-extension": ("warning", "files whose suffix does not match their format"),
    "odd-format": ("warning", "files in another format than nearly all others"),
    "odd-mode": ("warning", "images in another colour mode than nearly all others"),
    "sixteen-bit": ("warning", "images with 16 bits per value, of which the high 8 are used"),
    "transparent": (
        "warning",
        "pictures with transparent parts, where grey and RGB show the hidden colour; 4 channels keep the transparency",
    ),
    "animated": ("warning", "files with several frames, of which the first is used"),
    "tiny": ("warning", "images with a side of very few pixels"),
    "elongated": ("warning", "images much longer than wide or wider than long; a centre crop shows little of them"),
    "odd-size": ("warning", "images much larger or smaller than the others"),
    "blank": ("warning", "images of a single colour"),
    # --- identical files
    "leakage": ("error", "the same image in several splits"),
    "contradiction": ("warning", "the same image under several classes"),
    "duplicate": ("warning", "the same image several times"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect.

    Attributes:
        kind: A key of `KINDS`.
        text: The defect in words.
        paths: The files and folders concerned; none for a defect of a name.
    """

    kind: str
    text: str
    paths: tuple[Path, ...] = ()

    @property
    def severity(self) -> Severity:
        """Severity of the kind: "error" or "warning"."""
        return KINDS[self.kind][0]


def readable(name: str | Path) -> str:
    """Replace bytes that are not UTF-8 by escapes, so that a name can be printed.

    Args:
        name: A file name or text that contains one.

    Returns:
        The name as valid Unicode.
    """
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
