"""`reslab record`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli.model_args import check_finished
from reslab.cli.types import Switch
from reslab.errors import UsageError


def record(
    run: Path,
    /,
    *,
    results: Path = Path("results"),
    replace: Switch = False,
    model: Annotated[bool, Parameter(show_default=False)] = True,
) -> int:
    """Write a finished run as a small record, results/RECIPE/SEED.json, and copy the model file there if it is small.

    A run on image files is named by its data too: results/folder-DATA/SEED.json.

    Args:
        run: The run folder.
        results: The folder of all records.
        replace: Overwrite another record of the same name.
        model: Whether to put the model file, if it is small, next to the record.
    """
    from reslab.artifacts.run_folder import RunFolder
    from reslab.runs.record import record_run

    folder = RunFolder.open(run)
    check_finished(folder)
    try:
        print(record_run(folder, results, overwrite=replace, with_model=model))
    except UsageError as error:
        raise UsageError(f"{error} To overwrite it: --replace") from None
    return 0
