"""The figures on report pages."""
