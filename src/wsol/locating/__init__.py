"""Locating: photos in, results out."""
