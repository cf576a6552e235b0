"""Evaluation: runs and stored maps, measured by the field's metrics."""
