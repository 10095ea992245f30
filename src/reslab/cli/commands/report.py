"""`reslab report`."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from reslab.cli.extras import need_report_extra
from reslab.cli.model_args import is_test_use, model_path, numbered_as, open_data, warn_of_known_images
from reslab.cli.test_set_log import note_test_use
from reslab.cli.types import DATA, OUTPUT
from reslab.errors import RunError, UsageError

if TYPE_CHECKING:
    from reslab.artifacts.run_folder import RunFolder
    from reslab.report.judgement import Judgement

log = logging.getLogger(__name__)


def report(
    run_or_model: Path,
    /,
    *,
    data: Annotated[Path | None, Parameter(group=DATA)] = None,
    data_kind: Annotated[str | None, Parameter(group=DATA)] = None,
    split: Annotated[Literal["train", "validation", "test"] | None, Parameter(group=DATA)] = None,
    output: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
) -> int:
    """Write one self-contained HTML file about a run or a model file: curves, scores, and the images to look at first.

    A finished run is judged on the split that it reports, and the judgement is kept in its folder. The report of a run
    in progress shows its curves so far and reloads itself.

    Args:
        run_or_model: A run folder, or a model file.
        data: A data set's folder or archive; by default the one that the model was trained on.
        data_kind: The format of the data: digits, cifar10, cifar100, idx or folder; detected by default.
        split: The part to judge on; by default the one that the run reports, or test.
        output: The file to write; by default report.html in the run folder, or MODEL-report.html next to the model
            file.
    """
    need_report_extra()
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"--output is {output}, but the folder {output.parent} does not exist; make it first.")
    request = _Request(run_or_model, data, data_kind, split)
    print(_report_run(request, output) if run_or_model.is_dir() else _report_model(request, output))
    return 0


@dataclass(frozen=True, slots=True)
class _Request:
    """The words of the command."""

    subject: Path
    data: Path | None
    kind: str | None
    split: str | None

    @property
    def is_explicit(self) -> bool:
        return (self.data, self.kind, self.split) != (None, None, None)

    def command(self) -> str:
        flags = {"data": self.data, "data-kind": self.kind, "split": self.split}
        words = [word for flag, value in flags.items() if value is not None for word in (f"--{flag}", str(value))]
        return shlex.join(["reslab", "report", str(self.subject), *words])


def _report_run(request: _Request, output: Path | None) -> Path:
    from reslab.artifacts.run_folder import RunFolder
    from reslab.report import write_report

    folder = RunFolder.open(request.subject)
    result = folder.result()
    if result is None and request.is_explicit:
        raise RunError(
            f"{request.subject} is not finished, so there is nothing to judge yet; leave out --data, --data-kind and "
            "--split."
        )
    if result is not None:
        folder.finished_model()  # a RunError says where to find a missing one
    split = request.split or (result.reported_split if result else None)
    if split is not None:
        try:
            _judge_run(folder, request, split)
        except RunError as error:
            if request.is_explicit:
                raise
            log.warning("not judged: %s The report shows the rest. If the images moved: --data PATH", error)
    return write_report(folder, output)


def _judge_run(folder: "RunFolder", request: _Request, split: str) -> None:
    """Judge the run's model file, unless its judgement is already in the folder."""
    from reslab.report import basis_of, keep_judgement, kept_judgement

    basis = basis_of(folder.model_path, split, request.data)
    # other data may have changed since, which its path does not tell
    if request.data is None and request.kind is None and kept_judgement(folder, basis):
        return
    keep_judgement(folder, basis, _judge(folder.model_path, request, split))


def _report_model(request: _Request, output: Path | None) -> Path:
    from reslab.artifacts.model_file import load_card
    from reslab.report import write_model_report

    path = model_path(request.subject)
    card = load_card(path)
    judgement = _judge(path, request, request.split or "test")
    return write_model_report(
        judgement,
        output or path.with_name(f"{path.stem}-report.html"),
        name=path.name,
        recipe=card.recipe,
        metrics=card.metrics,
        command=request.command(),
    )


def _judge(path: Path, request: _Request, split: str) -> "Judgement":
    """Open model and data, judge, and record a use of the test set."""
    from reslab.artifacts.model_file import load_model
    from reslab.engines.hardware import pick_device
    from reslab.report import judge
    from reslab.system.progress import counting

    loaded = load_model(path)
    splits = open_data(request.subject, loaded, request.data, request.kind)
    dataset = numbered_as(splits.part(split), loaded)
    warn_of_known_images(request.subject, request.data, dataset, split)
    model = loaded.model.to(pick_device())
    train = None if split == "train" else splits.train
    judgement = judge(model, loaded.card, dataset, split=split, train=train, watch=counting)
    if is_test_use(path, dataset, split, request.data):
        note_test_use(path, judgement.scores, request.command())
    return judgement
