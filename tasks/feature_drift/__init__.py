"""The step `feature_drift`: whether new images differ in what stage one's frozen layers put out."""
