"""Write a dataset as TFRecord shards, and read them back by index."""
