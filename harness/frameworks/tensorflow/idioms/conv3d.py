"""A 3-D convolutional net in Keras."""

import keras
from keras import layers


def network():
    return keras.Sequential(
        [
            keras.Input((6, 12, 12, 1)),
            layers.Conv3D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling3D(2),
            layers.Conv3D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling3D(2),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
