"""jax with optax: `adapter`, its `layers`, its `probes`, and `idioms`."""
