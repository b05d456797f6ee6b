"""A bidirectional LSTM in Keras."""

import keras
from keras import layers


def network():
    both = layers.Bidirectional(layers.LSTM(48))
    return keras.Sequential([keras.Input((8, 8)), both, layers.Dense(10)])
