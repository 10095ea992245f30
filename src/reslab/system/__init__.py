"""The machine: files, environment, memory, progress. No module in it imports torch."""
