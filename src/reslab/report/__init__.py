"""Pages and pictures of runs and models; needs the extra `report` (matplotlib, Jinja2)."""

from .comparison_page import Comparison, compare, save_figure, write_comparison
from .data_page import write_data_report
from .judgement import basis_of, judge, keep_judgement, kept_judgement
from .live import LiveReport
from .model_page import write_model_report
from .run_page import write_report

__all__ = [
    "Comparison",
    "LiveReport",
    "basis_of",
    "compare",
    "judge",
    "keep_judgement",
    "kept_judgement",
    "save_figure",
    "write_comparison",
    "write_data_report",
    "write_model_report",
    "write_report",
]
