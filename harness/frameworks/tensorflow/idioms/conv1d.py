"""A temporal convolutional net in Keras."""

import keras
from keras import layers


def network():
    return keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Conv1D(32, 3, padding="same", activation="relu"),
            layers.Conv1D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
