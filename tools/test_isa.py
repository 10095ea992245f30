"""Run the fast tests as on other processors: with oneDNN, which computes convolutions, held to one instruction set.

    python tools/test_isa.py                         the slowest one next to a busy process, then each one by itself
    python tools/test_isa.py --isa AVX2              only this one, by itself
    python tools/test_isa.py --isa AVX2 --busy       only this one, next to a busy process

Exit code 1 when a test failed, or when a run by itself took longer than the limit. The output of each run is kept in
build/isa.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT_MINUTES = 8.0
# slowest first: what the processor has to have for each (ONEDNN_MAX_CPU_ISA's names, /proc/cpuinfo's flags)
NEEDS = {
    "AVX2": {"avx2", "fma"},
    "AVX512_CORE": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "AVX512_CORE_BF16": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"},
    "AVX512_CORE_AMX": {"avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"},
}
# as `make test` does
_PYTEST = ["-m", "pytest", "-q", "-m", "not slow and not gpu", "-n", "2", "--dist", "worksteal"]
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
# it ends with its parent too, however that ends
_SPIN = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"


@dataclass(frozen=True)
class Run:
    """The fast tests on one instruction set, next to a busy process or by themselves."""

    isa: str
    is_busy: bool

    @property
    def name(self) -> str:
        return f"{self.isa}-{'busy' if self.is_busy else 'idle'}"


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        run: The run.
        passed: Tests that passed.
        failed: Tests that failed.
        minutes: How long it took.
        has_ended_well: Whether pytest's exit code was 0.
    """

    run: Run
    passed: int
    failed: int
    minutes: float
    has_ended_well: bool

    def problem(self, limit: float) -> str:
        """Return why the run does not count as passed; "" when it does."""
        if not self.has_ended_well:
            return "failed"
        return f"over {limit:g} minutes" if not self.run.is_busy and self.minutes > limit else ""


def missing_flags(isa: str, cpuinfo: str) -> list[str]:
    """Return the flags that a processor lacks for an instruction set.

    Args:
        isa: The instruction set.
        cpuinfo: The text of /proc/cpuinfo.
    """
    line = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return sorted(NEEDS[isa] - set(line[1].split() if line else ()))


def counts(output: str) -> tuple[int, int]:
    """Return how many tests passed, and how many failed or had errors, by pytest's last line; (0, 0) without one."""
    lines = [line for line in output.splitlines() if re.search(r"\d+ \w+.* in [\d.]+s\b", line)]
    found = {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", lines[-1] if lines else "")}
    return found.get("passed", 0), sum(found.get(word, 0) for word in ("failed", "error", "errors"))


def plan(isas: Sequence[str], *, only_busy: bool | None) -> list[Run]:
    """Return the runs for instruction sets, slowest first.

    Args:
        isas: The instruction sets.
        only_busy: Whether all runs are next to a busy process; None for one such run, then all idle ones.
    """
    if only_busy is not None:
        return [Run(isa, only_busy) for isa in isas]
    return [*(Run(isa, True) for isa in isas[:1]), *(Run(isa, False) for isa in isas)]


@contextmanager
def busy_process() -> Generator[None]:
    """Keep one core busy inside the block."""
    process = subprocess.Popen([sys.executable, "-c", _SPIN, str(os.getpid())])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def execute(run: Run, folder: Path, arguments: Sequence[str] = _PYTEST) -> Outcome:
    """Run the tests.

    Args:
        run: How.
        folder: Where the output goes.
        arguments: Python's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{run.name}.log"
    environment = {**os.environ, **_ENVIRONMENT, "ONEDNN_MAX_CPU_ISA": run.isa}
    start = time.monotonic()
    with log.open("w") as file, busy_process() if run.is_busy else nullcontext():
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file)
    passed, failed = counts(log.read_text(errors="replace"))
    return Outcome(run, passed, failed, (time.monotonic() - start) / 60, done.returncode == 0)


def table(outcomes: Sequence[Outcome], limit: float) -> str:
    """Return one line for each run."""
    lines = [f"{'oneDNN held to':18} {'next to':8} {'passed':>6} {'failed':>6} {'minutes':>7}"]
    for one in outcomes:
        neighbour = "busy" if one.run.is_busy else "nothing"
        line = f"{one.run.isa:18} {neighbour:8} {one.passed:6} {one.failed:6} {one.minutes:7.1f}  {one.problem(limit)}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the processor allows, print the table, and return the exit code."""
    options = _parse(arguments)
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    isas: list[str] = []
    for isa in (isa for isa in NEEDS if isa in (options.isa or NEEDS)):
        if missing := missing_flags(isa, text):
            print(f"{isa}: skipped: the processor does not have {', '.join(missing)}", flush=True)
        else:
            isas.append(isa)
    outcomes: list[Outcome] = []
    for run in plan(isas, only_busy=options.busy if options.isa else None):
        print(f"{run.name}: testing, output in {options.folder / run.name}.log", flush=True)
        outcomes.append(execute(run, options.folder))
    print(table(outcomes, options.limit))
    return int(not outcomes or any(one.problem(options.limit) for one in outcomes))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "test_isa", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--isa", action="append", choices=list(NEEDS), help="only this one; may be repeated")
    parser.add_argument("--busy", action="store_true", help="with --isa: next to a busy process")
    parser.add_argument("--limit", type=float, default=LIMIT_MINUTES, help="minutes that a run by itself may take")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "isa", help="where the output goes")
    options = parser.parse_args(arguments)
    if options.busy and not options.isa:
        parser.error("--busy needs --isa")
    return options


if __name__ == "__main__":
    sys.exit(main())
