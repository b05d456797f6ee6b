"""AlexNet in Keras."""

import keras
from keras import layers


def conv(filters):
    return layers.Conv2D(filters, 3, padding="same", activation="relu")


def pool():
    return layers.MaxPooling2D(3, strides=2, padding="same")


def network():
    return keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            conv(8),
            pool(),
            conv(24),
            pool(),
            conv(48),
            conv(32),
            conv(32),
            pool(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
