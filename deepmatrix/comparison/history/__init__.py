"""The history of all runs: a file with a line a measurement, its series, their change points."""
