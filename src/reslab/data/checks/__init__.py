"""Checks of image files before training."""
