"""Tables of what the benchmarks measured, from results/bench."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NOT_MEASURED = "Not measured yet.\n"


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
