"""Fixtures for the tests of the clean-up."""

import os

import pytest


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether data reach the disk no test can see."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
