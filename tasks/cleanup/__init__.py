"""What in a home folder nothing needs any more: how it is found, and removed. No TensorFlow, no Prefect."""
