"""Which images a network gets wrong, by which two networks are compared on the same images."""

from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.evaluation import predict_split

from .experiment import Bench

WrongImages = tuple[int, ...]  # places of the images in the data set, ascending


def wrong_images(folder: RunFolder, bench: Bench) -> WrongImages:
    """Return which test images the network of a run classifies wrongly.

    Args:
        folder: The run.
        bench: What to measure with.
    """
    file = load_model(folder.model_path)
    test = bench.data_of(folder).part("test")
    answers = predict_split(file.model.to(bench.device), test, file.card.preprocess, split="test")
    return tuple((answers.classes != answers.labels).nonzero().flatten().tolist())
