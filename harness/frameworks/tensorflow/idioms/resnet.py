"""A residual net in Keras."""

import keras
from keras import layers


def conv(x, width, stride=1, **settings):
    if stride > 1:  # padding="same" would then pad the end alone
        x = layers.ZeroPadding2D(1)(x)
    padding = "valid" if stride > 1 else "same"
    return layers.Conv2D(width, 3, strides=stride, padding=padding, **settings)(x)


def block(x, width, stride):
    shortcut = layers.Conv2D(width, 1, strides=stride)(x) if stride > 1 else x
    branch = conv(x, width, stride, activation="relu")
    branch = conv(branch, width, kernel_initializer="zeros")
    return layers.ReLU()(layers.Add()([branch, shortcut]))


def network():
    inputs = keras.Input((32, 32, 1))
    x = conv(inputs, 16, activation="relu")
    x = block(x, 16, 1)
    x = block(x, 32, 2)
    x = block(x, 64, 2)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))
