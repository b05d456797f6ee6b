"""A plain recurrent net in Keras."""

import keras
from keras import layers


def network():
    return keras.Sequential([keras.Input((8, 8)), layers.SimpleRNN(48), layers.Dense(10)])
