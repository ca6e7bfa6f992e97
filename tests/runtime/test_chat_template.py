"""Chat templates: the text is that of transformers, and every failure is one line."""

from __future__ import annotations

from typing import Any

import pytest

from convert.refusal import Refusal
from runtime.chat_template import render

CHATML = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>assistant\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
    {%- endfor %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" + system_message + eos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
MISTRAL = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
        {{- raise_exception("roles must alternate user and assistant") }}
    {%- endif %}
    {%- if message["role"] == "user" and loop.last and system_message is defined %}
        {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
    {%- elif message["role"] == "user" %}
        {{- "[INST] " + message["content"] + "[/INST]" }}
    {%- else %}
        {{- " " + message["content"] + eos_token }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}
"""
GENERATION = """\
{% set mark = 'outer' %}
{% for message in messages %}
    {% if message.role == 'assistant' %}
<|assistant|>
{% generation %}
        {% set mark = 'inner' %}
{{ message.content + eos_token }}
        {% for word in message.content.split() %}{{ loop.index }}{{ mark }},{% endfor %}
{% endgeneration %}
{{ mark }}
    {% else %}
<|{{ message.role }}|>
{{ message.content }}{{ mark }}
    {% endif %}
{% endfor %}
"""
BREAK = """\
{% macro line(role, content, extra={}) %}<{{ role }} {{ extra|tojson(sort_keys=True) }}>
{{ content|tojson(ensure_ascii=False) }}{{ content|tojson(ensure_ascii=true) }}
{% endmacro %}
{% for message in messages %}
    {% if message.role == 'system' %}{% continue %}{% endif %}
    {% if loop.index > 2 %}{% break %}{% endif %}
{{ line(message.role, message.content, {'b': '<&>', 'a': [1, none]}) }}
{{ message|tojson(indent=2, separators=(',', ': ')) }}
{% endfor %}
"""
TEMPLATES = {
    "chatml": CHATML,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "generation": GENERATION,
    "break": BREAK,
}
USER = {"role": "user", "content": "Ann's 3 > 2 & \u00e9 \U0001f600\n\nHow many?"}
HELPER = {"role": "assistant", "content": "It is <b>5</b>."}
TALKS = (
    [USER],
    [{"role": "system", "content": " Be brief. "}, USER],
    [USER, HELPER, USER],
)
TOOL = {"type": "function", "function": {"name": "add", "description": "1 < 2 \u00fc"}}


def _variables(messages: Any = (USER,), tools: Any = None) -> dict[str, Any]:
    return {
        "messages": list(messages),
        "tools": tools,
        "documents": None,
        "add_generation_prompt": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
    }


def _theirs(template: str, variables: dict[str, Any]) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    given = dict(variables)
    (text,), _ = render_jinja_template(
        conversations=[given.pop("messages")], chat_template=template, **given
    )
    return str(text)


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("tools", [None, [TOOL]])
def test_the_text_is_that_of_transformers(name: str, tools: Any) -> None:
    for messages in TALKS:
        variables = _variables(messages, tools)
        text = render("m", TEMPLATES[name], variables)
        assert text == _theirs(TEMPLATES[name], variables)
        assert text.strip()


def test_what_a_template_asks_of_a_talk_is_its_refusal() -> None:
    with pytest.raises(Refusal, match=r"m.gguf: its chat template refuses: roles must alternate"):
        render("m.gguf", MISTRAL, _variables([USER, USER]))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if %}", "fails: TemplateSyntaxError: Expected an expression"),
        ("{{ messages + 1 }}", "fails: TypeError: can only concatenate list"),
        ("{{ 1 // 0 }}", "fails: ZeroDivisionError"),
        ("{{ messages[0].content.a.b }}", "fails: UndefinedError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "fails: RecursionError"),
        (f"{{{{ {'(' * 5000}1{')' * 5000} }}}}", "fails: RecursionError"),
        ("{{ 10 ** 5000 }}", "fails: ValueError: Exceeds the limit"),
        ("{{ range(10 ** 6) | list }}", "fails: OverflowError: Range too big"),
        ("{{ strftime_now(3) }}", "fails: TypeError"),
        ("{% include 'x' %}", "fails: TypeError: no loader"),
        ("{{ ().__class__.__mro__ }}", "fails: SecurityError: access to attribute '__class__'"),
        ("{% set _ = messages.append(1) %}", "fails: SecurityError"),
        ("{{ '\\ud800' }}", "fails: UnicodeEncodeError"),
        ("{{ raise_exception('no\n  way') }}", "refuses: no way;"),
        ("{{ 'x' * 10000000000 }}", "fails: it needs too much memory"),
        ("{{ 'x'.center(10 ** 9) }}", "fails: it needs too much memory"),
        ("{{ 'x' * 2000000 }}", "fails: its text passes 1000000 characters"),
        ("\udc80", "is not UTF-8;"),
    ],
)
def test_every_failure_is_one_line_with_a_way_on(template: str, said: str) -> None:
    with pytest.raises(Refusal) as raised:
        render("m.gguf", template, _variables())
    text = str(raised.value)
    assert text.startswith(f"m.gguf: its chat template {said}")
    assert text.endswith(
        "; give a prompt of your own with --prompt FILE, or in protocol.json beside the "
        "checkpoint, as in "
        '{"prompt": {"template": "Q: {question} A:"}}, and convert again'
    )
    assert "\n" not in text
    assert len(text) < 600
    assert render("m", "{{ eos_token }}", _variables()) == "</s>"
