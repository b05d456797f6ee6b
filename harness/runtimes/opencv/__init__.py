"""OpenCV's DNN module: `adapter` loads ``onnx`` and ``caffe`` models and answers."""
