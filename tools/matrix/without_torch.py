"""A pytest plugin for an environment without torch: tests that need torch are skipped, all others run.

No test has to be marked: the plugin finds what needs torch by running it. Only a module that hands a program with
`import torch` to another process is found by its text.
"""

import re
from collections.abc import Iterator

import pytest

_REASON = "needs torch"


def _names_torch(error: BaseException | None) -> bool:
    """Return whether an import of torch is behind an error, or is quoted in it from another process."""
    while error is not None:
        if "No module named 'torch" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Skip a module that cannot be imported without torch."""
    report: pytest.CollectReport = yield  # type: ignore[assignment]
    if report.failed and "No module named 'torch" in str(report.longrepr):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {_REASON}")
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Skip a test whose fixtures, or whose programs for other processes, need torch."""
    if re.search(r"^\s*import torch\b", item.path.read_text(encoding="utf-8"), re.M):
        pytest.skip(_REASON)
    yield from _skipping()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip a test that needs torch."""
    yield from _skipping()


def _skipping() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if _names_torch(error):
            pytest.skip(_REASON)
        raise
