"""Two safetensors files compared: each tensor to the last bit, and what the file says of itself."""

import json
import struct
from pathlib import Path
from typing import Any

from tests.reference.comparison import Comparison
from tests.reference.documents import compare_flat
from tests.reference.renamed import Renames
from tests.reference.translate import flatten, translate_tensor


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """Return what a safetensors file says of itself, and each tensor as (type, shape, bytes)."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = {name: _as_json(text) for name, text in header.pop("__metadata__", {}).items()}
    tensors = {
        name: (entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }
    return metadata, tensors


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def compare_tensors(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    """Compare the tensors of two safetensors files to the last bit, and nothing else of them."""
    ours = {translate_tensor(key, name, renames): value for key, value in read_tensors(old)[1].items()}
    theirs = read_tensors(new)[1]
    differences = []
    for key in dict.fromkeys([*ours, *theirs]):
        if key not in theirs or key not in ours:
            differences.append(f"tensor {key}: only in the {'reference' if key in ours else 'current tree'}")
        elif ours[key] != theirs[key]:
            differences.append(f"tensor {key}: {_tensor_difference(ours[key], theirs[key])}")
    return Comparison(name, len(ours), tuple(differences))


def _tensor_difference(old: tuple[Any, ...], new: tuple[Any, ...]) -> str:
    if old[:2] != new[:2]:
        return f"{old[0]} {list(old[1])} in the reference, {new[0]} {list(new[1])} in the current tree"
    count = sum(a != b for a, b in zip(old[2], new[2], strict=True))
    return f"{count} of {len(old[2])} bytes differ"


def compare_safetensors(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    said = [read_tensors(path)[0] for path in (old, new)]
    # reslab's document is the one entry, whatever its name
    documents = [flatten(value["reslab"] if set(value) == {"reslab"} else value) for value in said]
    tensors = compare_tensors(old, new, name, renames)
    card = compare_flat(documents[0], documents[1], name, renames)
    return Comparison(name, tensors.compared + card.compared, (*tensors.differences, *card.differences))
