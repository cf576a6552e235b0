"""A localizer in one file that other programs run: written with torch (`write`), asked without (`Portable`)."""
