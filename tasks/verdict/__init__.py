"""The verdict: what the new model is compared with, on which images, and by which rule."""
