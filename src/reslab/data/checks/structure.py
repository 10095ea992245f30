"""Checks of splits, classes and names that need not open the files."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from reslab.data.sources.inventory import Inventory
from reslab.errors import counted, first_few

from .findings import Finding

NEAR_EMPTY = 10  # images of a class in training
IMBALANCE = 10  # times as many images in the largest class as in the smallest

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")


def check_structure(inventory: Inventory) -> list[Finding]:
    """List defects of splits, classes and names; loading a folder refuses the errors among them.

    Args:
        inventory: The set of images.

    Returns:
        The defects, those that the inventory noted first.
    """
    findings = list(inventory.findings)
    for check in (_class_lists, _class_names, _class_sizes, _file_names):
        findings += check(inventory)
    return findings


def check_strays(inventory: Inventory) -> list[Finding]:
    """List unused files, and tell from their first bytes which of them are images.

    Args:
        inventory: The set of images.

    Returns:
        One finding for each file; none for a CSV file.
    """
    if inventory.layout == "csv":
        return []
    pictures = [path for path in inventory.strays if _begins_as_a_picture(path)]
    others = sorted(set(inventory.strays) - set(pictures))
    defects = [("picture-without-suffix", path, "is an image, but not by its name") for path in pictures]
    defects += [("stray", path, "is not used") for path in others]
    return [Finding(kind, f"{path}: {text}.", (path,)) for kind, path, text in defects]


def _begins_as_a_picture(path: Path) -> bool:
    if not path.is_file():  # a pipe would never end
        return False
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start.startswith(_MAGIC) or (start[:4], start[8:12]) == (b"RIFF", b"WEBP")


def _split_name(split: str) -> str:
    return "the folder" if split == "all" else split


def _class_lists(inventory: Inventory) -> Iterator[Finding]:
    """Compare each split's classes with training's; a split without class folders is a finding already."""
    expected = set(inventory.class_names)
    flat = {path for finding in inventory.findings if finding.kind == "flat" for path in finding.paths}
    for split, names in inventory.classes.items():
        if not names and flat:
            continue
        folder = inventory.split_folders.get(split)
        where = folder or split
        if missing := sorted(expected - set(names)):
            yield Finding(
                "missing-class",
                f"{where} has no class {first_few(map(repr, missing))}, which train has.",
                (folder,) if folder else (),
            )
        if extra := sorted(set(names) - expected):
            places = tuple(folder / name for name in extra) if folder else ()
            text = f"{where} has class {first_few(map(repr, extra))}, which train does not have."
            yield Finding("extra-class", text, places)
    where = inventory.split_folders.get("train", inventory.root)
    if len(expected) < 2 and where not in flat:
        unit = "class" if inventory.layout == "csv" else "class folder"
        text = f"{where}: has {counted(len(expected), unit)}; a classifier needs at least 2."
        yield Finding("too-few-classes", text, (where,))


def _class_names(inventory: Inventory) -> Iterator[Finding]:
    names = sorted({name for classes in inventory.classes.values() for name in classes})
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[unicodedata.normalize("NFKC", name).strip().casefold()].append(name)
        if not _is_unicode(name):
            yield Finding("class-coding", f"class {name!r} has a name that is not valid Unicode; rename it.")
        elif name != name.strip():
            yield Finding("class-name", f"class {name!r} begins or ends with a space.")
    for same in alike.values():
        if len(same) > 1:
            escaped = ", ".join(ascii(name) for name in same)  # the names look the same otherwise
            yield Finding("look-alike-class", f"{escaped} are different classes.")


def _class_sizes(inventory: Inventory) -> Iterator[Finding]:
    for split, names in inventory.classes.items():
        counts = Counter(item.label for item in inventory.of_split(split))
        for name in names:
            if not counts[name]:
                folder = _class_folder(inventory, split, name)
                yield Finding("empty-class", f"{folder or name}: has no images.", (folder,) if folder else ())
            elif counts[name] < NEAR_EMPTY and split in ("train", "all"):
                folder = _class_folder(inventory, split, name)
                text = f"{folder or name}: has {counted(counts[name], 'image')}, too few to learn from."
                yield Finding("near-empty-class", text, (folder,) if folder else ())
        sizes = counts.most_common()
        if split in ("train", "all") and sizes and sizes[0][1] > IMBALANCE * sizes[-1][1]:
            (largest, most), (smallest, fewest) = sizes[0], sizes[-1]
            text = f"{_split_name(split)}: {most} images of {largest!r}, but only {fewest} of {smallest!r}."
            yield Finding("imbalance", text)


def _class_folder(inventory: Inventory, split: str, name: str) -> Path | None:
    if inventory.layout == "csv":
        return None
    return inventory.split_folders[split] / name


def _file_names(inventory: Inventory) -> Iterator[Finding]:
    for item in inventory.items:
        if not _is_unicode(str(item.path.name)):
            yield Finding("file-name", f"{item.path}: the name is not valid Unicode.", (item.path,))


def _is_unicode(name: str) -> bool:
    # bytes that are not UTF-8 come from the system as lone surrogates
    return not any("\udc80" <= letter <= "\udcff" for letter in name)
