"""Why a network answers as it does, and which images deserve a look."""

from .features import features, last_map
from .gradcam import HeatMaps, grad_cam, head_maps, upsampled
from .label_errors import Ranking, least_certain, mislabelled, neighbour_votes, worst_mistakes
from .near_duplicates import NearDuplicates, near_duplicates, small_copies
from .overlay import enlarged, overlay, picture_of, thumbnail_uri
from .panel import side_by_side

__all__ = [
    "HeatMaps",
    "NearDuplicates",
    "Ranking",
    "enlarged",
    "features",
    "grad_cam",
    "head_maps",
    "last_map",
    "least_certain",
    "mislabelled",
    "near_duplicates",
    "neighbour_votes",
    "overlay",
    "picture_of",
    "side_by_side",
    "small_copies",
    "thumbnail_uri",
    "upsampled",
    "worst_mistakes",
]
