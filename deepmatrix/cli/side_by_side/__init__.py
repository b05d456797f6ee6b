"""Comparing side by side: two versions or two runs, measured in turn on this machine."""
