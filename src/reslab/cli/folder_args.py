"""`reslab train-folder`: the config that the data and the machine suggest, printed with its reasons."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import UsageError

from .config_args import Settings

if TYPE_CHECKING:
    from reslab.config import RunConfig
    from reslab.recipes.folder import FolderOptions

_FLAGS = "--size, --model, --train.batch_size, --epochs, or any setting by its name, such as --train.class_weights none"


def plan_config(
    settings: Settings, *, model: str | None = None, epochs: int | None = None, size: int | None = None
) -> "RunConfig":
    """Plan a run for the photos that the settings name, print the reasons, and return its config with the settings.

    Args:
        settings: What the user sets; the plan takes batch size, channels, device and weights from them.
        model: A network's name; None lets the plan choose, as it does below.
        epochs: How many times the network sees every training image.
        size: Side of the pictures that the network sees in evaluation, in pixels.

    Returns:
        The planned config, changed by the settings.

    Raises:
        UsageError: The settings name no photos, or a setting does not exist or has a value that is not allowed.
        RunError: The photos or the weights are missing or damaged.
    """
    from reslab.distributed import world_from_environment
    from reslab.recipes.folder import FolderOptions
    from reslab.runs.auto_config import plan_for_data

    data = settings.value("data", "path")
    if data is None:
        raise UsageError(
            "no photos are named. Name their folder: reslab train-folder DATA (with CLASS/*.jpg, or train/CLASS/*.jpg "
            "and val/ and test/ next to it), or a CSV file of path,label."
        )
    batch_size, weights = settings.value("train", "batch_size"), settings.value("weights")
    options = FolderOptions(model=model, epochs=epochs, size=size, batch_size=batch_size, weights=weights)
    _check(settings, options)
    world = world_from_environment()
    folder_plan = plan_for_data(
        Path(data),
        options,
        kind=settings.value("data", "kind", default="auto"),
        channels=settings.value("data", "channels"),
        is_alone=world.size == 1,
        device=settings.value("compute", "device", default="auto"),
    )
    config = settings.apply(folder_plan.config)
    if world.is_main:
        print("\n".join(folder_plan.reasons))
        print(f"to change the plan: {_FLAGS}.")
        if changed := _changed(folder_plan.config, config, settings):
            print(f"your settings replace the plan's: {changed}.")
    return config


def _check(settings: Settings, options: "FolderOptions") -> None:
    """Check the settings as far as possible before the photos are read.

    The settings that the plan uses are checked for good. Others can only be checked for their form: whether their
    values are allowed can depend on the plan.
    """
    from reslab.config import check_form, override
    from reslab.recipes.folder import NOMINAL, plan_folder

    nominal = plan_folder(NOMINAL, None, replace(options, batch_size=None, weights=None)).config
    check_form(nominal, *settings.changes)
    for part, name in (("train", "batch_size"), ("compute", "device"), ("data", "channels")):
        if (value := settings.value(part, name)) is not None:
            override(nominal, {part: {name: value}})


def _changed(planned: "RunConfig", config: "RunConfig", settings: Settings) -> str:
    """Say which of the settings make the run differ from what the reasons describe."""
    from reslab.config import differences, to_dict

    keys = settings.keys() - {"data.path", "data.kind", "seed"}
    changed = differences(to_dict(planned), to_dict(config))
    return ", ".join(
        f"{key} {str(own).lower()} (planned: {str(theirs).lower()})"
        for key, (theirs, own) in changed.items()
        if key in keys
    )
