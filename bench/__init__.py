"""Measure the figures of speed that the project promises; run by scripts/bench."""
