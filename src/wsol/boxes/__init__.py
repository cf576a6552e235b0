"""Heatmaps to boxes, and how likely a box is right; nothing here is learnt and nothing knows a network."""
