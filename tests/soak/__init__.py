"""Tests that let a served recipe live for half an hour among faults."""
