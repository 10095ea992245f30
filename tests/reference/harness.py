"""Run the same commands by today's tree and by an earlier commit, and compare all that they write."""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from tests.reference.artefacts import compare_files
from tests.reference.comparison import Comparison
from tests.reference.data import make_photos
from tests.reference.renamed import RENAMES, UNCOMPARED, Renames
from tests.reference.scenario import HANDED_OVER, SAME_RESULTS, TRAINING, USING
from tests.reference.sides import Side, keep_untouched, keep_used, run_all, worktree
from tests.reference.tensors import compare_tensors
from tests.reference.translate import translate_file

REPOSITORY = Path(__file__).resolve().parents[2]
_DONE = "complete"  # the reference's folder holds this file when all its commands ran


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and compare; return 1 when something differs or a command failed, else 0."""
    options = _parse(arguments)
    renames = Renames() if options.no_renames else RENAMES
    with _workdir(options.workdir) as folder:
        problems = [] if options.compare_only else _run_both(options, folder, renames)
        results = compare_folders(folder / "reference", folder / "current", renames)
        results += compare_results(folder / "reference", folder / "current", renames)
    return _report(results, problems, options.show)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", default="ebf7f61", help="the commit to compare with")
    parser.add_argument("--reference-source", type=Path, help="its package folder, instead of checking it out")
    parser.add_argument("--current-source", type=Path, default=REPOSITORY / "src", help="the package folder of today")
    parser.add_argument("--workdir", type=Path, help="kept; the reference's part is used again by the next call")
    parser.add_argument("--no-renames", action="store_true", help="compare without any table, every word too")
    parser.add_argument("--compare-only", action="store_true", help="compare what --workdir holds, run nothing")
    parser.add_argument("--show", type=int, default=10, help="how many differences of a file to print")
    return parser.parse_args(arguments)


@contextmanager
def _workdir(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="reslab-compare-") as temporary:
        yield Path(temporary)


# --- running ----------------------------------------------------------------------------------------------------------


def _run_both(options: argparse.Namespace, folder: Path, renames: Renames) -> list[str]:
    """Run every command on both sides, the two at the same time; return what went wrong."""
    shutil.rmtree(folder / "current", ignore_errors=True)
    mark = _mark(options.reference_source or options.reference)
    is_done = (folder / "reference" / _DONE).is_file() and (folder / "reference" / _DONE).read_text() == mark
    current = Side(folder / "current", options.current_source.resolve(), renames)
    if is_done:
        problems = run_all(current, (*TRAINING, *USING))
        return problems + _run_handed_over([current], folder / "handed-over")
    for name in ("reference", "handed-over", "photos", "parts"):
        shutil.rmtree(folder / name, ignore_errors=True)
    make_photos(folder)
    with _reference_source(options, folder) as source:
        reference = Side(folder / "reference", source, Renames())
        with ThreadPoolExecutor(2) as pool:
            ours = pool.submit(_run_reference, reference, folder / "handed-over")
            theirs = pool.submit(run_all, current, (*TRAINING, *USING))
            problems = [*ours.result(), *theirs.result()]
        problems += _run_handed_over([reference, current], folder / "handed-over")
    if not any(problem.startswith("reference") for problem in problems):
        (folder / "reference" / _DONE).write_text(mark)
    return problems


def _mark(reference: object) -> str:
    """What the reference's output depends on."""
    texts = [Path(__file__).with_name(name).read_text() for name in ("scenario.py", "sides.py", "data.py")]
    return hashlib.sha256("".join([str(reference), sys.executable, *texts]).encode()).hexdigest()


@contextmanager
def _reference_source(options: argparse.Namespace, folder: Path) -> Iterator[Path]:
    if options.reference_source is not None:
        yield options.reference_source.resolve()
        return
    with worktree(REPOSITORY, options.reference, folder / "tree") as tree:
        yield tree / "src"


def _run_reference(side: Side, handed: Path) -> list[str]:
    problems = run_all(side, TRAINING)
    keep_untouched(side, handed)
    problems += run_all(side, USING)
    keep_used(side, handed)
    return problems


def _run_handed_over(sides: Sequence[Side], handed: Path) -> list[str]:
    """Let each side take on its own copy of what the reference made."""
    for side in sides:
        shutil.copytree(handed, side.folder / "crossed")
    with ThreadPoolExecutor(len(sides)) as pool:
        return [problem for found in pool.map(lambda side: run_all(side, HANDED_OVER), sides) for problem in found]


# --- comparing --------------------------------------------------------------------------------------------------------


def compare_folders(old: Path, new: Path, renames: Renames) -> list[Comparison]:
    """Compare every file below two folders."""
    ours = {translate_file(name, renames): name for name in _files(old)}
    theirs = set(_files(new))
    results = []
    for name in sorted({*ours, *theirs}):
        if name not in theirs or name not in ours:
            side = "reference" if name in ours else "current tree"
            results.append(Comparison(name, 0, (f"only the {side} has this file",)))
        else:
            results.append(_compare_one(old / ours[name], new / name, name, renames))
    return results


def _files(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    skipped = ("cache/*", "errors/*", "said/*.log", _DONE, *UNCOMPARED)
    return [name for name in names if not any(fnmatch(name, pattern) for pattern in skipped)]


def _compare_one(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    try:
        return compare_files(old, new, name, renames)
    except (ValueError, KeyError) as error:  # a file that is not what its name says
        return Comparison(name, 0, (f"cannot be compared: {type(error).__name__}: {error}",))


def compare_results(old: Path, new: Path, renames: Renames) -> list[Comparison]:
    """Compare runs that were stopped and resumed with the reference's uninterrupted ones."""
    results = []
    for whole, resumed in SAME_RESULTS:
        for name in ("model.safetensors", "metrics.jsonl"):
            ours, theirs, label = old / whole / name, new / resumed / name, f"{resumed}/{name} as {whole}"
            if not theirs.is_file():
                results.append(Comparison(label, 0, ("the current tree has no such file",)))
            elif name.endswith(".safetensors"):  # its document may hold a temperature since
                results.append(replace(compare_tensors(ours, theirs, name, renames), file=label))
            else:
                results.append(replace(_compare_one(ours, theirs, name, renames), file=label))
    return results


def _report(results: Sequence[Comparison], problems: Sequence[str], show: int) -> int:
    for result in results:
        remark = f"  ({result.remark})" if result.remark else ""
        print(f"{'DIFFERS' if result.differences else 'same':8}{result.compared:8,}  {result.file}{remark}")
        for difference in result.differences[:show]:
            print(f"{'':18}{difference}")
        if len(result.differences) > show:
            print(f"{'':18}and {len(result.differences) - show} more")
    for problem in problems:
        print(f"FAILED  {problem}")
    bad = sum(bool(result.differences) for result in results)
    values = sum(result.compared for result in results)
    print(f"{len(results)} comparisons of {values:,} values: {bad} differ; {len(problems)} commands failed.")
    return 1 if bad or problems else 0
