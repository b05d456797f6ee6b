#!/bin/sh
# TensorFlow's C API, of its wheel, whose libraries bear no names without a version.
# shellcheck disable=SC2034 # build.sh reads them
tensorflow=/installed/packages/tensorflow
compile="-isystem $tensorflow/include"
link="-L$tensorflow -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2"
folders="$tensorflow"
licences="$tensorflow/include/LICENSE $tensorflow/THIRD_PARTY_NOTICES.txt"
