"""Training in CNTK."""

import cntk
import numpy


def train(model, batches, rate):
    labels = cntk.input_variable(model.shape, dynamic_axes=model.dynamic_axes)
    last = len(model.shape) - 1  # the default, -1, pairs the rows of a matrix
    loss = cntk.reduce_mean(cntk.cross_entropy_with_softmax(model, labels, axis=last))
    learner = cntk.sgd(model.parameters, cntk.learning_parameter_schedule(rate))
    trainer = cntk.Trainer(model, loss, learner)
    classes = numpy.eye(model.shape[-1], dtype="float32")
    for inputs, y in batches:
        fed = dict(zip(model.arguments, inputs))
        fed[labels] = classes[y]
        trainer.train_minibatch(fed)
