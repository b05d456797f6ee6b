"""Frameworks: a folder for each, with all that the harness knows of it.

In: neutral descriptions of networks, neutral weights and batches. Out: trained models, their
answers and gradients in neutral layouts, and exports.

A folder has `adapter`, the functions that `harness.adapters` names; `layers`, the neutral layers in
the framework's own; `probes`, small programs of `harness.probes`; and `idioms`, the networks as a
user writes them, see `harness.idioms`. The module names never shadow the framework: a folder is
imported as ``harness.frameworks.torch``.
"""
