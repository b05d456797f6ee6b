"""GoogLeNet in TensorFlow 1."""

import tensorflow as tf


def conv(x, filters, size):
    return tf.layers.conv2d(x, filters, size, padding="same", activation=tf.nn.relu)


def pool(x, stride=2):
    return tf.layers.max_pooling2d(x, 3, strides=stride, padding="same")


def normalize(x):
    return tf.nn.local_response_normalization(x, 2, bias=1.0, alpha=1e-4 / 5, beta=0.75)


def inception(x, pointwise, three_reduce, three, five_reduce, five, pooled):
    parts = [
        conv(x, pointwise, 1),
        conv(conv(x, three_reduce, 1), three, 3),
        conv(conv(x, five_reduce, 1), five, 5),
        conv(pool(x, 1), pooled, 1),
    ]
    return tf.concat(parts, axis=3)


def network():
    images = tf.placeholder(tf.float32, [None, 32, 32, 1])
    x = normalize(pool(conv(images, 8, 3)))
    x = pool(normalize(conv(conv(x, 8, 1), 24, 3)))
    x = inception(x, 8, 12, 16, 2, 4, 4)
    x = pool(inception(x, 16, 16, 24, 4, 12, 8))
    x = inception(x, 24, 12, 26, 2, 6, 8)
    x = inception(x, 20, 14, 28, 3, 8, 8)
    x = inception(x, 16, 16, 32, 3, 8, 8)
    x = inception(x, 14, 18, 36, 4, 8, 8)
    x = pool(inception(x, 32, 20, 40, 4, 16, 16))
    x = inception(x, 32, 20, 40, 4, 16, 16)
    x = inception(x, 48, 24, 48, 6, 16, 16)
    x = tf.reduce_mean(x, axis=[1, 2])
    return images, tf.layers.dense(x, 10)
