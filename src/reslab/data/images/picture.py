"""Pictures of any kind and their uint8 views, one definition for predictions and evaluations.

Views are made on the CPU from pixels in one memory layout, so they have the same bits for every caller.
"""

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reslab.errors import RunError
from reslab.spec import PreprocessSpec, ResizeMode

from .decode import MAX_PIXELS, MODES, decode, decode_bytes, decode_pillow, resize, short_side_size

Picture = str | PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray | Tensor

_KINDS = "a path, the bytes of a file, a PIL image, a uint8 array [h, w] or [h, w, c], or a uint8 tensor [c, h, w]"


def read_picture(picture: Picture, num_channels: int, name: str) -> Tensor:
    """Convert a picture of any kind to pixels, rotated as its EXIF data says.

    Args:
        picture: A path (str or PathLike); the bytes of a file; a PIL image; a uint8 array or tensor [h, w]; an array
            [h, w, c]; a tensor [c, h, w].
        num_channels: Channels of the result. Grey, RGB and RGBA are converted to each other as in files; other numbers
            of channels must match.
        name: What errors call the picture.

    Returns:
        uint8 [channels, height, width].

    Raises:
        RunError: The picture cannot be read, or its values are not uint8.
    """
    match picture:
        case str() | PathLike():
            return decode(Path(picture), num_channels)
        case bytes() | bytearray() | memoryview():
            return decode_bytes(bytes(picture), name, num_channels)
        case Image.Image():
            return decode_pillow(picture, name, num_channels)
        case np.ndarray():
            return _of_planes(picture, name, num_channels)
        case Tensor():
            return _of_tensor(picture, name, num_channels)
    raise RunError(f"{name} is of type {type(picture).__name__}; a picture is {_KINDS}.")


def _of_tensor(tensor: Tensor, name: str, num_channels: int) -> Tensor:
    if tensor.dtype != torch.uint8:  # numpy knows fewer types than torch
        raise _wrong_type(name, str(tensor.dtype).removeprefix("torch."))
    values = tensor.detach().cpu().numpy()
    return _of_planes(values.transpose(1, 2, 0) if values.ndim == 3 else values, name, num_channels)


def _of_planes(values: np.ndarray, name: str, num_channels: int) -> Tensor:
    """Convert uint8 [h, w] or [h, w, c] to uint8 [channels, h, w]."""
    if values.dtype != np.uint8:
        raise _wrong_type(name, str(values.dtype))
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise RunError(f"{name} is an array of {values.shape}; a picture is {_KINDS}.")
    planes = values if values.ndim == 3 else values[:, :, None]
    channels = planes.shape[2]
    if channels == num_channels:
        return torch.from_numpy(np.array(planes)).permute(2, 0, 1)
    if channels not in MODES or num_channels not in MODES:
        raise RunError(
            f"{name} is an array of {values.shape}: {channels} channels, but the model takes {num_channels} "
            "(arrays are [h, w, c], tensors [c, h, w])."
        )
    picture = Image.fromarray(np.ascontiguousarray(planes[:, :, 0] if channels == 1 else planes))
    return decode_pillow(picture, name, num_channels)


def _wrong_type(name: str, kind: str) -> RunError:
    return RunError(f"{name} has values of type {kind}; a picture has uint8 pixels, 0 to 255, not yet normalised.")


# --- the view ---------------------------------------------------------------------------------------------------------


def view(pixels: Tensor, spec: PreprocessSpec, name: str | Path) -> Tensor:
    """Resize a picture to the network's input size, as `spec.resize_mode` says.

    - "crop" resizes the shorter side to `short_side` and the longer in proportion (rounded to the nearest pixel, halves
      to even), then takes the centre; an odd pixel is cut off at the bottom or right. Without a `short_side` the
      picture must have the input size.
    - "letterbox" multiplies both sides by min(height / h, width / w), rounded likewise, at least 1, and puts the result
      in the middle; an odd pixel of border is at the bottom or right. The border is 255 x mean, rounded likewise.
    - "squash" resizes to height x width, whatever the aspect.

    Resizing is bilinear with antialiasing.

    Args:
        pixels: uint8 [channels, h, w].
        spec: The input size and the resize mode.
        name: What errors call the picture.

    Returns:
        uint8 [channels, height, width].

    Raises:
        RunError: The picture does not have the input size and must not be resized, or is too long to be resized.
    """
    pixels = pixels.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # the resize rounds by the layout in memory
    match spec.resize_mode:
        case "crop":
            return _cropped(pixels, spec, name)
        case "letterbox":
            return _letterboxed(pixels, spec)
        case "squash":
            return resize(pixels, (spec.height, spec.width))


def view_of(picture: Picture, spec: PreprocessSpec, name: str | None = None) -> Tensor:
    """Read a picture of any kind and resize it to the network's input size.

    Args:
        picture: See `read_picture`.
        spec: See `view`.
        name: What errors call the picture; by default its path.

    Returns:
        uint8 [channels, height, width].

    Raises:
        RunError: The picture cannot be read or resized.
    """
    name = name or (str(picture) if isinstance(picture, str | PathLike) else "the picture")
    return view(read_picture(picture, spec.channels, name), spec, name)


def with_resize_mode(spec: PreprocessSpec, resize_mode: ResizeMode | None) -> PreprocessSpec:
    """Change how a spec resizes pictures.

    A spec without a `short_side` that is to crop gets the longer side of the input as `short_side`.

    Args:
        spec: The spec; not changed.
        resize_mode: The new mode; None keeps the spec's own.

    Returns:
        The changed spec.
    """
    resizes = spec.resize_mode != "crop" or spec.short_side is not None
    if resize_mode is None or (resize_mode == spec.resize_mode and resizes):
        return spec
    short_side = max(spec.height, spec.width) if resize_mode == "crop" else None
    return replace(spec, resize_mode=resize_mode, short_side=short_side)


def _cropped(pixels: Tensor, spec: PreprocessSpec, name: str | Path) -> Tensor:
    height, width = pixels.shape[1:]
    if spec.short_side is None:
        if (height, width) != (spec.height, spec.width):
            raise RunError(
                f"{name}: has {width}x{height} pixels, but the model takes only {spec.width}x{spec.height}. "
                "Set resize_mode to 'crop', 'letterbox' or 'squash' to resize it."
            )
        return pixels
    size = short_side_size(height, width, spec.short_side)
    if size[0] * size[1] > MAX_PIXELS:
        raise RunError(
            f"{name}: has {width}x{height} pixels: with its shorter side resized to {spec.short_side}, it would be too "
            "large. Use resize_mode 'letterbox' or 'squash', or remove it from the data."
        )
    pixels = resize(pixels, size)
    top, left = (size[0] - spec.height) // 2, (size[1] - spec.width) // 2
    return pixels[:, top : top + spec.height, left : left + spec.width]


def _letterboxed(pixels: Tensor, spec: PreprocessSpec) -> Tensor:
    height, width = pixels.shape[1:]
    scale = min(spec.height / height, spec.width / width)
    size = tuple(
        max(1, min(limit, round(side * scale))) for side, limit in ((height, spec.height), (width, spec.width))
    )
    border = torch.tensor([round(255 * min(max(mean, 0.0), 1.0)) for mean in spec.mean], dtype=torch.uint8)
    result = border[:, None, None].repeat(1, spec.height, spec.width)
    top, left = (spec.height - size[0]) // 2, (spec.width - size[1]) // 2
    result[:, top : top + size[0], left : left + size[1]] = resize(pixels, (size[0], size[1]))
    return result
