"""Record every use of a run's test set; warn from the second use on."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import RunError
from reslab.system.files import sha256_of

if TYPE_CHECKING:
    from reslab.evaluation import Scores

log = logging.getLogger("reslab.cli")


def note_test_use(model_path: Path, scores: "Scores", command: str) -> None:
    """Record that the test set was used, if the model file lies in a run folder; a run that others own stays as it is.

    Args:
        model_path: The model file.
        scores: What it scored on the test set.
        command: What was typed.
    """
    from reslab.artifacts.documents import TestUse
    from reslab.artifacts.run_folder import RunFolder

    folder = RunFolder(model_path.parent)
    if model_path.resolve() != folder.model_path.resolve() or not (folder.path / "config.json").is_file():
        return
    use = TestUse(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        command=command,
        model=sha256_of(model_path),
        protocol=scores.protocol,
        wrong=scores.wrong,
        total=scores.total,
        error=scores.error,
    )
    try:
        count = folder.add_test_use(use)
    except (RunError, OSError) as error:
        log.warning("this use of the test set is not recorded: %s", error)
        return
    if count > 1:
        log.warning(
            "the test set of %s is used for the %s time (test_uses.json lists all uses). It cannot judge what you "
            "select by it: select on the validation split.", folder.path, _ordinal(count),
        )  # fmt: skip


def _ordinal(count: int) -> str:
    ending = "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"
