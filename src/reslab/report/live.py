"""The report of a run in progress, rewritten while it trains."""

import logging
import time
from pathlib import Path

from torch import Tensor

from reslab.artifacts.metrics_log import MetricsRow
from reslab.artifacts.run_folder import RunFolder
from reslab.errors import RunError

from .run_page import RELOAD_SECONDS, write_report

log = logging.getLogger(__name__)

_MOST_OF_THE_TIME = 0.02  # that writing pages may take of a training


class LiveReport:
    """An observer of a training that writes its `report.html` when there are new numbers.

    Not more often than the page reloads itself, and never for more than 2 % of the time. A page that cannot be
    written causes one warning and stops nothing.
    """

    def __init__(self, path: Path) -> None:
        self._folder = RunFolder(path)
        self._next = 0.0
        self._has_failed = False

    def on_step(self, step: int, loss: Tensor) -> None:
        """Do nothing: a page shows windows of steps."""

    def on_row(self, row: MetricsRow) -> None:
        """Write the page, unless it was written a moment ago."""
        start = time.monotonic()
        if start < self._next or self._has_failed:
            return
        try:
            write_report(self._folder)
        except (RunError, OSError) as error:
            self._has_failed = True
            log.warning("no report while the run goes on: %s", error)
        end = time.monotonic()
        self._next = end + max(RELOAD_SECONDS, (end - start) / _MOST_OF_THE_TIME)
