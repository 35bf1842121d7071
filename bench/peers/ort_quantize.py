"""ONNX Runtime's static quantization of one model: QDQ, per-channel weights, after its own preprocessing. Prints JSON."""

import logging
import tempfile
import time

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from measure import quantizer_parser, report


class NpyReader(CalibrationDataReader):
    def __init__(self, model, path, samples, batch):
        name = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0].name
        data = np.load(path, mmap_mode="r")[:samples]
        self.batches = ({name: np.ascontiguousarray(data[i : i + batch])} for i in range(0, len(data), batch))

    def get_next(self):
        return next(self.batches, None)


def with_per_channel_opset(path, folder):
    """The model itself, or, where its opset is too old for per-channel DequantizeLinear, a copy in opset 13, as ONNX Runtime's manual advises."""
    model = onnx.load(path)
    if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) >= 13:
        return path
    # The converter wants constants that are no inputs, which old files list as both.
    constants = {weight.name for weight in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    converted = folder + "/opset13.onnx"
    onnx.save(onnx.version_converter.convert_version(model, 13), converted)
    return converted


def main():
    parser = quantizer_parser(__doc__)
    parser.add_argument("--method", choices=[m.name for m in CalibrationMethod], default="MinMax")
    parser.add_argument("--activations", choices=["u8", "s8"], default="u8")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    started = time.monotonic()
    onnxruntime.set_default_logger_severity(3)
    with tempfile.TemporaryDirectory() as folder:
        prepared = folder + "/prepared.onnx"
        quant_pre_process(with_per_channel_opset(options.model, folder), prepared)
        quantize_static(
            prepared,
            options.output,
            NpyReader(options.model, options.data, options.samples, options.batch),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8 if options.activations == "u8" else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[options.method],
        )
    report(started, engine=f"ONNX Runtime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
