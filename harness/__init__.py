"""What runs inside every cell: ``python -m harness DIR``.

DIR is the control directory: ``input.json`` and data come in, ``output.json``, arrays and
artifacts go out. Standard library, numpy and one framework; Python 3.6 and later.
Nothing of this package imports ``deepmatrix``.
"""
