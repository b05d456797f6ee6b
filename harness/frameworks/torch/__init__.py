"""PyTorch: `adapter`, its `layers`, `exports` to all formats, its `probes`, and `idioms`."""
