"""OxfordNet, configuration A, in Keras."""

import keras
from keras import layers


def network():
    model = keras.Sequential([keras.Input((32, 32, 1))])
    for widths in ([8], [16], [32, 32], [64, 64], [64, 64]):
        for width in widths:
            model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10))
    return model
