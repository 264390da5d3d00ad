"""Compares recipes over seeds: reads what their runs left, and makes one table and one picture of it. No TensorFlow."""
