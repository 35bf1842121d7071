"""NNCF's post-training quantization of one model on the OpenVINO backend, written as OpenVINO IR (.xml). Prints JSON."""

import logging
import time

import nncf
import numpy as np
import openvino

from measure import quantizer_parser, report


def main():
    parser = quantizer_parser(__doc__)
    parser.add_argument("--preset", choices=["PERFORMANCE", "MIXED"], default="PERFORMANCE")
    options = parser.parse_args()
    nncf.set_log_level(logging.ERROR)
    started = time.monotonic()
    data = np.load(options.data, mmap_mode="r")[: options.samples]
    batches = [np.ascontiguousarray(data[i : i + options.batch]) for i in range(0, len(data), options.batch)]
    model = openvino.Core().read_model(options.model)
    preset = nncf.QuantizationPreset[options.preset]
    quantized = nncf.quantize(model, nncf.Dataset(batches), preset=preset, subset_size=len(batches))
    openvino.save_model(quantized, options.output, compress_to_fp16=False)
    report(started, engine=f"NNCF {nncf.__version__} on OpenVINO {openvino.__version__.split('-')[0]}")


if __name__ == "__main__":
    main()
