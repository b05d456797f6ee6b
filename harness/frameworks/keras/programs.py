"""Keras models compiled to train, and to give their gradients.

Import this module after Keras only.
"""

import keras

from harness.frameworks.keras import layers


class Model:
    """A network as a compiled Keras model, and what takes its gradients."""

    def __init__(self, network, rate):
        self.graph = layers.Graph(network)
        self.keras = self.graph.model
        _compile(self.keras, keras.optimizers.SGD(rate))
        self.variables = self.keras.trainable_variables  # listing them takes time in each step
        self._recorder = None

    def gradients(self, x, y):
        """Return the gradient of the mean loss over all labels by ``id`` of its variable.

        Keras's trainer returns no gradients. So a second model of the same layers is trained, by an
        optimiser that changes nothing.
        """
        if self._recorder is None:
            self._recorder = keras.Model(self.keras.input, self.keras.output)
            _compile(self._recorder, Recorder())
        self._recorder.train_on_batch(x, y)
        return self._recorder.optimizer.recorded()


def _compile(model, optimiser):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimiser, loss=loss)


class Recorder(keras.optimizers.Optimizer):
    """Takes no step, and keeps the gradients."""

    def __init__(self):
        super().__init__(learning_rate=1.0)

    def build(self, variables):
        """Make a variable for each gradient."""
        if not self.built:
            super().build(variables)
            self._gradients = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient, variable, learning_rate):
        """Keep a gradient."""
        del learning_rate
        self.assign(self._gradients[self._get_variable_index(variable)], gradient)

    def recorded(self):
        """Return the gradients of the last step by ``id`` of their variables."""
        pairs = zip(self._trainable_variables, self._gradients)
        return {id(variable): gradient for variable, gradient in pairs}
