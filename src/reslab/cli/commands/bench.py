"""`reslab bench`."""

import json as jsonlib
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from reslab.cli.config_args import Settings, choose_config, read_settings
from reslab.cli.folder_args import plan_config
from reslab.cli.renamed import FOLDER_RECIPE
from reslab.cli.types import DATA, OPTIONS, JsonSwitch, Overrides
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.config import RunConfig

app = App(name="bench", help="Measure how fast this machine trains a recipe.", group_parameters=OPTIONS)


@app.command(name="input")
def bench_input(
    recipe: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *overrides: Overrides,
    data: Annotated[str | None, Parameter(group=DATA)] = None,
    data_kind: Annotated[str | None, Parameter(group=DATA)] = None,
    seconds: float = 5.0,
    json: JsonSwitch = False,
) -> int:
    """Measure disk, decoding, augmentation, transfer and network alone and together; name the bottleneck.

    Every setting of a recipe has a flag, as in 'reslab train'. Nothing is written.

    Args:
        recipe: A recipe's name, or the config.json of a run; 'folder' for what 'reslab train-folder' plans for --data.
        data: A data set's folder or archive; by default, found below $RESLAB_DATA.
        data_kind: The format of the data: digits, cifar10, cifar100, idx or folder; detected by default.
        seconds: About how long to measure each stage.
        json: Print JSON.
    """
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--seconds is {seconds:g}; allowed: a time above 0, like 5.")
    from reslab.runs.context import context_for_timing
    from reslab.runs.input_benchmark import bench_input as measure
    from reslab.runs.input_benchmark import describe_context

    with redirect_stdout(sys.stderr) if json else nullcontext():  # the reasons of a plan are not JSON
        config = _config(recipe, read_settings(overrides, data=data, data_kind=data_kind))
    context = context_for_timing(config)
    result = measure(context, seconds=seconds)
    if json:
        print(jsonlib.dumps(asdict(result), indent=2))
        return 0
    print(describe_context(context))
    for name, rate in result.rates.items():
        print(f"  {name + ' alone':<16}{rate:>10.0f} images/s")
    waited = f"{100 * result.waited:.0f} % of the time waiting for data"
    print(f"  {'together':<16}{result.together:>10.0f} images/s, {waited}")
    print(f"bottleneck: {result.bottleneck}. What to do: {result.advice}.")
    return 0


def _config(recipe: str, settings: Settings) -> "RunConfig":
    return plan_config(settings) if recipe == FOLDER_RECIPE else choose_config(recipe, settings)
