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
from functools import partial
from pathlib import Path

from tests.reference.artefacts import compare_files
from tests.reference.comparison import Comparison
from tests.reference.data import make_photos
from tests.reference.renamed import RENAMES, UNCOMPARED, Renames
from tests.reference.scenario import HANDED_OVER, SAME_RESULTS, TRAINING, USING
from tests.reference.sides import Side, keep_untouched, keep_used, run_all, take_over, worktree
from tests.reference.tensors import compare_tensors
from tests.reference.translate import translate_file

REPOSITORY = Path(__file__).resolve().parents[2]
_MARK = "scenario"  # names the commit and the commands that a folder's content is of


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
    parser.add_argument("--resume", action="store_true", help="keep what a stopped call did with the current tree")
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
    mark, mark_path = _mark(options.reference_source or options.reference), folder / "reference" / _MARK
    if not mark_path.is_file() or mark_path.read_text() != mark:
        _begin(folder)
        mark_path.write_text(mark)
    if not options.resume:
        shutil.rmtree(folder / "current", ignore_errors=True)
    with _reference_source(options, folder) as source:
        reference = Side(folder / "reference", source, Renames())
        current = Side(folder / "current", options.current_source.resolve(), renames)
        handed = folder / "handed-over"
        with ThreadPoolExecutor(2) as pool, _stopping(reference, current):
            ours = pool.submit(_run_reference, reference, handed)
            theirs = pool.submit(run_all, current, (*TRAINING, *USING))
            problems = [*ours.result(), *theirs.result()]
            for side in (reference, current):
                side.do_once("take-over", partial(take_over, side, handed))
            crossed = [pool.submit(run_all, side, HANDED_OVER) for side in (reference, current)]
            return [*problems, *(problem for one in crossed for problem in one.result())]


@contextmanager
def _stopping(*sides: Side) -> Iterator[None]:
    """Stop the sides when the block fails, so that nobody waits for the rest of their commands."""
    try:
        yield
    except BaseException:  # SIGTERM and Ctrl-C too
        for side in sides:
            side.stop.set()
        raise


def _begin(folder: Path) -> None:
    for name in ("reference", "handed-over", "photos", "parts"):
        shutil.rmtree(folder / name, ignore_errors=True)
    make_photos(folder)
    (folder / "reference").mkdir()


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
    side.do_once("keep-untouched", lambda: keep_untouched(side, handed))
    problems += run_all(side, USING)
    side.do_once("keep-used", lambda: keep_used(side, handed))
    return problems


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
    skipped = ("cache/*", "errors/*", "said/*.log", "done/*", _MARK, *UNCOMPARED)
    return [name for name in names if not any(fnmatch(name, pattern) for pattern in skipped)]


def _compare_one(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    if name.startswith("crossed/") and old.read_bytes() == new.read_bytes():
        return Comparison(name, 1, ())  # handed over and left as it was, under its old keys
    try:
        return compare_files(old, new, name, renames)
    except (ValueError, KeyError) as error:  # a file that is not what its name says
        return Comparison(name, 0, (f"cannot be compared: {type(error).__name__}: {error}",))


def compare_results(old: Path, new: Path, renames: Renames) -> list[Comparison]:
    """Compare runs that were stopped and resumed with the reference's uninterrupted ones."""
    results = []
    for whole, resumed in SAME_RESULTS:
        last = max(path.name for path in (old / whole / "checkpoints").glob("step-*"))
        for name in ("metrics.jsonl", "model.safetensors", f"checkpoints/{last}/training.safetensors"):
            ours, theirs, label = old / whole / name, new / resumed / name, f"{resumed}/{name} as {whole}"
            if not theirs.is_file():
                results.append(Comparison(label, 0, ("the current tree has no such file",)))
            elif name.endswith(".safetensors"):  # a model's document may hold a temperature since
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
