import pytest

from thaw.pipeline_config import errors
from thaw.pipeline_config.errors import ThawError, error_class

EXIT_CODES = {
    "ThawError": 1,
    "RequestError": 2,
    "RecipeError": 2,
    "DatasetError": 2,
    "ArtifactError": 1,
    "UnreadableError": 1,
    "TrainingError": 1,
    "DownloadError": 1,
    "StepProcessError": 1,
    "DeadlineError": 1,
    "NewerVersionError": 1,
    "ServerError": 1,
    "HomeInUseError": 1,
    "PublishError": 1,
}


@pytest.mark.parametrize("name", EXIT_CODES)
def test_every_error_is_found_by_its_name_and_has_its_exit_code(name):
    assert error_class(name) is getattr(errors, name)
    assert error_class(name).exit_code == EXIT_CODES[name]


def test_the_tree_in_the_docstring_names_every_error_with_its_exit_code():
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, ThawError)}
    assert defined == set(EXIT_CODES)
    drawn = [line for line in (errors.__doc__ or "").splitlines() if "Error" in line]
    assert {next(word for word in line.split() if "Error" in word) for line in drawn} == defined
    for line in drawn[1:]:  # the root has no code of its own in the drawing
        name = next(word for word in line.split() if "Error" in word)
        inherited = "exit" not in line and issubclass(error_class(name), errors.RequestError)
        assert inherited or line.rstrip().endswith(f"exit {EXIT_CODES[name]}")


@pytest.mark.parametrize("name", ["ValueError", "", "KeyboardInterrupt", "os.system"])
def test_name_that_is_not_in_the_tree_gives_the_base(name):
    assert error_class(name) is ThawError
