"""Training in CNTK."""

import cntk
import numpy


def train(model, batches, rate):
    labels = cntk.input_variable(model.shape, dynamic_axes=model.dynamic_axes)
    loss = cntk.cross_entropy_with_softmax(model, labels)
    learner = cntk.sgd(model.parameters, cntk.learning_parameter_schedule(rate))
    trainer = cntk.Trainer(model, loss, learner)
    classes = numpy.eye(*model.shape, dtype="float32")
    for inputs, y in batches:
        fed = dict(zip(model.arguments, inputs))
        fed[labels] = classes[y]
        trainer.train_minibatch(fed)
