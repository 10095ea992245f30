"""Photos: decoding, views and batches of pictures of any size."""
