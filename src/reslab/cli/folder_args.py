"""`reslab train folder`: the config that the data and the machine suggest, printed with its reasons."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.config import RunConfig

RECIPE = "folder"


def check_flags(recipe: str | None, *, model: str | None, epochs: int | None, size: int | None) -> None:
    """UsageError for a flag of `train folder` given to another recipe."""
    for flag, value, instead in (
        ("--model", model, "the recipe's name says the network"),
        ("--epochs", epochs, "use --train.iterations"),
        ("--size", size, "use --data.augment.crop_size"),
    ):
        if value is not None and recipe != RECIPE:
            raise UsageError(f"{flag} is for 'reslab train {RECIPE}' only; {instead}.")


def plan_config(
    settings: list[dict[str, Any]], *, model: str | None = None, epochs: int | None = None, size: int | None = None
) -> "RunConfig":
    """Plan a run for the photos that the settings name, say why in lines, and return its config with the settings."""
    from reslab.config import check_form, override
    from reslab.distributed import world_from_environment
    from reslab.recipes.folder import NOMINAL, FolderOptions, plan_folder
    from reslab.runs.auto_config import plan

    data, train, compute = (_merged(settings, part) for part in ("data", "train", "compute"))
    weights = next((changes["weights"] for changes in reversed(settings) if "weights" in changes), None)
    if data.get("path") is None:
        raise UsageError(
            "where are the photos? Give their folder: reslab train folder --data FOLDER "
            "(train/CLASS/*.jpg with val/ and test/ beside it, or CLASS/*.jpg, or a CSV of path,label)."
        )
    # what is no setting is said at once; what the plan needs is checked, the rest may depend on what is planned
    nominal = plan_folder(NOMINAL, None, FolderOptions(model=model, epochs=epochs, size=size)).config
    check_form(nominal, *settings)
    known = {"train": _only(train, "batch_size"), "compute": _only(compute, "device"), "data": _only(data, "channels")}
    override(nominal, known)
    wishes = FolderOptions(model=model, epochs=epochs, size=size, batch_size=train.get("batch_size"), weights=weights)
    world = world_from_environment()
    made = plan(
        Path(data["path"]),
        wishes,
        kind=data.get("kind", "auto"),
        channels=data.get("channels"),
        is_alone=world.size == 1,
        device=compute.get("device", "auto"),
    )
    config = override(made.config, *settings)
    own = _changed(made.config, config, settings)
    for line in (*made.reasons, *([f"your settings come before the plan's: {own}."] if own else [])):
        if world.is_main:
            print(line)
    return config


def say_plan_is_kept(folder: Path, wishes: Mapping[str, Any]) -> None:
    """Say which flags a run does not look at, because it goes on by the plan that it began with."""
    from reslab.distributed import world_from_environment

    given = [f"--{name}" for name, value in wishes.items() if value is not None]
    if given and world_from_environment().is_main:
        print(f"{folder} goes on by the plan that it began with; not looked at: {', '.join(given)}.")


def _changed(planned: "RunConfig", config: "RunConfig", settings: list[dict[str, Any]]) -> str:
    """Say which of the settings make the run another than the reasons above describe."""
    from reslab.config import differences, to_dict

    found = differences(to_dict(planned), to_dict(config))
    given = {key for changes in settings for key in _keys(changes)} - {"data.path", "data.kind", "seed"}
    said = {key: [str(value).lower() for value in pair] for key, pair in found.items() if key in given}
    return ", ".join(f"{key} {own} (planned: {theirs})" for key, (theirs, own) in said.items())


def _keys(changes: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _only(part: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: part[name] for name in names if name in part}


def _merged(settings: list[dict[str, Any]], part: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for changes in settings:
        found |= changes.get(part, {})
    return found
