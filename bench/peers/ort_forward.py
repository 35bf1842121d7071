"""The float forward pass of a model over the samples in ONNX Runtime: the bound of any calibration that runs the float model. Prints JSON."""

import argparse
import os
import time

import numpy as np
import onnxruntime

from measure import report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", required=True, metavar="X.npy")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    data = np.load(options.data, mmap_mode="r")[: options.samples]
    session.run(None, {name: data[: options.batch]})
    started = time.monotonic()
    for i in range(0, len(data), options.batch):
        session.run(None, {name: np.ascontiguousarray(data[i : i + options.batch])})
    report(started, engine=f"ONNX Runtime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
