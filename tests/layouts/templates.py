"""Chat templates that say what those of public repositories say, where no tools are given."""

from __future__ import annotations

INST = "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"
INST_V3 = (
    '{%- if messages[0]["role"] == "system" %}{%- set loop_messages = messages[1:] %}'
    "{%- else %}{%- set loop_messages = messages %}{%- endif %}{{- bos_token }}"
    "{%- for m in loop_messages %}{%- if m.role == 'user' %}"
    "{{- '[INST] ' + m.content + '[/INST]' }}{%- else %}{{- ' ' + m.content + eos_token }}"
    "{%- endif %}{%- endfor %}"
)
TEKKEN = INST_V3.replace("'[INST] '", "'[INST]'").replace("' ' + m", "m")
ZEPHYR = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content + eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)


def introduced(system: str) -> str:
    """ChatML with a system message of the model's own, where none is given."""
    return (
        "{%- if messages[0]['role'] != 'system' %}"
        f"{{{{- '<|im_start|>system\\n{system}<|im_end|>\\n' }}}}"
        "{%- endif %}{%- for m in messages %}"
        "{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
    )


QWEN = introduced("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
QWEN_MATH = introduced("Please reason step by step, and put your final answer within \\\\boxed{}.")
SMOLLM = introduced("You are a helpful AI assistant named SmolLM, trained by Hugging Face")
_TURNS = (
    "{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
LLAMA3 = "{{- bos_token }}" + _TURNS
LLAMA31 = (
    "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\\n' }}"
    "{{- 'Today Date: 26 Jul 2024\\n\\n<|eot_id|>' }}" + _TURNS
)
LLAMA32 = (
    "{%- if strftime_now is defined %}{%- set day = strftime_now('%d %b %Y') %}"
    "{%- else %}{%- set day = '26 Jul 2024' %}{%- endif %}"
    "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\\n' }}"
    "{{- 'Today Date: ' + day + '\\n\\n<|eot_id|>' }}" + _TURNS
)
