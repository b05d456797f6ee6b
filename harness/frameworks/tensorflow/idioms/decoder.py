"""A language model over bytes in Keras."""

import keras
from keras import layers


class Position(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="uniform")

    def call(self, x):
        return x + self.table


def block(x):
    normal = layers.LayerNormalization(epsilon=1e-5)(x)
    attended = layers.MultiHeadAttention(4, 8)(normal, normal, use_causal_mask=True)
    x = layers.Add()([x, attended])
    normal = layers.LayerNormalization(epsilon=1e-5)(x)
    hidden = layers.Dense(128, activation="relu")(normal)
    return layers.Add()([x, layers.Dense(32)(hidden)])


def network():
    inputs = keras.Input((64, 256))
    x = Position()(layers.Dense(32)(inputs))
    x = block(block(x))
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    return keras.Model(inputs, layers.Dense(256)(x))
