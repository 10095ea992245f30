"""`reslab train`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli.config_args import choose_config, read_settings
from reslab.cli.train_seeds import check_flags, parse_seeds, started_seeds, train_seeds
from reslab.cli.training import train_config
from reslab.cli.types import DATA, RUN, FirstWord, Overrides, Switch, WholeNumber
from reslab.errors import UsageError


def train(
    recipe: FirstWord = None,
    /,
    *overrides: Overrides,
    run_dir: Annotated[Path | None, Parameter(group=RUN)] = None,
    resume: Annotated[Switch, Parameter(group=RUN)] = False,
    seed: Annotated[WholeNumber | None, Parameter(group=RUN)] = None,
    seeds: Annotated[str | None, Parameter(group=RUN)] = None,
    jobs: Annotated[WholeNumber, Parameter(group=RUN)] = 1,
    data: Annotated[str | None, Parameter(group=DATA)] = None,
    data_kind: Annotated[str | None, Parameter(group=DATA)] = None,
    skip_unreadable: Annotated[Switch, Parameter(group=DATA)] = False,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    weights: Annotated[str | None, Parameter(group=RUN)] = None,
) -> int:
    """Train a network from a recipe, evaluate it, and write a run folder with its model file and report.

    Every setting of a recipe has a flag: --optim.lr 0.05, --train.iterations 1000, --schedule.kind cosine, ...
    'reslab recipes show RECIPE' lists the settings. To train on your own photos, use 'reslab train-folder'.

    Args:
        recipe: A recipe's name ('reslab recipes' lists them) or, to repeat an earlier run, its config.json.
        run_dir: The run folder to make; runs/RECIPE/SEED by default.
        resume: Continue the run in --run-dir from its newest checkpoint.
        seed: The seed of initial weights, image order and augmentation; the recipe's by default.
        seeds: Train several seeds, like 0,1,2 or 0-4, each in its own process and its own run folder,
            RUN_DIR/SEED. With this flag, --run-dir is runs/RECIPE by default.
        jobs: How many of the seeds to train at the same time.
        data: A data set's folder or archive; by default, found below $RESLAB_DATA.
        data_kind: The format of the data: digits, cifar10, cifar100, idx or folder; detected by default.
        skip_unreadable: Instead of stopping at image files that cannot be read, leave them out and list them in the
            run folder.
        config: A TOML file of settings; flags override it.
        weights: Start from a model file (or a finished run) of the same network, or from the Hugging Face hub
            (hf-hub:OWNER/NAME[@REVISION]). The last layer keeps the file's weights for classes that the data also
            has.
    """
    check_flags(seed=seed, seeds=seeds, jobs=jobs)
    if skip_unreadable:
        overrides = (*overrides, "--data.photos.skip_unreadable", "true")
    if recipe is None and seeds is not None:
        raise UsageError("--seeds needs a recipe: reslab train RECIPE --seeds 0,1,2")
    if resume and recipe is not None and Path(recipe).is_dir():
        raise UsageError(
            f"{recipe} is a folder, not a recipe. To resume a run: reslab train --resume --run-dir {recipe}"
        )
    settings = read_settings(overrides, config=config, seed=seed, data=data, data_kind=data_kind, weights=weights)
    chosen = choose_config(recipe, settings, run=run_dir if resume else None)
    if seeds is None:
        return train_config(chosen, run_dir or Path("runs", chosen.recipe, str(chosen.seed)), resume=resume)
    folder, numbers = run_dir or Path("runs", chosen.recipe), parse_seeds(seeds)
    started = started_seeds(numbers, folder, resume=resume)
    flags = {"--data": data, "--data-kind": data_kind, "--weights": weights, "--config": config}
    words = [str(recipe), *overrides, *(str(word) for flag in flags.items() if flag[1] is not None for word in flag)]
    return train_seeds(words, numbers, folder, started=started, jobs=jobs)
