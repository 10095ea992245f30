"""Why a network answers as it does, and which images deserve a look."""

from .duplicates import NearDuplicates, near_duplicates, small_copies
from .features import features
from .gradcam import HeatMaps, grad_cam, upsampled
from .overlay import overlay, picture_of, thumbnail_uri
from .suspects import Ranking, least_certain, mislabelled, neighbour_votes, worst_mistakes

__all__ = [
    "HeatMaps",
    "NearDuplicates",
    "Ranking",
    "features",
    "grad_cam",
    "least_certain",
    "mislabelled",
    "near_duplicates",
    "neighbour_votes",
    "overlay",
    "picture_of",
    "small_copies",
    "thumbnail_uri",
    "upsampled",
    "worst_mistakes",
]
