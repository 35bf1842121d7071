"""The trained networks of the shared assets, with the preprocessing, calibration and evaluation data that belong to each.

Calibration samples come from the calibration files only, evaluation uses whole evaluation sets.
"""

import dataclasses
import io
import pathlib
import tarfile
import typing

import numpy as np
from PIL import Image


@dataclasses.dataclass
class Network:
    name: str
    onnx: str
    calibration: typing.Callable  # assets folder -> [n, ...] float32
    evaluation: typing.Callable  # assets folder -> ([n, ...] float32, labels [n] or None)
    kind: str = "class"  # class: the largest output is the answer; values: the outputs themselves are
    tflite: str = ""  # published int8 file
    chunk: int = 250  # samples per run; 1 where the batch is fixed


def pictures(archive, prepare, per_class=None):
    """Pictures of a tar with class folders, in the order of the names, as ([n, ...] float32, class folder of each)."""
    values, folders, taken = [], [], {}
    with tarfile.open(archive) as tar:
        for member in sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name):
            folder = member.name.split("/")[-2]
            taken[folder] = taken.get(folder, 0) + 1
            if per_class and taken[folder] > per_class:
                continue
            picture = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            values.append(np.asarray(prepare(picture), np.float32))
            folders.append(folder)
    return np.stack(values), folders


def squeezed(width, height):
    return lambda picture: picture.resize((width, height), Image.Resampling.BILINEAR)


def centre_crop(size):
    def crop(picture):
        left, top = (picture.width - size) // 2, (picture.height - size) // 2
        return picture.crop((left, top, left + size, top + size))

    return crop


def nchw(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def cifar_calibration(assets):
    return pictures(assets / "data/cifar10/train.tar", lambda p: p, per_class=50)[0]


def cifar_evaluation(assets):
    x, folders = pictures(assets / "data/cifar10/test.tar", lambda p: p)
    classes = (assets / "data/cifar10/labels.txt").read_text().split()
    return x, np.array([classes.index(folder) for folder in folders])


def imagenet(part, prepare, scale):
    """Pictures of the sample, prepared as a picture and then scaled as an array; the class is the number the folder begins with."""

    def load(assets):
        x, folders = pictures(assets / f"data/imagenet-sample/{part}.tar", prepare)
        return scale(x), np.array([int(folder.split("_")[0]) for folder in folders])

    return load


def imagenet_pair(prepare, scale, labels):
    calibration, evaluation = imagenet("calib", prepare, scale), imagenet("val", prepare, scale)
    keep = lambda pair: pair if labels else (pair[0], None)
    return lambda assets: calibration(assets)[0], lambda assets: keep(evaluation(assets))


def speech(start):
    def load(assets):
        return np.load(assets / "data/kws01/x_float.npy")[start::2], np.load(assets / "data/kws01/y.npy")[start::2]

    return load


def machine_sound(start):
    def load(assets):
        frames = np.fromfile(assets / "data/ad/normal_id_01_00000000_hist_librosa.bin", "<f4").reshape(200, 128)
        return np.stack([frames[i : i + 5].ravel() for i in range(196)])[start::2]

    return load


def faces(assets):
    scale = lambda picture: (np.asarray(squeezed(320, 240)(picture.convert("RGB")), np.float32) - 127) / 128
    return nchw(np.stack([scale(Image.open(path)) for path in sorted((assets / "data/faces").glob("*.jpg"))])), None


def har(name):
    return lambda assets: np.load(assets / f"data/har/{name}.npy")


MOBILENET_V1 = imagenet_pair(centre_crop(224), lambda x: x / 127.5 - 1, labels=True)
WAKE_WORDS = imagenet_pair(squeezed(96, 96), lambda x: x / 255, labels=False)
PERSON = imagenet_pair(squeezed(128, 128), lambda x: nchw(x / 127.5 - 1), labels=False)
FACE_CALIBRATION = imagenet("calib", squeezed(320, 240), lambda x: nchw((x - 127) / 128))

NETWORKS = [
    Network("resnet8", "resnet8/resnet8_fp32.onnx", cifar_calibration, cifar_evaluation, tflite="resnet8/resnet8_int8.tflite"),
    Network(
        "resnet8_large", "resnet8_large/resnet8_large_fp32.onnx", cifar_calibration, cifar_evaluation,
        tflite="resnet8_large/resnet8_large_int8.tflite",
    ),
    Network("dscnn", "dscnn/dscnn_fp32.onnx", lambda a: speech(0)(a)[0], speech(1), tflite="dscnn/dscnn_int8.tflite"),
    Network("har", "har/har_fp32.onnx", har("calib_x"), lambda a: (har("x")(a), har("y")(a)), tflite="har/har_int8.tflite"),
    Network(
        "mobilenetv1_025", "mobilenetv1_025_224/mobilenetv1_025_224_fp32.onnx", *MOBILENET_V1, chunk=20,
        tflite="mobilenetv1_025_224/mobilenetv1_025_224_int8.tflite",
    ),
    Network("vww", "vww/vww_fp32.onnx", *WAKE_WORDS, tflite="vww/vww_int8.tflite", chunk=50),
    Network("mobilenetv2_person", "mobilenetv2_person/mobilenetv2_person_fp32.onnx", *PERSON, chunk=50),
    Network("ad", "ad/ad_fp32.onnx", machine_sound(0), lambda a: (machine_sound(1)(a), None), kind="values", tflite="ad/ad_int8.tflite"),
    Network("ultraface", "ultraface/rfb320.onnx", lambda a: FACE_CALIBRATION(a)[0], faces, kind="values", chunk=1),
]  # fmt: skip


def load(network, assets, calibration_samples):
    """(calibration, evaluation, labels or None) of a network, float32 and int64.

    Calibration samples are taken at even distances: the files are sorted by class or recording, and their beginning is one-sided."""
    assets = pathlib.Path(assets)
    x, labels = network.evaluation(assets)
    calibration = network.calibration(assets)
    rows = np.linspace(0, len(calibration) - 1, min(calibration_samples, len(calibration))).round().astype(int)
    calibration = calibration[rows]
    as_float = lambda array: np.ascontiguousarray(array, np.float32)
    return as_float(calibration), as_float(x), None if labels is None else np.asarray(labels, np.int64)
