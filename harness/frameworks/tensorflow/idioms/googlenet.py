"""GoogLeNet in Keras."""

import keras
import tensorflow as tf
from keras import layers


def conv(x, filters, size):
    return layers.Conv2D(filters, size, padding="same", activation="relu")(x)


def pool(x, stride=2):
    return layers.MaxPooling2D(3, strides=stride, padding="same")(x)


class Normalize(layers.Layer):
    def call(self, x):
        return tf.nn.local_response_normalization(x, 2, bias=1.0, alpha=1e-4 / 5, beta=0.75)


def inception(x, pointwise, three_reduce, three, five_reduce, five, pooled):
    parts = [
        conv(x, pointwise, 1),
        conv(conv(x, three_reduce, 1), three, 3),
        conv(conv(x, five_reduce, 1), five, 5),
        conv(pool(x, 1), pooled, 1),
    ]
    return layers.Concatenate()(parts)


def network():
    inputs = keras.Input((32, 32, 1))
    x = Normalize()(pool(conv(inputs, 8, 3)))
    x = pool(Normalize()(conv(conv(x, 8, 1), 24, 3)))
    x = inception(x, 8, 12, 16, 2, 4, 4)
    x = pool(inception(x, 16, 16, 24, 4, 12, 8))
    x = inception(x, 24, 12, 26, 2, 6, 8)
    x = inception(x, 20, 14, 28, 3, 8, 8)
    x = inception(x, 16, 16, 32, 3, 8, 8)
    x = inception(x, 14, 18, 36, 4, 8, 8)
    x = pool(inception(x, 32, 20, 40, 4, 16, 16))
    x = inception(x, 32, 20, 40, 4, 16, 16)
    x = inception(x, 48, 24, 48, 6, 16, 16)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))
