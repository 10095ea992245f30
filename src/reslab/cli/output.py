"""What commands print: tables, JSON, and predictions a row at a time."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from reslab.inference import Prediction

_WIDEST = 24  # a longer class name pushes its row to the right


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table: columns of text, then columns of numbers, which are aligned to the right.

    Args:
        title: Printed above it.
        columns: The columns' names.
        rows: A cell for each column.
        left: How many columns are text.
    """
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no width to wrap at
    table = RichTable(title=title, title_justify="left", box=box.SIMPLE if console.is_terminal else None)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # names may hold what rich takes for markup
    console.print(table)


class Rows(Protocol):
    """A way to write predictions."""

    def head(self) -> str:
        """Return what comes before the first row."""
        ...

    def row(self, prediction: "Prediction", heat_map: str | None = None) -> str:
        """Return the row of one picture, with its line end.

        Args:
            prediction: The prediction.
            heat_map: The path of the picture's heat map, if there is one.
        """
        ...


class Table:
    """Columns for people: probability and class, best first; the path comes last, as it may be long."""

    def __init__(self, class_names: tuple[str, ...], top_k: int, with_heat_maps: bool = False) -> None:
        self._width = min(max(map(len, class_names)), _WIDEST)

    def head(self) -> str:
        return ""

    def row(self, prediction: "Prediction", heat_map: str | None = None) -> str:
        answers = (f"{100 * value:5.1f} % {name:<{self._width}}" for name, value in prediction.top)
        return "  ".join([*answers, prediction.name]) + "\n"


class Csv:
    """One row for each picture: image, label, probability, label_2, probability_2, ...; heat_map if there are any."""

    def __init__(self, class_names: tuple[str, ...], top_k: int, with_heat_maps: bool = False) -> None:
        self._count = min(top_k, len(class_names))
        self._last = ["heat_map"] if with_heat_maps else []

    def head(self) -> str:
        more = [f"{name}_{number}" for number in range(2, self._count + 1) for name in ("label", "probability")]
        return _csv_line(["image", "label", "probability", *more, *self._last])

    def row(self, prediction: "Prediction", heat_map: str | None = None) -> str:
        cells = [cell for name, value in prediction.top for cell in (name, f"{value:.6f}")]
        return _csv_line([prediction.name, *cells, *([] if heat_map is None else [heat_map])])


class JsonLines:
    """One ASCII object for each picture: image, label, probability, top (all classes asked for), heat_map if any."""

    def __init__(self, class_names: tuple[str, ...], top_k: int, with_heat_maps: bool = False) -> None: ...

    def head(self) -> str:
        return ""

    def row(self, prediction: "Prediction", heat_map: str | None = None) -> str:
        values = {
            "image": prediction.name,
            "label": prediction.label,
            "probability": _finite(prediction.probability),
            "top": [{"label": name, "probability": _finite(value)} for name, value in prediction.top],
        }
        return json.dumps(values if heat_map is None else {**values, "heat_map": heat_map}) + "\n"


def _finite(value: float) -> float | None:
    """Return the value, or None for a network whose logits overflow: JSON has no NaN."""
    return value if math.isfinite(value) else None


FORMATS: dict[str, type[Table] | type[Csv] | type[JsonLines]] = {"table": Table, "csv": Csv, "json": JsonLines}


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
