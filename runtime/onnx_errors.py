"""What onnxruntime says when it cannot open a file, as one line with a remedy."""

from __future__ import annotations

import re
from pathlib import Path

from convert.onnx_files import data_path

UPDATE = "update onnxruntime, or convert it again"
KNOWN = (  # what is searched for in onnxruntime's words, and what is said instead
    (
        r"Protobuf parsing failed|No graph was found|does not have a graph",
        "{path} is not an ONNX model, or was cut short; convert it again",
    ),
    (
        r"External initializer: (?P<name>\S+) .*out of bounds",
        "{data} is cut short, or of another conversion; convert it again",
    ),
    (
        r"External data path .*does not exist|open file .*\.data.* failed",
        "{data} is missing; it belongs beside {file}",
    ),
    (
        r"(?:Error No Op registered for |Fatal error: )(?P<name>[\w.:]+)",
        "{path} has operator {name}, which onnxruntime {version} lacks; " + UPDATE,
    ),
    (
        r"No opset import for domain '(?P<name>[^']*)'",
        "{path} has operators of {name!r}, which onnxruntime {version} lacks; " + UPDATE,
    ),
    (
        r"Opset (?P<name>\d+) is under development",
        "{path} has operators of opset {name}, newer than onnxruntime {version}; " + UPDATE,
    ),
    (
        r"Unsupported model IR version: (?P<name>\d+)",
        "{path} has ONNX format version {name}, newer than onnxruntime {version}; " + UPDATE,
    ),
)


def reason(path: Path, said: str, version: str) -> str:
    """One line for what onnxruntime of a version said of a file."""
    text = " ".join(said.split())
    data = data_path(path.with_name(path.name.replace(".cuda.onnx", ".onnx")))
    for pattern, line in KNOWN:
        if found := re.search(pattern, text):
            name = found.groupdict().get("name", "")
            return line.format(path=path, file=path.name, data=data, version=version, name=name)
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"Load model from .*? failed:", "", text)
    if "/onnxruntime_src/" in text:
        text = text.rpartition(") ")[2]  # a C++ signature stands before it
    return f"onnxruntime {version} cannot open {path}: {text}"
