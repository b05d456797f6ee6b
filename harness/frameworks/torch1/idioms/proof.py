"""Proof of torch 1's idioms, as of torch's."""

import functools

from harness.frameworks.torch.idioms import proof

logits = functools.partial(proof.logits, framework="torch1")
trained_logits = functools.partial(proof.trained_logits, framework="torch1")
