"""The formats that a release holds its model in: one module each, behind the contract in `base`."""
