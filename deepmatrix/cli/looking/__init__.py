"""Commands that look at runs that are there: they measure nothing."""
