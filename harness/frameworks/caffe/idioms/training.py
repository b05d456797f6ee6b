"""Training in Caffe: its solver, which reads a file."""

import tempfile

import caffe
from caffe import layers as L  # noqa: N812
from caffe.proto import caffe_pb2


def make_solver(n, labels, rate):
    n.label = L.Input(shape={"dim": labels})
    n.loss = L.SoftmaxWithLoss(n.score, n.label, softmax_param={"axis": -1})
    settings = caffe_pb2.SolverParameter(net_param=n.to_proto(), base_lr=rate, lr_policy="fixed")
    with tempfile.NamedTemporaryFile("w") as target:
        target.write(str(settings))
        target.flush()
        return caffe.SGDSolver(target.name)


def train(solver, batches):
    for batch in batches:
        for name, values in batch.items():
            solver.net.blobs[name].data[...] = values
        solver.step(1)
