"""All checks of a set of images; nothing is deleted or changed."""

from collections.abc import Callable

from reslab.data.sources.inventory import Inventory

from .file_facts import inspect_all
from .files import find_bad, find_identical, find_odd
from .findings import KINDS, Finding
from .structure import check_strays, check_structure


def check_images(
    inventory: Inventory, *, num_threads: int | None = None, on_file: Callable[[], None] | None = None
) -> list[Finding]:
    """Read and decode every file of a set of images and list its defects.

    Args:
        inventory: The set, from `reslab.data.sources.image_list.take_inventory`.
        num_threads: Threads that read and decode; None: as many as suits the machine.
        on_file: Called after each file, for progress.

    Returns:
        The defects, errors first, in the order of `KINDS`; empty for a clean set.
    """
    paths = (item.path for item in inventory.items)
    facts = list(inspect_all(paths, is_thorough=True, num_threads=num_threads, on_file=on_file))
    inspected = list(zip(inventory.items, facts, strict=True))
    findings = check_structure(inventory) + check_strays(inventory)
    findings += find_bad(inspected) + find_odd(inspected) + find_identical(inspected)
    order = list(KINDS)
    return sorted(findings, key=lambda finding: (finding.severity != "error", order.index(finding.kind)))
