"""How far a model's probabilities can be trusted: its temperature, and from which probability on an answer counts."""
