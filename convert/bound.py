"""The functions of llama.cpp that are called here, by library: what a ready-made one must have."""

from __future__ import annotations

import ctypes

from convert.ggml import library_path

FEATURES = ("neon", "dotprod", "avx2", "avx512")
BOUND: dict[str, tuple[str, ...]] = {  # in the order in which they need each other
    "ggml-base": (
        "ggml_backend_buffer_is_host",
        "ggml_backend_dev_backend_reg",
        "ggml_backend_dev_description",
        "ggml_backend_dev_memory",
        "ggml_backend_dev_type",
        "ggml_backend_reg_name",
        "ggml_backend_tensor_get",
        "ggml_commit",
        "ggml_op_name",
        "ggml_quantize_chunk",
        "ggml_type_name",
        "ggml_validate_row_data",
        "ggml_version",
    ),
    "ggml-cpu": (
        "ggml_cpu_fp16_to_fp32",
        "ggml_cpu_fp32_to_fp16",
        *(f"ggml_cpu_has_{feature}" for feature in FEATURES),
    ),
    "ggml": ("ggml_backend_dev_count", "ggml_backend_dev_get"),
    "llama": (
        "llama_backend_init",
        "llama_batch_free",
        "llama_batch_get_one",
        "llama_batch_init",
        "llama_context_default_params",
        "llama_decode",
        "llama_free",
        "llama_get_embeddings",
        "llama_get_logits",
        "llama_get_memory",
        "llama_get_model",
        "llama_init_from_model",
        "llama_log_set",
        "llama_memory_clear",
        "llama_memory_seq_cp",
        "llama_memory_seq_rm",
        "llama_model_chat_template",
        "llama_model_default_params",
        "llama_model_free",
        "llama_model_get_vocab",
        "llama_model_load_from_file",
        "llama_model_meta_val_str",
        "llama_model_n_embd",
        "llama_model_quantize",
        "llama_model_quantize_default_params",
        "llama_n_batch",
        "llama_print_system_info",
        "llama_set_embeddings",
        "llama_state_seq_get_data",
        "llama_state_seq_get_size",
        "llama_state_seq_set_data",
        "llama_supports_gpu_offload",
        "llama_token_to_piece",
        "llama_tokenize",
        "llama_vocab_bos",
        "llama_vocab_eos",
        "llama_vocab_get_add_bos",
        "llama_vocab_get_attr",
        "llama_vocab_get_text",
        "llama_vocab_is_eog",
        "llama_vocab_n_tokens",
        "llama_vocab_type",
    ),
}


def missing() -> list[str]:
    """Those that the installed libraries lack; their Python binding is not loaded.

    Raises:
        OSError: if a library cannot be loaded; says what it wants.
    """
    found: list[str] = []
    for name, functions in BOUND.items():
        try:
            library = ctypes.CDLL(str(library_path(name)))
        except FileNotFoundError:
            found += functions
            continue
        found += [function for function in functions if not hasattr(library, function)]
    return found
