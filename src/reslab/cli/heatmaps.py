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

    A picture below a given folder keeps its place in it; one given by its own path keeps that path if it is relative
    and leads nowhere above, else only its name. To that, .png is added. Of two pictures that would get one name (also
    in a file system that takes a and A for one) the later gets a number; one picture that comes to one
    name twice has one heat map.
    """

    def __init__(self, folder: Path, given: Sequence[str]) -> None:
        """given: the files and folders on the command line, without -; UsageError where heat maps would mix with them.

        The folder is made with its first heat map.
        """
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--explain {folder}: is a file; give a folder, which is made if there is none.")
        self.folder = folder
        self._real = os.path.realpath(folder)
        for name in given:
            self._check_apart(name)
            if _is_below(self._real, os.path.realpath(name)):
                raise UsageError(
                    f"--explain {folder}: lies in {name}, whose next prediction would take heat maps for pictures; "
                    "give a folder outside."
                )
        self._waiting: deque[tuple[str, str | None]] = deque()
        self._names: dict[tuple[str, Path], Path] = {}
        self._numbers: dict[str, int] = {}

    def _check_apart(self, name: str) -> None:
        if _is_below(os.path.realpath(name), self._real):
            raise UsageError(
                f"--explain {self.folder}: {name} lies in it, where heat maps are; give a folder without pictures."
            )

    def watch(self, pictures: Iterable[tuple[str, str | None]]) -> Iterator[str]:
        """Yield the paths of pictures that come with the folder they were found in; UsageError as in the beginning."""
        for path, root in pictures:
            self._check_apart(path)  # what comes from standard input, or by a link
            self._waiting.append((path, root))
            yield path

    def write(self, answers: Iterable["Explanation | BadFile"]) -> Iterator[tuple["Prediction | BadFile", str | None]]:
        """Write the heat map of each of the watched pictures in turn; yield the answer and the heat map's path."""
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
    """Write a panel; its captions are in it as text too, as the font has not all letters."""
    from PIL.PngImagePlugin import PngInfo

    from reslab.system.files import write_atomically

    texts = PngInfo()
    texts.add_itxt("Description", "; ".join(explanation.captions()))
    content = BytesIO()
    explanation.panel().save(content, "PNG", pnginfo=texts, compress_level=_COMPRESSION)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{target.parent}: cannot be made for a heat map: {error.strerror or error}.") from None
    write_atomically(target, content.getvalue())
