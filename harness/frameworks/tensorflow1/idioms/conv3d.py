"""A 3-D convolutional net in TensorFlow 1."""

import tensorflow as tf


def network():
    video = tf.placeholder(tf.float32, [None, 6, 12, 12, 1])
    x = tf.layers.conv3d(video, 8, 3, padding="same", activation=tf.nn.relu)
    x = tf.layers.max_pooling3d(x, 2, strides=2)
    x = tf.layers.conv3d(x, 16, 3, padding="same", activation=tf.nn.relu)
    x = tf.layers.max_pooling3d(x, 2, strides=2)
    return video, tf.layers.dense(tf.layers.flatten(x), 10)
