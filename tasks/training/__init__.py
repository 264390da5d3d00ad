"""Train one stage from a start: build, thaw, augment, step, measure."""
