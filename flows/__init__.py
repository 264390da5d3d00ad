"""What runs, in what order, and the command that starts it. No TensorFlow."""
