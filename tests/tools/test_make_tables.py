"""Generated tables: made from records, and stale ones are found."""

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doc_tables.rates import RatedRun
from tests.artifacts.made_up import counts, data_facts, record_document

from reslab.artifacts.record import RecordDocument, save_record
from reslab.recipes import RECIPES, recipe

_PATH = Path(__file__).parents[2] / "tools" / "make_tables.py"


@pytest.fixture(scope="module")
def tables() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("make_tables", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_PATH.parent)  # as for a script, whose own folder is where it imports from first
        spec.loader.exec_module(module)
        yield module


def _project(root: Path) -> Path:
    (root / "docs").mkdir()
    (root / "README.md").write_text("before\n<!-- begin: results -->\nold\n<!-- end: results -->\nafter\n")
    path = root / "results" / "cifar-resnet20" / "0.json"
    path.parent.mkdir(parents=True)
    test = counts(correct=9130, total=10000)
    facts = data_facts(name="cifar10")
    save_record(path, record_document(recipe("cifar-resnet20"), dataset=facts, final={"test": test}))
    return root


def test_a_stale_table_is_found_and_then_made_anew(
    tables: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _project(tmp_path)
    assert tables.main(["--check"], root) == 1
    assert "README.md: is not what the records say; run: make results" in capsys.readouterr().out
    assert tables.main([], root) == 0
    assert tables.main(["--check"], root) == 0
    text = (root / "README.md").read_text()
    assert "8.70 % (870 of 10000 wrong)" in text
    assert "test error 8.75 % (Table 6)" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_without_records_it_says_so_and_unknown_blocks_are_refused(tables: Any) -> None:
    text = "<!-- begin: results -->\n<!-- end: results -->"
    assert "No records yet." in tables.fill(text, {"results": []})
    with pytest.raises(ValueError, match="no generator for the block 'other'"):
        tables.fill(text.replace("results", "other"), {"results": []})


def test_a_contest_is_a_table_of_ratios_with_their_spread(tables: Any, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "bench"
    folder.mkdir(parents=True)
    row = {"what": "fp32", "facts": {}, "images_per_second": [1.0, 2.0]}
    rows = [
        {**row, "name": "peer", "ratio": 1.0, "ratio_min": 1.0, "ratio_max": 1.0},
        {**row, "name": "reslab", "ratio": 2.5, "ratio_min": 2.25, "ratio_max": 3.0, "facts": {"engine": "bf16"}},
    ]
    (folder / "cifar.json").write_text(json.dumps({"title": "ResNet-20", "rounds": 2, "rows": rows}))
    text = (
        "<!-- begin: bench-cifar -->\n<!-- end: bench-cifar -->\n<!-- begin: bench-large -->\n<!-- end: bench-large -->"
    )
    filled = tables.fill(text, {"bench": tables.read_benchmarks(tmp_path / "results")})
    assert "| reslab | fp32; engine: bf16 | 2.50 | 2.25 to 3.00 |" in filled
    assert "Not measured yet." in filled
    assert tables.read_records(tmp_path / "results") == []


def test_depth_is_shown_as_time_per_layer_and_memory(tables: Any) -> None:
    rows = [
        {
            "depth": depth, "checkpoint_activations": checkpoints, "seconds_per_step": seconds, "peak_gb": memory,
            "peak_gb_before_training": 0.25,
        }
        for depth, checkpoints, seconds, memory in (
            (20, False, 0.1, 0.5), (20, True, 0.13, 0.4), (1202, False, 6.01, 9.0), (1202, True, 8.0, 2.0),
        )
    ]  # fmt: skip
    table = tables.BLOCKS["bench-depth"]({"depth": {"rows": rows}})
    assert "| 1202 | 1.00 | 9.00 GB (0.25) | 2.00 GB (0.25) | 1.33 x |" in table


def test_the_docs_list_the_differences_that_the_recipes_have(tables: Any) -> None:
    text = (_PATH.parents[1] / "docs" / "differences.md").read_text(encoding="utf-8")
    assert "<!-- begin: differences -->" in text
    assert tables.fill(text, {"differences": RECIPES}) == text


def test_a_difference_names_its_recipes_by_patterns_that_no_other_recipe_has(tables: Any) -> None:
    rows = {row.split(" | ")[0].lstrip("| "): row for row in tables.BLOCKS["differences"](RECIPES).splitlines()}
    assert rows["where option A's zeros go"].endswith(
        "| `digits-resnet*`, `cifar-resnet*`, `cifar-resnet*-small`, `cifar-resnet*-fast` |"
    )
    assert rows["warm-up of 1202 layers"].endswith("| `cifar-plain1202`, `cifar-resnet1202` |")
    assert rows["ImageNet's plateau"].endswith("| `imagenet-*` |")
    assert rows["precision"].endswith("| all |")


def test_the_table_of_deeper_nets_tells_one_that_leapt_from_one_that_never_learned(tables: Any) -> None:
    def record(curve: tuple[tuple[int, float], ...], correct: int) -> RecordDocument:
        found = counts(correct, 100)
        document = record_document(recipe("digits-plain56"), curve={"train": curve})
        return replace(document, network="x", final={"train": found, "test": found})

    leapt, slow = record(((51, 9.0), (68, 0.1), (85, 80.0)), 20), record(((51, 90.0), (68, 89.0), (85, 88.0)), 12)
    rows = tables.BLOCKS["deeper"]([leapt, slow]).splitlines()[2:]
    assert rows == ["| x | 0 | 9.0 | 0.1 | 80.0 | 80.0 |", "| x | 0 | 90.0 | 88.0 | 88.0 | 88.0 |"]


def test_the_table_of_rates_has_a_row_for_each_rate_in_order(tables: Any) -> None:
    runs = [RatedRun(0.005, 0, 10.0), RatedRun(0.005, 1, 20.0), RatedRun(0.05, 0, 50.0), RatedRun(0.05, 1, 51.0)]
    rows = tables.BLOCKS["rates"](runs).splitlines()[2:]
    assert rows == ["| 0.005 | 10.00 | 20.00 | 15.0 |", "| 0.05 | 50.00 | 51.00 | 50.5 |"]
