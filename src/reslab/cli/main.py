"""The `reslab` command: its verbs, and the exit code of each error. Verbs import torch only when they run."""

import io
import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import App, CycloptsError, Group

from reslab import __version__
from reslab.errors import Interrupted, NotConverted, RunError, UsageError
from reslab.runs.parallel import end_with_parent

from .commands.bench import app as bench
from .commands.calibrate import calibrate
from .commands.compare import compare
from .commands.convert import conversion_command, convert
from .commands.data import app as data
from .commands.demo import demo
from .commands.describe import describe
from .commands.evaluate import evaluate
from .commands.predict import predict
from .commands.recipes import app as recipes
from .commands.record import record
from .commands.report import report
from .commands.reproduce import reproduce
from .commands.train import train
from .commands.train_folder import train_folder
from .renamed import check_words
from .types import OPTIONS

app = App(
    name="reslab",
    help="Train, evaluate, explain and compare plain and residual networks (He, Zhang, Ren, Sun 2015).",
    version=__version__,
    suppress_keyboard_interrupt=False,  # `_run` prints it and returns its exit code
    group_parameters=OPTIONS,
)
_VERBS = {
    "Train": (demo, train, train_folder, recipes),
    "Use and judge a network": (predict, evaluate, calibrate, report, compare),
    "Data and weights": (data, convert),
    "The paper": (describe, reproduce, record),
    "This machine": (bench,),
}
for number, (title, verbs) in enumerate(_VERBS.items()):
    group = Group(title, sort_key=number)
    for verb in verbs:
        if isinstance(verb, App):
            verb.group = group
            app.command(verb)
        else:
            app.command(verb, group=group)

EXIT_FAILURE, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 failure, 2 usage, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold bytes that no text has
        sys.stdout.reconfigure(errors="backslashreplace")
    with _notes_on_stderr():
        return _run(arguments)


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Show this package's log as plain lines on standard error, and no other package's."""
    logger = logging.getLogger("reslab")
    handler, level = logging.StreamHandler(sys.stderr), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        check_words(sys.argv[1:] if arguments is None else arguments)
        return app(arguments, exit_on_error=False, result_action="return_value") or 0
    except CycloptsError:  # already printed, with what was meant
        return EXIT_USAGE
    except UsageError as error:
        return _say(error, EXIT_USAGE)
    except Interrupted as error:
        return _say(error, EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        return _say("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe has gone
        sys.stderr.close()
        return EXIT_FAILURE
    except NotConverted as error:
        return _say(f"{error}\n{conversion_command(error)}", EXIT_FAILURE)
    except (RunError, OSError) as error:
        return _say(error, EXIT_FAILURE)
    except (MemoryError, RuntimeError) as error:
        from reslab.system.memory import is_out_of_memory

        if not is_out_of_memory(f"{type(error).__name__}: {error}"):
            raise
        return _say(f"out of memory: {(str(error).splitlines() or ['MemoryError'])[0]}", EXIT_FAILURE)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _say(error: object, code: int) -> int:
    print(f"reslab: {error}", file=sys.stderr)
    return code


def main() -> None:
    """The console script."""
    # Pillow names no file in its warnings; what of it matters is found when the pixels are read
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    signal.signal(signal.SIGTERM, _interrupt)  # training and jobs side by side put handlers of their own in its place
    end_with_parent()
    sys.exit(run())
