"""AlexNet in TensorFlow 1."""

import tensorflow as tf


def conv(x, filters):
    return tf.layers.conv2d(x, filters, 3, padding="same", activation=tf.nn.relu)


def pool(x):
    return tf.layers.max_pooling2d(x, 3, strides=2, padding="same")


def network():
    images = tf.placeholder(tf.float32, [None, 32, 32, 1])
    x = pool(conv(images, 8))
    x = pool(conv(x, 24))
    x = conv(x, 48)
    x = conv(x, 32)
    x = pool(conv(x, 32))
    x = tf.layers.flatten(x)
    x = tf.layers.dense(x, 64, activation=tf.nn.relu)
    x = tf.layers.dense(x, 64, activation=tf.nn.relu)
    return images, tf.layers.dense(x, 10)
