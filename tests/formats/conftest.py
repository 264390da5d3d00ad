"""The pictures that releases are tested with."""

from tests.publishing.conftest import photos

__all__ = ["photos"]
