"""Photos: decoding, views and batches of images of any size."""
