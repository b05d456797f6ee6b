"""A sequence-to-sequence model with attention in Keras."""

import keras
from keras import layers


def network():
    source, fed = keras.Input((6, 11)), keras.Input((6, 11))
    memory = layers.LSTM(32, return_sequences=True)(source)
    decoded = layers.LSTM(32, return_sequences=True)(fed)
    scaled = layers.Rescaling(32**-0.5)(decoded)
    context = layers.Attention()([scaled, memory])
    joined = layers.Concatenate()([context, decoded])
    attended = layers.Dense(32, activation="tanh")(joined)
    return keras.Model([source, fed], layers.Dense(10)(attended))
