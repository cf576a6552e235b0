"""Benchmarks: grids of runs, trained, measured and put into one table beside the papers' figures."""
