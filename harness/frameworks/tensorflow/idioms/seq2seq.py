"""A sequence-to-sequence model with attention in Keras."""

import keras
from keras import layers


def network():
    source, fed = keras.Input((6, 11)), keras.Input((6, 11))
    memory, state = layers.GRU(32, return_sequences=True, return_state=True)(source)
    decoded = layers.GRU(32, return_sequences=True)(fed, initial_state=state)
    scaled = layers.Rescaling(32**-0.5)(decoded)
    context = layers.Attention()([scaled, memory])
    joined = layers.Concatenate()([context, decoded])
    attended = layers.Dense(32, activation="tanh")(joined)
    return keras.Model([source, fed], layers.Dense(10)(attended))
