"""ONNX Runtime under MLPerf's LoadGen: `adapter`, and the scenarios in `loadgen`."""
