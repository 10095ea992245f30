"""The optional packages that some commands need."""

from reslab.errors import RunError


def need_report_extra() -> None:
    """Check that the packages for pages and figures are installed.

    Raises:
        RunError: One is missing; the message names the command that installs it.
    """
    try:
        import jinja2
        import matplotlib
        import scipy  # noqa: F401
    except ImportError as error:
        raise RunError(f"{error.name} is not installed; pages and figures need: pip install 'reslab[report]'") from None
    del jinja2, matplotlib
