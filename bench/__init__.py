"""Measure how fast reminderd is, as ratios against stated yardsticks: `python -m bench`."""
