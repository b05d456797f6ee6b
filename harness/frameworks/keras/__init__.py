"""Keras 3 on the backend that ``KERAS_BACKEND`` names: `adapter`, `layers` and `programs`.

`layers` is also what `harness.frameworks.tensorflow` builds its networks of. Device, threads and
what the backend says of itself are those of the backend's own adapter.
"""
