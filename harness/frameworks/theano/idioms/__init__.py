"""The networks as a user of Theano writes them, a module for each.

`training` is the loop that trains any of them; `proof` compares them with the neutral networks.
"""
