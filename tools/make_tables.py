"""Write the generated blocks in README and docs from the records under results/ and the recipes.

    python tools/make_tables.py            write them anew
    python tools/make_tables.py --check    exit 1 when one is not what the records say

A block stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`; NAME is a key of BLOCKS.
"""

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from reslab.experiments.arms import SIZES
from reslab.experiments.book import Chapter, read_chapters
from reslab.recipes import DIFFERENCES, RECIPES, Recipe

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"(<!-- begin: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.S)


def read_records(results: Path) -> list[dict[str, Any]]:
    """Return all records of recipes, in the order of the recipes and seeds; not those of experiments."""
    others = ("bench", "experiments")
    paths = [path for path in sorted(results.glob("*/*.json")) if path.parent.name not in others]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    order = list(RECIPES)
    return sorted(
        found,
        key=lambda record: (
            order.index(record["recipe"]) if record["recipe"] in order else 999,
            record["dataset"]["name"],
            record["seed"],
        ),
    )


def results_table(records: list[dict[str, Any]]) -> str:
    """Return one row for each recipe, its error over the seeds beside the paper's."""
    if not records:
        return "No records yet.\n"
    columns = (
        "recipe",
        "data",
        "network",
        "seeds",
        "training error, clean",
        "test error",
        "expected",
        "protocol",
        "selection",
    )
    columns += ("iterations", "precision")
    lines = [
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
        *(_row(list(group)) for _, group in groupby(records, key=_what)),
    ]
    return "\n".join(lines) + "\n"


def _what(record: dict[str, Any]) -> tuple[str, str]:
    return record["recipe"], record["dataset"]["name"]


def _row(records: list[dict[str, Any]]) -> str:
    first = records[0]
    recipe = RECIPES.get(first["recipe"])
    cells = (
        f"`{first['recipe']}`",
        first["dataset"]["name"],
        first["network"],
        len(records),
        _errors([record["final"].get("train") for record in records]),
        _errors([record["test"] for record in records]),
        recipe.page.expected if recipe else "-",
        first["test"]["protocol"] if first["test"] else "-",
        first["selection"],
        f"{first['iterations']:,}",
        first["environment"][0]["precision"],
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _errors(counts: list[dict[str, Any] | None]) -> str:
    """Return the error with its count, or its mean and standard deviation over the seeds."""
    known = [count for count in counts if count is not None]
    if not known:
        return "-"
    errors = [100 * (count["total"] - count["correct"]) / count["total"] for count in known]
    if len(errors) > 1:
        return f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %"
    return f"{errors[0]:.2f} % ({known[0]['total'] - known[0]['correct']} of {known[0]['total']} wrong)"


# --- benchmarks -------------------------------------------------------------------------------------------------------


def read_benchmarks(results: Path) -> dict[str, Any]:
    """Return what every benchmark measured, by its name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((results / "bench").glob("*.json"))
    }


def machine_table(benchmarks: dict[str, Any]) -> str:
    """Return which machine the benchmarks ran on, and its rate of matrix products."""
    if "machine" not in benchmarks:
        return _NOT_MEASURED
    found = benchmarks["machine"]
    environment, rates = found["environment"], found["gflops"]
    cpu, packages = environment["cpu"], environment["packages"]
    return (
        f"{cpu['name']} ({', '.join(cpu['flags'])}), {environment['threads']} threads, Python {environment['python']}, "
        f"torch {packages['torch']}. Matrix product 4096^3: {rates['float32']:.0f} GFLOP/s in fp32, "
        f"{rates['bfloat16']:.0f} in bf16.\n"
    )


def contest_table(name: str) -> Callable[[dict[str, Any]], str]:
    """Return the maker of one contest's table: ratios to the first contestant, with their spread over the rounds."""

    def make(benchmarks: dict[str, Any]) -> str:
        if name not in benchmarks:
            return _NOT_MEASURED
        found = benchmarks[name]
        lines = [
            f"{found['title']}; {found['rounds']} rounds in turn.",
            "",
            "| who | what | ratio | lowest to highest |",
        ]
        lines.append("|---|---|---|---|")
        for row in found["rows"]:
            what = row["what"] + (f"; engine: {row['facts']['engine']}" if "engine" in row["facts"] else "")
            if "agreement" in row["facts"]:
                what += f"; agrees with fp32 on {100 * row['facts']['agreement']:.0f} %"
            lines.append(
                f"| {row['name']} | {what} | {row['ratio']:.2f} | {row['ratio_min']:.2f} to {row['ratio_max']:.2f} |"
            )
        return "\n".join(lines) + "\n"

    return make


def depth_table(benchmarks: dict[str, Any]) -> str:
    """Return time (relative to 20 layers) and a process's peak memory by depth, with and without checkpoints."""
    if "depth" not in benchmarks:
        return _NOT_MEASURED
    rows = benchmarks["depth"]["rows"]
    kept, recomputed = ([row for row in rows if row["checkpoint_activations"] is wanted] for wanted in (False, True))
    memory = "peak memory of the process (before the first step)"
    lines = [f"| layers | time per step and layer, to 20 layers' | {memory} | with checkpoints: {memory} | time |"]
    lines.append("|---|---|---|---|---|")
    for one, other in zip(kept, recomputed, strict=True):
        per_layer = one["seconds_per_step"] / one["depth"] / (kept[0]["seconds_per_step"] / kept[0]["depth"])
        lines.append(
            f"| {one['depth']} | {per_layer:.2f} | {_peak(one)} | {_peak(other)} "
            f"| {other['seconds_per_step'] / one['seconds_per_step']:.2f} x |"
        )
    return "\n".join(lines) + "\n"


def _peak(row: dict[str, Any]) -> str:
    return f"{row['peak_gb']:.2f} GB ({row['peak_gb_before_training']:.2f})"


def profile_table(benchmarks: dict[str, Any]) -> str:
    """Return the parts of a training step's time, and what part of the machine's matrix rate is reached."""
    if "profile" not in benchmarks:
        return _NOT_MEASURED
    rows = benchmarks["profile"]["rows"]
    parts = list(rows[0]["parts"])
    lines = ["| network | " + " | ".join(parts) + " | matrix rate: whole step | matrix rate: convolutions |"]
    lines.append("|---" * (len(parts) + 3) + "|")
    for row in rows:
        shares = " | ".join(f"{100 * row['parts'].get(part, 0):.0f} %" for part in parts)
        name = f"{row['network']}, {row['size']} px, batch {row['batch_size']}"
        reached = f"{100 * row['step_of_machine']:.0f} % | {100 * row['convolutions_of_machine']:.0f} %"
        lines.append(f"| {name} | {shares} | {reached} |")
    return "\n".join(lines) + "\n"


def input_table(benchmarks: dict[str, Any]) -> str:
    """Return the input's stages, as parts of the network's own rate."""
    if "input" not in benchmarks:
        return _NOT_MEASURED
    found = benchmarks["input"]
    lines = [f"{found['title']}.", "", "| stage | rate, to the network's alone |", "|---|---|"]
    own = found["rates"]["model"]
    lines += [f"| {name} alone | {rate / own:.2f} |" for name, rate in found["rates"].items()]
    lines += [f"| together | {found['together'] / own:.2f} |", "", f"Bottleneck: {found['bottleneck']}."]
    return "\n".join(lines) + "\n"


_NOT_MEASURED = "Not measured yet.\n"


def planted_table(benchmarks: dict[str, Any]) -> str:
    """Return which part of what was planted in a folder of photos a report lists."""
    if "planted" not in benchmarks:
        return _NOT_MEASURED
    found = benchmarks["planted"]
    lines = [
        f"{found['model']} on {found['data']}, {found['split']}: {100 * found['share']:g} % of the labels changed to "
        "another class, and as many altered copies of training photos added.",
        "",
        "| planted | seed | planted among | listed | found in the list |",
        "|---|---|---|---|---|",
    ]
    for kind, name in (("wrong_labels", "wrong labels"), ("near_duplicates", "near-duplicates")):
        for run in found["runs"]:
            lines.append(
                f"| {run['planted'][kind]} {name} | {run['seed']} | {run['photos']:,} photos | {run['listed'][kind]} | "
                f"{100 * run['found'][kind]:.0f} % |"
            )
    return "\n".join(lines) + "\n"


def verdicts_table(chapters: list[Chapter]) -> str:
    """Return one row for each claim that was run, its verdict at every size that was; for the README."""
    sizes = [size for size in SIZES if any(one.evidence.size == size for one in chapters)]
    lines = [
        "| claim | paper | " + " | ".join(f"size `{size}`" for size in sizes) + " |",
        "|---" * (2 + len(sizes)) + "|",
    ]
    for _, group in groupby(chapters, key=lambda one: one.experiment.name):
        found = {one.evidence.size: one for one in group}
        experiment = next(iter(found.values())).experiment
        outcomes = [found[size].verdict.outcome if size in found else "-" for size in sizes]
        if not any(experiment.arms(size) for size in SIZES):  # it trains nothing, so size has no say
            outcomes = [f"{next(iter(found.values())).verdict.outcome} (any size)"] * len(sizes)
        cells = [f"[{experiment.title}](docs/results/{experiment.name}.md)", experiment.source, *outcomes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def differences_table(recipes: Mapping[str, Recipe]) -> str:
    """Return where recipes differ from the paper, and which do."""
    lines = ["| what | the paper | here | why | recipes |", "|---|---|---|---|---|"]
    for one in DIFFERENCES:
        names = [name for name, found in recipes.items() if one.applies(found.make())]
        where = ", ".join(f"`{name}`" for name in _patterns(names, recipes)) if len(names) < len(recipes) else "all"
        lines.append(f"| {one.what} | {one.paper} | {one.here} | {one.why} | {where} |")
    return "\n".join(lines) + "\n"


def _patterns(names: Sequence[str], of: Iterable[str]) -> list[str]:
    """Return the names of recipes, in the widest patterns that have no other name among `of`."""
    found, left = [], list(names)
    for expression in (r"(?<=-)(plain|resnet)\d+", r"\d+", r"$^"):
        groups: dict[str, set[str]] = {}
        for name in of:
            groups.setdefault(re.sub(expression, "*", name), set()).add(name)
        for pattern, group in groups.items():
            if group <= set(left):
                found.append(pattern)
                left = [name for name in left if name not in group]
    return found


BLOCKS: dict[str, Callable[[Any], str]] = {
    "results": results_table,
    "verdicts": verdicts_table,
    "differences": differences_table,
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


def fill(text: str, sources: dict[str, Any]) -> str:
    """Return the text with every block made anew; ValueError for a block that nobody makes.

    sources: what blocks are made from, by the first word of their names: {"results": ..., "bench": ..., ...}.
    """

    def make(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in BLOCKS:
            raise ValueError(f"no generator for the block {name!r}; there are: {', '.join(BLOCKS)}")
        return match[1] + BLOCKS[name](sources[name.partition("-")[0]]) + match[3]

    return _BLOCK.sub(make, text)


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Rewrite or check every file; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    results = root / "results"
    sources = {
        "results": read_records(results),
        "bench": read_benchmarks(results),
        "verdicts": read_chapters(results / "experiments"),
        "differences": RECIPES,
    }
    stale = []
    for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        filled = fill(text, sources)
        if filled == text:
            continue
        stale.append(path.relative_to(root))
        if not arguments:
            path.write_text(filled, encoding="utf-8")
    for path in stale:
        print(f"{path}: {'is not what the records say; run: make results' if arguments else 'written'}")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
