"""Explanations of a network's answers, and rankings of the images that are worth checking."""

from .features import last_map, penultimate_features
from .gradcam import HeatMaps, grad_cam, head_maps, upsampled
from .label_errors import Ranking, least_certain, likely_mislabelled, neighbour_votes, worst_mistakes
from .near_duplicates import NearDuplicates, find_near_duplicates, small_copies
from .overlay import enlarged, overlay_heat, picture_of, thumbnail_uri
from .panel import side_by_side

__all__ = [
    "HeatMaps",
    "NearDuplicates",
    "Ranking",
    "enlarged",
    "find_near_duplicates",
    "grad_cam",
    "head_maps",
    "last_map",
    "least_certain",
    "likely_mislabelled",
    "neighbour_votes",
    "overlay_heat",
    "penultimate_features",
    "picture_of",
    "side_by_side",
    "small_copies",
    "thumbnail_uri",
    "upsampled",
    "worst_mistakes",
]
