"""Judge a model on the test split: predictions, metrics, pictures, a report, a comparison."""
