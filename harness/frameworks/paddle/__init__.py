"""PaddlePaddle, eager: `adapter` and its `layers`."""
