"""The networks as a user of torch 1.0 wrote them; what is as today names the module of today.

`training` is the loop that trains any of them; `proof` compares them with the neutral networks.
"""
