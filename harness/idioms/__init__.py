"""Idioms: each network as a person writes it in a framework, at the size ``small``.

``<network>_<framework>.py`` holds the definition and nothing else; its logical lines are counted
(``matrix/idioms.py`` says how). ``training_<framework>.py`` is the loop that trains any of them.
A definition is what the framework's users write: torch's ``Network``, Keras's and CNTK's
``network()``, jax's ``initial(key)`` with ``apply(params, x)``, Caffe's net as a specification,
Theano's and TensorFlow 1's expressions with their inputs; in the framework's own layouts and with
the layers that come with it.

``<framework>_proof.py`` puts the neutral weights into a definition and asks for its answers, which
have to be those of the neutral network. It relies on layers being made in the network's order.
"""
