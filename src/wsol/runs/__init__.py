"""Run folders: settings and recipes, what a trained network is made of, written and read."""
