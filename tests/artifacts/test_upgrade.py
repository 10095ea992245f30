"""Files of format version 1 (commit ebf7f61) are read under today's names; what is written says version 2."""

import json
from pathlib import Path

from reslab.artifacts.model_file import load_card, load_model, model_bytes
from reslab.artifacts.record import RecordedRun
from reslab.artifacts.upgrade import upgrade_model_file, upgrade_record
from reslab.config import from_dict

OLD = Path(__file__).parents[1] / "fixtures" / "ebf7f61"


def test_an_old_model_file_says_how_it_resizes() -> None:
    assert load_card(OLD / "model-letterbox.safetensors").preprocess.resize_mode == "letterbox"
    assert load_card(OLD / "model.safetensors").preprocess.resize_mode == "crop"
    assert load_card(OLD / "model-calibrated.safetensors").temperature is not None


def test_a_model_file_that_is_written_again_is_of_today(tmp_path: Path) -> None:
    loaded = load_model(OLD / "model-letterbox.safetensors")
    content = model_bytes(loaded.model, loaded.card)
    assert b'\\"format_version\\": 2' in content
    assert b'\\"fit\\"' not in content
    (tmp_path / "again.safetensors").write_bytes(content)
    assert load_model(tmp_path / "again.safetensors").card == loaded.card


def test_an_old_record_has_todays_config() -> None:
    config = RecordedRun.open(OLD / "record.json").config()
    assert config["evaluation"]["select"] == "best"
    run = json.loads((OLD / "finished" / "config.json").read_text())
    assert from_dict(config).train == from_dict(run).train


def test_documents_without_the_renamed_parts_stay_as_they_are() -> None:
    assert upgrade_model_file({"recipe": "x"}) == {"recipe": "x"}
    assert upgrade_model_file({"preprocess": {"height": 8}}) == {"preprocess": {"height": 8}}
    assert upgrade_record({"seed": 1}) == {"seed": 1}
