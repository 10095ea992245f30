"""`reslab predict`."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import Parameter

from reslab.cli.heatmaps import HeatFolder
from reslab.cli.model_args import model_path
from reslab.cli.output import FORMATS, Rows
from reslab.cli.types import HEAT_MAPS, MODEL, OUTPUT, VIEWS, WholeNumber
from reslab.errors import RunError, UsageError, check_choice, did_you_mean

if TYPE_CHECKING:
    from reslab.inference import BadFile, Explainer, Prediction, Predictor

_STDIN = "-"
_AS_TRAINED = "fp32"
_OPTIONS = (
    "--top-k", "--format", "--output", "--engine", "--batch-size", "--resize-mode", "--explain", "--explain-class",
)  # fmt: skip


def predict(
    model: Path,
    /,
    *images: Annotated[str, Parameter(allow_leading_hyphen=True)],  # for -, which else would be an option
    engine: Annotated[str, Parameter(group=MODEL)] = _AS_TRAINED,
    batch_size: Annotated[WholeNumber, Parameter(group=MODEL)] = 32,
    resize_mode: Annotated[Literal["crop", "letterbox", "squash"] | None, Parameter(group=VIEWS)] = None,
    top_k: Annotated[WholeNumber, Parameter(group=OUTPUT)] = 5,
    format: Annotated[Literal["table", "csv", "json"], Parameter(group=OUTPUT)] = "table",
    output: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    explain: Annotated[Path | None, Parameter(group=HEAT_MAPS)] = None,
    explain_class: Annotated[str | None, Parameter(group=HEAT_MAPS)] = None,
) -> int:
    """Print the most probable classes of each picture, in the order in which the pictures are given.

    Files that cannot be read are reported and skipped; the exit code is then 1.

    Args:
        model: A model file, or the folder of a finished run.
        images: Image files, folders (all image files below them), or '-' to read paths from standard input, one on each
            line.
        engine: The engine that runs the network: fp32 is torch in float32; auto is the fastest engine on this machine
            whose top classes agree with fp32's.
        batch_size: How many pictures go through the network together.
        resize_mode: How pictures become squares: crop the centre, letterbox or squash; by default as the model file
            says.
        top_k: How many classes to print for each picture.
        format: A table, CSV, or JSON lines (an object for each picture).
        output: Write to this file instead of printing; the file appears when everything is done.
        explain: Write heat maps to this folder: for each picture, a PNG of what the network saw, coloured where it
            found evidence for the predicted class. CSV and JSON give the PNG's path as heat_map. Existing files are
            replaced.
        explain_class: Make the heat maps for this class instead of the predicted one.
    """
    if not images:
        raise UsageError("nothing to predict: name images, folders, or - to read paths from standard input.")
    if wrong := next((name for name in images if name.startswith("-") and name != _STDIN), None):
        raise UsageError(
            f"{wrong} is not an option of predict.{did_you_mean(wrong, _OPTIONS)} If it is a file: ./{wrong}"
        )
    heat = _heat_folder(explain, explain_class, engine, images)
    classifier = _load(model_path(model), engine, batch_size)
    bad = _BadFiles()
    pictures, total = _pictures(images, bad.on_error)
    if heat is None:
        plain = classifier.predict_files(
            (path for path, _ in pictures), top_k=top_k, batch_size=batch_size, resize_mode=resize_mode
        )
        answers = ((answer, None) for answer in plain)
    else:
        explained = cast("Explainer", classifier).explain_files(
            heat.watch(pictures), class_name=explain_class, top_k=top_k, batch_size=batch_size, resize_mode=resize_mode
        )
        answers = heat.write(explained)
    count = _write(answers, FORMATS[format](classifier.class_names, top_k, heat is not None), total, output, bad)
    if bad.count:
        print(f"reslab: {bad.count} of {bad.count + count} pictures could not be read.", file=sys.stderr)
    return 1 if bad.count else 0


def _heat_folder(
    explain: Path | None, explain_class: str | None, engine: str, images: tuple[str, ...]
) -> HeatFolder | None:
    if explain is None:
        if explain_class is not None:
            raise UsageError(f"--explain-class {explain_class} needs a folder for the heat maps: --explain FOLDER")
        return None
    if engine != _AS_TRAINED:
        raise UsageError(f"--explain needs gradients, which --engine {engine} does not compute; leave out --engine.")
    return HeatFolder(explain, [name for name in images if name != _STDIN])


def _load(path: Path, engine: str, batch_size: int) -> "Explainer | Predictor":
    import logging

    from reslab.engines.hardware import pick_device
    from reslab.engines.inference import MAKERS
    from reslab.inference import load

    check_choice("--engine", engine, (_AS_TRAINED, "auto", *MAKERS))
    runs_on_cpu = engine in ("onnxruntime", "openvino")  # even next to a GPU
    device = pick_device("cpu" if runs_on_cpu else "auto")
    if engine == _AS_TRAINED:
        return load(path, device=device)
    if batch_size < 1:
        raise UsageError(f"--batch-size is {batch_size}; allowed: 1 or more.")
    predictor = load(path, engine=engine, batch_size=batch_size, device=device)
    logging.getLogger(__name__).info("engine: %s", predictor)
    return predictor


class _BadFiles:
    """Reports files that cannot be read as they come, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def on_one(self, reason: str) -> None:
        self.count += 1
        print(f"reslab: {reason}", file=sys.stderr, flush=True)

    def on_error(self, error: OSError) -> None:
        self.on_one(f"{error.filename}: cannot be opened ({error.strerror}).")


# --- what to predict --------------------------------------------------------------------------------------------------


_Picture = tuple[str, str | None]  # its path, and the folder of the command that it lies in


def _pictures(names: tuple[str, ...], on_error: Callable[[OSError], None]) -> tuple[Iterator[_Picture], int | None]:
    """Return the pictures and their number, None where some come from standard input.

    Raises:
        RunError: A folder holds no images.
    """
    if _STDIN in names:
        return _each(names, on_error), None
    pictures = list(_each(names, on_error))
    return iter(pictures), len(pictures)


def _each(names: tuple[str, ...], on_error: Callable[[OSError], None]) -> Iterator[_Picture]:
    from reslab.data.sources.image_files import is_folder, walk_images

    for name in names:
        if name == _STDIN:
            yield from ((line, None) for line in _lines())
        elif is_folder(name):
            is_empty = True
            for path in walk_images(name, on_error):
                is_empty = False
                yield path, name
            if is_empty:
                raise RunError(f"{name}: holds no image files (by their suffixes: .jpg, .png, .npy, ...).")
        else:
            yield name, None


def _lines() -> Iterator[str]:
    for line in sys.stdin.buffer:
        name = line.rstrip(b"\r\n")
        if name:
            yield os.fsdecode(name)


# --- where the answers go ---------------------------------------------------------------------------------------------


def _write(
    answers: Iterator[tuple["Prediction | BadFile", str | None]],
    rows: Rows,
    total: int | None,
    output: Path | None,
    bad: _BadFiles,
) -> int:
    """Write a row for each prediction, in order, with its heat map's path; return their number."""
    from reslab.inference import BadFile
    from reslab.system.files import open_atomically
    from reslab.system.progress import Count

    count = 0
    out = sys.stdout  # before a bar starts: it replaces sys.stdout, and would print the rows on standard error
    with ExitStack() as stack:
        file = stack.enter_context(open_atomically(output)) if output is not None else None
        # on a terminal, the rows themselves show the progress
        progress = None if file is None and out.isatty() else stack.enter_context(Count("predicting", total))

        def put(text: str) -> None:
            if file is not None:
                file.write(text.encode(errors="backslashreplace"))
            else:
                encoding = out.encoding or "utf-8"  # which may not have all characters of a name
                out.write(text.encode(encoding, "backslashreplace").decode(encoding))

        put(rows.head())
        for answer, heat_map in answers:
            if progress is not None:
                progress.advance()
            if isinstance(answer, BadFile):
                bad.on_one(answer.reason)
                continue
            count += 1
            put(rows.row(answer, heat_map))
        if count == 0 and bad.count == 0:  # so that no empty file is left behind
            raise RunError("nothing to predict: no path came from standard input.")
    return count
