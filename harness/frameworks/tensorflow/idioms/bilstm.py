"""A bidirectional LSTM in Keras."""

import keras
from keras import layers


def network():
    lstm = layers.Bidirectional(layers.LSTM(48))
    return keras.Sequential([keras.Input((8, 8)), lstm, layers.Dense(10)])
