"""A checkpoint becomes an artifact: GGUF or ONNX at a chosen quantization level."""
