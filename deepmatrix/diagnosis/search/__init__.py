"""The search: a model's graph, its values node by node, and where they first differ.

In come an artifact and the cells that compute it; out go traces and the first wrong tensor.
"""
