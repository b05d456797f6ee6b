"""What neither the standard nor a model decides of its answers: it accuses no runtime.

In: a model whose inner graphs are unrolled, and its inputs. Out: which values are not compared
with gold, and how else an output may be right. `reaching` follows values to the outputs.
"""
