"""Operators over windows and places of an image: convolution, pooling, resizing, sampling."""
