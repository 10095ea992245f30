"""What is wrong with a set of images: every defect by name and place; nothing is deleted, nothing is changed."""

from collections.abc import Callable

from reslab.data.sources.inventory import Inventory

from .file_facts import inspect_all
from .files import find_bad, find_identical, find_odd
from .findings import KINDS, Finding
from .structure import check_strays, check_structure


def check(
    inventory: Inventory, *, num_threads: int | None = None, on_file: Callable[[], None] | None = None
) -> list[Finding]:
    """Read and decode every file and return what is wrong, errors first, kinds together; empty for a clean set.

    on_file: called after each file, for progress.
    """
    paths = (item.path for item in inventory.items)
    facts = list(inspect_all(paths, is_thorough=True, num_threads=num_threads, on_file=on_file))
    found = list(zip(inventory.items, facts, strict=True))
    findings = check_structure(inventory) + check_strays(inventory)
    findings += find_bad(found) + find_odd(found) + find_identical(found)
    order = list(KINDS)
    return sorted(findings, key=lambda finding: (finding.severity != "error", order.index(finding.kind)))
