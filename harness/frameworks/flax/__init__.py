"""Flax, modules for jax, by its API ``flax.nnx``: `adapter` and its `layers`.

Device, threads, exports and what waits for the device are those of jax's adapter.
"""
