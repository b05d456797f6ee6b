"""Training in Theano."""

import theano
from theano import tensor
from theano.tensor.nnet import categorical_crossentropy, softmax


def train(inputs, logits, params, batches, rate):
    labels = tensor.lvector("labels")
    odds = softmax(logits.reshape((-1, logits.shape[-1])))
    loss = categorical_crossentropy(odds, labels).mean()
    gradients = tensor.grad(loss, params)
    updates = [(param, param - rate * gradient) for param, gradient in zip(params, gradients)]
    step = theano.function(inputs + [labels], loss, updates=updates)
    for arrays, targets in batches:
        step(*arrays, targets.flatten())
