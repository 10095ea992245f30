"""From config to objects: the one place that knows RunConfig and the classes."""

from .checks import (
    check_image_size,
    check_micro_batches,
    check_views,
    check_weights,
    warn_of_large_groups,
    warn_of_late_drops,
    warn_of_long_warmup,
    warn_of_unused_settings,
)
from .data import build_preprocess, build_splits, largest_short_side, match_model_to_data
from .network import build_network, choose_engine, load_weights, synchronize_batch_norm
from .stream import build_stream
from .training import build_average, build_learning_rate, build_optimizer, build_train_options

__all__ = [
    "build_average",
    "build_learning_rate",
    "build_network",
    "build_optimizer",
    "build_preprocess",
    "build_splits",
    "build_stream",
    "build_train_options",
    "check_image_size",
    "check_micro_batches",
    "check_views",
    "check_weights",
    "choose_engine",
    "largest_short_side",
    "load_weights",
    "match_model_to_data",
    "synchronize_batch_norm",
    "warn_of_large_groups",
    "warn_of_late_drops",
    "warn_of_long_warmup",
    "warn_of_unused_settings",
]
