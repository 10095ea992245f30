"""The generated tables of README and docs: functions from what was measured to Markdown."""

from collections.abc import Callable
from typing import Any

from .benchmarks import (
    contest_table,
    depth_table,
    input_table,
    machine_table,
    planted_table,
    profile_table,
    read_benchmarks,
)
from .claims import differences_table
from .deeper import deeper_table, read_deeper
from .rates import rates_table, read_rates
from .records import headline_table, read_records, results_table

__all__ = ["BLOCKS", "read_benchmarks", "read_deeper", "read_rates", "read_records"]

BLOCKS: dict[str, Callable[[Any], str]] = {
    "results": results_table,
    "results-headline": headline_table,
    "differences": differences_table,
    "rates": rates_table,
    "deeper": deeper_table,
    "bench-machine": machine_table,
    "bench-cifar": contest_table("cifar"),
    "bench-photos": contest_table("photos"),
    "bench-large": contest_table("large"),
    "bench-inference": contest_table("inference"),
    "bench-depth": depth_table,
    "bench-input": input_table,
    "bench-profile": profile_table,
    "bench-planted": planted_table,
}
