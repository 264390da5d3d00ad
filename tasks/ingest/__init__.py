"""Find images and labels, check them, split them: a source to a dataset artifact."""
