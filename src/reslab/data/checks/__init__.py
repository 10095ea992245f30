"""Checks of image files before training: what is wrong with a data set."""
