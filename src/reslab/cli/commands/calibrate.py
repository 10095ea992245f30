"""`reslab calibrate`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reslab.cli.model_args import model_path, numbered_as, open_data, used_by_run, warn_of_known_images
from reslab.cli.types import DATA
from reslab.errors import RunError

if TYPE_CHECKING:
    from reslab.data import Dataset, Splits


def calibrate(
    run_or_model: Path,
    /,
    *,
    data: Annotated[Path | None, Parameter(group=DATA)] = None,
    data_kind: Annotated[str | None, Parameter(group=DATA)] = None,
) -> int:
    """Fit a temperature on validation images and write it into the model file, for calibrated probabilities.

    The predicted classes stay the same; only the network's confidence changes. An earlier temperature is replaced.
    Test images are not used, because they judge the result; nor training images, on which the network is too confident.

    Args:
        run_or_model: A run folder, or a model file.
        data: A data set's folder or archive; by default the one that the model was trained on.
        data_kind: The format of the data: digits, cifar10, cifar100, idx or folder; detected by default.
    """
    from reslab.artifacts.model_file import load_model, save_model
    from reslab.engines.hardware import pick_device
    from reslab.evaluation import fit_temperature, measure_calibration, predict_split, recalibrated
    from reslab.evaluation.calibration import TEMPERATURES
    from reslab.system.progress import counting

    path = model_path(run_or_model)
    _check_may_change(path)
    loaded = load_model(path)
    dataset = numbered_as(_validation_part(open_data(run_or_model, loaded, data, data_kind)), loaded)
    warn_of_known_images(run_or_model, data, dataset, "validation")
    used = used_by_run(path, dataset)
    if known := used["test"] + used["train"]:
        raise RunError(
            f"{known} of these {len(dataset)} images are the run's own test or training images. A temperature must be "
            "fitted on other images: --data FOLDER"
        )
    device = pick_device()
    with counting("validation images", len(dataset)) as on_progress:
        answers = predict_split(
            loaded.model.to(device), dataset, loaded.card.preprocess, split="validation", on_progress=on_progress
        )
    if not answers.are_finite:
        raise RunError(f"{path}: the network's logits overflow, which no temperature can correct.")
    temperature = fit_temperature(answers.probabilities, answers.labels)
    if temperature in TEMPERATURES:
        raise RunError(
            f"no temperature fits: on {len(dataset)} images the likelihood still rises at {temperature:g}, the end of "
            f"the range ({answers}). This happens when all predictions are right, or worse than chance. Nothing was "
            "written; hold out more images."
        )
    save_model(path.resolve(), loaded.model.cpu(), replace(loaded.card, temperature=temperature))
    before = measure_calibration(answers.probabilities, answers.labels)
    after = measure_calibration(recalibrated(answers.probabilities, temperature), answers.labels)
    print(f"temperature: {temperature:.4f}, fitted on {before.total} images ({answers})")
    print(f"calibration error (ECE) on these images: {100 * before.ece:.2f} % before, {100 * after.ece:.2f} % after")
    print(f"negative log-likelihood: {before.nll:.4f} before, {after.nll:.4f} after")
    print(f"model file: {path}")
    return 0


def _check_may_change(path: Path) -> None:
    from reslab.artifacts.checkpoint import is_of_checkpoint

    if is_of_checkpoint(path):
        raise RunError(
            f"{path} belongs to a checkpoint, which must not change because its run resumes from it; copy the file to "
            "another folder first."
        )


def _validation_part(splits: "Splits") -> "Dataset":
    try:
        return splits.part("validation")
    except RunError as error:
        raise RunError(
            f"{error} Calibration needs images that the network was not trained on: name a folder of them with train/ "
            "and val/ (--data FOLDER), of which val/ is used; or train with a part held out (reslab train RECIPE "
            "--data.validation_size N --run-dir DIR) and calibrate DIR."
        ) from None
