"""Tables on standard output: aligned on a terminal and in a pipe, never cut off."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table whose first `left` columns are text and whose others are numbers, aligned to the right."""
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no width to wrap at
    table = Table(title=title, title_justify="left", box=box.SIMPLE if console.is_terminal else None)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # names may hold what rich takes for markup
    console.print(table)
