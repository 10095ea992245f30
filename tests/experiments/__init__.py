"""Tests of the experiments, and evidence made up for them."""
