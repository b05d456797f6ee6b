"""The boundary: what comes from outside is checked once, here, and trusted behind it.

In come files that a cell, a person or a broken disk wrote; out come typed values whose numbers,
texts and lists are within stated bounds, or one error that names the file and the field.

``bounds`` has the types, ``opening`` the one door through which a file is opened for reading,
``files`` what reads JSON, and ``writing`` the one door through which files are written.
"""
