"""`reslab predict --explain`: a folder of heat maps, one PNG for each picture."""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import RunError, UsageError

if TYPE_CHECKING:
    from reslab.inference import BadFile, Explanation, Prediction

log = logging.getLogger(__name__)

_COMPRESSION = 3  # Pillow's 6 saves 3 % of a photo's bytes more and takes three times as long
_LONGEST_NAME = 200  # in bytes; file systems take 255, some of which the temporary name needs


class HeatFolder:
    """Where heat maps go, and under which names.

    A picture in a folder of the command keeps its place below that folder. One named by its own path keeps the path if
    it is relative and does not lead upwards, else only its name. To that, .png is added. Of two pictures that would get
    the same name (also in a file system that does not distinguish a from A) the later gets a number; a picture that
    comes twice has one heat map.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Check the folder, which is made with its first heat map.

        Args:
            folder: Where the heat maps go.
            names: The files and folders of the command, without -.

        Raises:
            UsageError: The heat maps would mix with the pictures.
        """
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--explain is {folder}, a file; name a folder, which is made if it does not exist.")
        self.folder = folder
        self._real = os.path.realpath(folder)
        for name in names:
            self._check_apart(name)
            if _is_below(self._real, os.path.realpath(name)):
                raise UsageError(
                    f"--explain is {folder}, which is inside {name}: the next prediction would take the heat maps for "
                    "pictures. Name a folder outside it."
                )
        self._waiting: deque[tuple[str, str | None]] = deque()
        self._names: dict[tuple[str, Path], Path] = {}
        self._numbers: dict[str, int] = {}

    def _check_apart(self, name: str) -> None:
        if _is_below(os.path.realpath(name), self._real):
            raise UsageError(f"--explain is {self.folder}, but {name} is in it; name a folder without pictures.")

    def watch(self, pictures: Iterable[tuple[str, str | None]]) -> Iterator[str]:
        """Note which pictures come next, for the names of their heat maps.

        Args:
            pictures: Paths, each with the folder of the command that it is in, if any.

        Yields:
            The paths.

        Raises:
            UsageError: A picture is in the folder of the heat maps.
        """
        for path, root in pictures:
            self._check_apart(path)  # a path from standard input, or a link
            self._waiting.append((path, root))
            yield path

    def write(self, answers: Iterable["Explanation | BadFile"]) -> Iterator[tuple["Prediction | BadFile", str | None]]:
        """Write the heat map of each watched picture in turn; yield the answer and the heat map's path."""
        from reslab.inference import Explanation

        for answer in answers:
            path, root = self._waiting.popleft()
            if not isinstance(answer, Explanation):
                yield answer, None
                continue
            target = self.folder / self._name(path, root)
            _write(target, answer)
            yield answer.prediction, str(target)
        if self._names:
            log.info("heat maps: %d in %s", len(self._names), self.folder)

    def _name(self, path: str, root: str | None) -> Path:
        own = Path(path)
        if root is not None:
            place = own.relative_to(root)
        else:
            place = Path(own.name) if own.is_absolute() or ".." in own.parts else own
        key = (os.path.realpath(path), place)
        if key not in self._names:
            self._names[key] = self._unused(place.with_name(_shortened(place.name)))
        return self._names[key]

    def _unused(self, place: Path) -> Path:
        base = str(place)
        number = self._numbers.get(base.casefold(), 0) + 1
        while number > 1 and f"{base}-{number}".casefold() in self._numbers:
            number += 1
        name = base if number == 1 else f"{base}-{number}"
        self._numbers[name.casefold()] = 1
        self._numbers[base.casefold()] = number
        return Path(f"{name}.png")


def _is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def _shortened(name: str) -> str:
    while len(os.fsencode(name)) > _LONGEST_NAME:
        name = name[:-1]
    return name


def _write(target: Path, explanation: "Explanation") -> None:
    """Write a panel with its captions as text too, as the font does not have all letters."""
    from PIL.PngImagePlugin import PngInfo

    from reslab.system.files import write_atomically

    texts = PngInfo()
    texts.add_itxt("Description", "; ".join(explanation.captions()))
    content = BytesIO()
    explanation.panel().save(content, "PNG", pnginfo=texts, compress_level=_COMPRESSION)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{target.parent}: cannot make the folder for a heat map: {error.strerror or error}.") from None
    write_atomically(target, content.getvalue())
