"""A GRU in Keras."""

import keras
from keras import layers


def network():
    return keras.Sequential([keras.Input((8, 8)), layers.GRU(48), layers.Dense(10)])
