"""`reslab report`."""

from pathlib import Path

from reslab.errors import Failure


def need_report_extra() -> None:
    """Raise Failure with the command to run when the packages that draw are not installed."""
    try:
        import jinja2
        import matplotlib
        import scipy  # noqa: F401
    except ImportError as error:
        raise Failure(f"{error.name} is not installed; pages and figures need: pip install 'reslab[report]'") from None
    del jinja2, matplotlib


def report(run: Path) -> int:
    """Write a run's report.html: one self-contained file, also for a run that is still going on.

    Parameters
    ----------
    run
        The run folder.
    """
    from reslab.runfolder import RunFolder

    folder = RunFolder.open(run)
    need_report_extra()
    from reslab.report import write_report

    print(write_report(folder))
    return 0
