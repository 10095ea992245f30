"""The machine: files, environment, memory, progress. No torch here."""
