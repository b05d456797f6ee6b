"""Caffe 1.0: `adapter`; a network as prototxt in `layers`, `recurrent` and `attention`.

`net_text` writes the prototxt, `probes` has the probes, `idioms` the networks as users write them.
"""
