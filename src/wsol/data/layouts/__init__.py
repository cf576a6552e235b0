"""Layouts of data sets on disk, one class each."""
