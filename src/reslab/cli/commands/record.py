"""`reslab record`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def record(
    run: Path,
    *,
    results: Path = Path("results"),
    replace: Annotated[bool, Parameter(negative=())] = False,
    model: bool = True,
) -> int:
    """Write a finished run as results/RECIPE/SEED.json, and a small network's model file beside it.

    A run on image files (the recipe folder, say) is named by its data too: results/RECIPE-DATA/SEED.json.

    Parameters
    ----------
    run
        The run folder.
    results
        The folder of all records.
    replace
        Overwrite another record of the same name.
    model
        Put a small network's model file beside the record.
    """
    from reslab.artifacts.run_folder import RunFolder
    from reslab.runs.record import record_run

    print(record_run(RunFolder.open(run), results, overwrite=replace, with_model=model))
    return 0
