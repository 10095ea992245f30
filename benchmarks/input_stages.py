"""Each stage of the input of Imagenette's photos, alone and together, as `reslab bench input` measures them."""

from reslab import override, recipe
from reslab.builders import choose_device
from reslab.distributed import World
from reslab.runs.context import prepare
from reslab.runs.input_benchmark import bench_input, describe_setting

from .contest import save
from .work import PHOTO_BATCH, PHOTOS, photos_folder


def main() -> None:
    """Measure and write results/bench/input.json."""
    changes = {
        "data": {"path": str(photos_folder()), "kind": "folder", "augment": PHOTOS},
        "train": {"batch_size": PHOTO_BATCH},
    }
    config = override(recipe("imagenet-resnet18").make(), changes)
    setting = prepare(config, choose_device(config.train, World()), World())
    save("input", {"title": describe_setting(config, setting), **bench_input(setting).to_dict()})


if __name__ == "__main__":
    main()
