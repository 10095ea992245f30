"""Two versions of one file compared by what they hold: tensors, numbers, words, pictures."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from tests.reference.comparison import Comparison
from tests.reference.documents import compare_csv, compare_json, compare_json_lines, compare_toml
from tests.reference.page_comparison import compare_page, compare_svg
from tests.reference.renamed import Renames
from tests.reference.tensors import compare_safetensors
from tests.reference.texts import compare_printed


def compare_files(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    """Compare one file of the reference with today's.

    Args:
        old: The reference's.
        new: Today's.
        name: Its path in the output folder, for the tables and the kind of file.
        renames: What is called otherwise.
    """
    kind = _KINDS.get(Path(name).suffix, _compare_bytes)
    if Path(name).name == "SHA256SUMS":
        kind = _compare_sums
    return kind(old, new, name, renames)


def _compare_picture(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    pixels = []
    for path in (old, new):
        with Image.open(path) as image:
            pixels.append((image.size, image.mode, image.tobytes()))
    return Comparison(name, 1, () if pixels[0] == pixels[1] else ("pixels differ",))


def _compare_sums(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    """Names only: a checkpoint's state holds seconds."""
    names = [sorted(line.split()[-1] for line in path.read_text().splitlines()) for path in (old, new)]
    return Comparison(name, len(names[0]), () if names[0] == names[1] else (f"names: {names[0]} and {names[1]}",))


def _compare_bytes(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    return Comparison(name, 1, () if old.read_bytes() == new.read_bytes() else ("bytes differ",))


_KINDS: dict[str, Callable[[Path, Path, str, Renames], Comparison]] = {
    ".csv": compare_csv,
    ".html": compare_page,
    ".json": compare_json,
    ".jsonl": compare_json_lines,
    ".png": _compare_picture,
    ".safetensors": compare_safetensors,
    ".svg": compare_svg,
    ".toml": compare_toml,
    ".txt": compare_printed,
}
