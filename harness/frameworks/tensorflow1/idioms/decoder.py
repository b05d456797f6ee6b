"""A language model over bytes in TensorFlow 1."""

import numpy
import tensorflow as tf

MASK = numpy.triu(numpy.full((64, 64), -numpy.inf), 1)


def normalize(x):  # tf.contrib.layers.layer_norm has another epsilon, fixed at 1e-12
    scale, offset = tf.Variable(tf.ones([32])), tf.Variable(tf.zeros([32]))
    mean, variance = tf.nn.moments(x, axes=[2], keep_dims=True)
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-5)


def heads(x):
    return tf.transpose(tf.reshape(tf.layers.dense(x, 32), [-1, 64, 4, 8]), [0, 2, 1, 3])


def attend(x):
    query, key, value = heads(x), heads(x), heads(x)
    scores = tf.matmul(query, key, transpose_b=True) / 8**0.5 + MASK
    attended = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), [0, 2, 1, 3])
    return tf.layers.dense(tf.reshape(attended, [-1, 64, 32]), 32)


def block(x):
    x += attend(normalize(x))
    hidden = tf.layers.dense(normalize(x), 128, activation=tf.nn.relu)
    return x + tf.layers.dense(hidden, 32)


def network():
    symbols = tf.placeholder(tf.float32, [None, 64, 256])
    x = tf.layers.dense(symbols, 32) + tf.get_variable("position", [64, 32])
    return symbols, tf.layers.dense(normalize(block(block(x))), 256)
