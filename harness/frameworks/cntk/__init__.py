"""CNTK 2.7: `adapter`, its `layers`, its `probes`, and `idioms`."""
