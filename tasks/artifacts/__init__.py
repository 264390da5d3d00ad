"""Immutable folders named by their content: how they are written, found again, checked and locked."""
