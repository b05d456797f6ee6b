"""Images: from a cell to the image that it runs in.

In come cells and the files of ``docker/``; out go one image a cell, found by a hash of everything
that decides what is in it.
"""
