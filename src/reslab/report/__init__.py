"""Pages and pictures of runs; needs the extra `report` (matplotlib, Jinja2)."""

from .compare import Comparison, compare, save_figure, write_comparison
from .page import write_report

__all__ = ["Comparison", "compare", "save_figure", "write_comparison", "write_report"]
