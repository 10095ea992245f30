"""The verbs of `reslab`, one module each."""
