"""thaw retrains image classifiers in two stages. The folders here are links to the repository's own."""
