"""The paper's claims as things to run: one module per claim."""
