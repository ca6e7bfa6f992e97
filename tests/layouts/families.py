"""config.json of public checkpoints as published, but for sizes; ids come with a tokenizer."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]
LAYERS = 2
COMMON: Config = {
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
    "use_cache": True,
}
MISTRAL = COMMON | {
    "architectures": ["MistralForCausalLM"],
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "transformers_version": "4.34.0.dev0",
}
MISTRAL_V3 = MISTRAL | {
    "attention_dropout": 0.0,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "transformers_version": "4.42.0.dev0",
}
MINISTRAL = MISTRAL_V3 | {
    "head_dim": 32,  # not hidden_size / num_attention_heads
    "rope_theta": 100000000.0,
    "sliding_window": 32768,
    "transformers_version": "4.46.0.dev0",
}
MINISTRAL3 = {key: MINISTRAL[key] for key in MINISTRAL if key != "rope_theta"} | {
    "max_position_embeddings": 262144,
    "model_type": "ministral3",
    "rope_parameters": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 16.0,
        "llama_4_scaling_beta": 0.1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 16384,
        "rope_theta": 1000000.0,
        "rope_type": "yarn",
    },
    "sliding_window": None,
    "tie_word_embeddings": True,
}
QUIET_STAR = MISTRAL | {
    "_name_or_path": "cache/quietstar/checkpoint-100",
    "attention_dropout": 0.0,
    "max_thoughts": 10,
    "merged_lm_and_talk_heads": False,
    "merged_lm_and_think_heads": True,
    "merged_talk_heads": True,
    "transformers_version": "4.37.0.dev0",
    "use_complex_talk_head": True,
    "use_complex_think_head": False,
    "use_concat_talk_head": True,
    "use_shallow_talk": False,
    "use_shallow_think": True,
    "use_weighted_talk_head": True,
}
LLAMA = COMMON | {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "max_position_embeddings": 32768,
    "model_type": "llama",
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "transformers_version": "4.35.2",
}
TINYLLAMA = LLAMA | {"max_position_embeddings": 2048}
SMOLLM2 = LLAMA | {
    "hidden_size": 48,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "pad_token_id": 2,
    "rope_interleaved": False,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
}
ROPE_LLAMA3 = {
    "factor": 32.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
LLAMA3 = LLAMA | {
    "head_dim": 16,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "rope_scaling": ROPE_LLAMA3,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "transformers_version": "4.45.0.dev0",
}
LLAMA3_8B = LLAMA3 | {
    "rope_scaling": ROPE_LLAMA3 | {"factor": 8.0},
    "tie_word_embeddings": False,
}
QWEN2 = COMMON | {
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "model_type": "qwen2",
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "transformers_version": "4.43.1",
    "use_sliding_window": False,
}
QWEN2_MATH = QWEN2 | {
    "max_position_embeddings": 4096,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
}
QWEN3 = QWEN2 | {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "head_dim": 32,
    "max_position_embeddings": 40960,
    "max_window_layers": 28,
    "model_type": "qwen3",
    "rope_scaling": None,
    "sliding_window": None,
    "transformers_version": "4.51.0",
}
TWO_LABELS = {
    "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
}


def known(config: Config) -> Config:
    """The same decoder in the words of a transformers without Ministral 3.

    Its queries grow from position `original_max_position_embeddings` on, beyond what tests read.
    """
    if config["model_type"] != "ministral3":
        return config
    rope = config["rope_parameters"]
    scaling = {key: value for key, value in rope.items() if key != "llama_4_scaling_beta"}
    kept = {key: value for key, value in config.items() if key != "rope_parameters"}
    theta = rope["rope_theta"]
    return kept | {"model_type": "mistral", "rope_scaling": scaling, "rope_theta": theta}


def multimodal(text: Config) -> Config:
    """What stands around a decoder that reads images too."""
    return {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "image_token_index": 10,
        "model_type": "mistral3",
        "text_config": text,
        "vision_config": {"model_type": "pixtral"},
    }


def skywork(base: Config) -> Config:
    """A value head whose class is code that the repository brings along."""
    return base | {
        "architectures": ["Qwen2ForPrmModel"],
        "auto_map": {
            "AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig",
            "AutoModel": "modeling_qwen2_rm.Qwen2ForRewardModel",
        },
    }


def qwen_prm(base: Config) -> Config:
    """A classifier of two layers, likewise."""
    return base | {
        "architectures": ["Qwen2ForProcessRewardModel"],
        "auto_map": {
            "AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig",
            "AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel",
        },
        "tie_word_embeddings": False,
    }


def trl(base: Config, model_class: str) -> Config:
    """A token classifier that TRL trained."""
    return base | {"architectures": [model_class]} | TWO_LABELS
