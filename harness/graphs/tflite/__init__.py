"""TFLite models: their graph as its bytes describe it, and the values of their tensors."""
