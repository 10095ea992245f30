"""`reslab train-folder`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reslab.cli.config_args import Settings, read_config, read_settings
from reslab.cli.folder_args import plan_config
from reslab.cli.renamed import FOLDER_RECIPE
from reslab.cli.train_seeds import check_flags, parse_seeds, share_config, started_seeds, train_seeds
from reslab.cli.training import train_config
from reslab.cli.types import DATA, MODEL, RUN, FirstWord, Overrides, Switch, WholeNumber
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.config import RunConfig


def train_folder(
    data: FirstWord = None,
    *overrides: Overrides,
    model: Annotated[str | None, Parameter(group=MODEL)] = None,
    size: Annotated[WholeNumber | None, Parameter(group=MODEL)] = None,
    weights: Annotated[str | None, Parameter(group=MODEL)] = None,
    epochs: Annotated[WholeNumber | None, Parameter(group=RUN)] = None,
    run_dir: Annotated[Path | None, Parameter(group=RUN)] = None,
    resume: Annotated[Switch, Parameter(group=RUN)] = False,
    seed: Annotated[WholeNumber | None, Parameter(group=RUN)] = None,
    seeds: Annotated[str | None, Parameter(group=RUN)] = None,
    jobs: Annotated[WholeNumber, Parameter(group=RUN)] = 1,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    data_kind: Annotated[str | None, Parameter(group=DATA)] = None,
    skip_unreadable: Annotated[Switch, Parameter(group=DATA)] = False,
) -> int:
    """Train a network on your own photos; settings that you do not give are chosen for the photos and this machine.

    Print each choice with its reason, write the config into the run folder, and train as 'reslab train' does. Every
    setting has a flag, as in 'reslab train': --optim.lr 0.05, --train.batch_size 64, ...

    Args:
        data: The folder of photos, which holds a folder for each class, or train/, val/ and test/ with a folder for
            each class; or a CSV file with the columns path,label.
        model: A network's name, like resnet34 ('reslab describe --all' lists them).
        size: Side length in pixels of the images that the network is evaluated on; in training they may be smaller.
        weights: Start from a model file (or a finished run), or from the Hugging Face hub
            (hf-hub:OWNER/NAME[@REVISION]). The last layer keeps the file's weights for classes that the photos also
            have.
        epochs: How many times the network sees every training image.
        run_dir: The run folder to make; runs/folder/SEED by default.
        resume: Continue the run in --run-dir from its newest checkpoint, with the choices made at its start.
        seed: The seed of initial weights, image order and augmentation; 0 by default.
        seeds: Train several seeds, like 0,1,2 or 0-4, with the same choices, each in its own process and its own run
            folder, RUN_DIR/SEED. With this flag, --run-dir is runs/folder by default.
        jobs: How many of the seeds to train at the same time.
        config: A TOML file of settings; flags override it.
        data_kind: The format of the data; detected by default. Set it to 'folder' if the photos are not recognised.
        skip_unreadable: Instead of stopping at image files that cannot be read, leave them out and list them in the
            run folder.
    """
    if data is not None and data.startswith("--"):
        raise UsageError(f"the folder of photos comes first: reslab train-folder DATA {data} ...")
    check_flags(seed=seed, seeds=seeds, jobs=jobs)
    if skip_unreadable:
        overrides = (*overrides, "--data.photos.skip_unreadable", "true")
    settings = read_settings(overrides, config=config, seed=seed, data=data, data_kind=data_kind, weights=weights)
    folder = run_dir or Path("runs", FOLDER_RECIPE, *([] if seeds else [str(settings.value("seed", default=0))]))
    if resume:
        ignored = {"--model": model, "--epochs": epochs, "--size": size}
        chosen = _resumed_config(folder, settings, [flag for flag, value in ignored.items() if value is not None])
    else:
        chosen = plan_config(settings, model=model, epochs=epochs, size=size)
    if seeds is None:
        return train_config(chosen, folder, resume=resume)
    numbers = parse_seeds(seeds)
    started = started_seeds(numbers, folder, resume=resume)
    words = [str(share_config(chosen, folder, is_started=bool(started)))]
    if chosen.data.path is not None:  # the photos may have moved since the plan was made
        words += ["--data", chosen.data.path, "--data-kind", chosen.data.kind]
    return train_seeds(words, numbers, folder, started=started, jobs=jobs)


def _resumed_config(folder: Path, settings: Settings, ignored: list[str]) -> "RunConfig":
    """Return the config of the plan that a run was started with, and say which flags it leaves without effect."""
    from reslab.distributed import world_from_environment

    config = settings.apply(read_config(folder))
    if ignored and world_from_environment().is_main:
        print(f"{folder} continues with the plan that it was started with; ignored: {', '.join(ignored)}.")
    return config
