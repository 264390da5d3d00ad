import pytest

from tests.ingest.pictures import fill
from tests.records.made import COUNTS, Made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("records")
    return Made(base / "home", fill(base / "data", COUNTS))


@pytest.fixture(scope="module")
def folder(made):
    return made.records("shared")


@pytest.fixture
def own(tmp_path):
    """Records that a test may damage."""
    return Made(tmp_path / "home", fill(tmp_path / "data", COUNTS))
