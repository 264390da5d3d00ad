"""Make a release of a result, keep the releases, and know which one is the champion of each recipe."""
