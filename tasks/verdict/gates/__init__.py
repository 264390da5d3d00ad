"""The gates: one rule each for when a new model takes the champion's place."""
