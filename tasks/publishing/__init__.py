"""Publish a model: a signed-off release folder, and the pointer to the champion."""
