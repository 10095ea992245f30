"""Benchmarks against peers: `make bench`, or `python -m benchmarks NAME ...`."""
