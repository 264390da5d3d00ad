"""What `thaw compare` refuses before anything starts, and how it reads its options."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support import small_recipe
from thaw.flows.cli import app
from thaw.flows.commands.compare import parse_seeds
from thaw.pipeline_config.errors import RecipeError, RequestError
from thaw.pipeline_config.yaml_dialect import write_yaml


@pytest.mark.parametrize(("text", "seeds"), [("0,1,2", [0, 1, 2]), ("7", [7]), (" 3, 1 ", [3, 1])])
def test_seeds_are_numbers_with_commas(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "0,", "1;2", "-1", "0.5", "2147483648", "1,1", "٣", "0-2"])
def test_other_seeds_are_refused_with_an_example(text):
    with pytest.raises(RequestError, match="--seeds is"):
        parse_seeds(text)


def test_recipes_of_one_name_are_refused(tmp_path: Path):
    recipe = small_recipe(tmp_path).model_dump(mode="json", by_alias=True)
    files = [str(tmp_path / name) for name in ("one.yaml", "two.yaml")]
    for file in files:
        Path(file).write_text(write_yaml(recipe))
    result = CliRunner().invoke(app, ["compare", *files, "--home", str(tmp_path / "home")])
    assert isinstance(result.exception, RecipeError)
    assert "2 of the recipes have the name small" in str(result.exception)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("arguments", [["no_such_recipe"], ["digits", "--seeds", "x"], ["digits", "--set", "x=1"]])
def test_a_wrong_request_starts_nothing(tmp_path: Path, arguments):
    result = CliRunner().invoke(app, ["compare", *arguments, "--home", str(tmp_path / "home")])
    assert isinstance(result.exception, RequestError)
    assert not (tmp_path / "home").exists()
