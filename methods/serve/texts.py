"""Tokens and templates, in the forms of llama-server and of vLLM at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from methods.serve.errors import bad
from methods.serve.fields import DetokenizeBody, TemplateBody, TokenizeBody
from methods.serve.messages import turns
from runtime.prompt import conversation_text, conversation_tokens

if TYPE_CHECKING:
    from methods.serve.desk import Desk


def tokenize(desk: Desk, body: TokenizeBody) -> dict[str, Any]:
    """Ids of a text, or of a conversation as the model's template writes it."""
    tokenizer = desk.policy.tokenizer
    if body.messages:
        ids = conversation_tokens(desk.policy, turns(body.messages))
    else:
        text = body.content if body.content is not None else body.prompt
        if text is None:
            raise bad("give content, prompt or messages", "content")
        # llama-server adds nothing in front unless it is asked, vLLM does unless it is told not to
        default = body.content is None
        asked = [a for a in (body.add_special, body.add_special_tokens) if a is not None]
        begins = asked[0] if asked else default
        ids = (
            tokenizer.encode(text, special=body.parse_special)
            if begins
            else tokenizer.encode_more(text)
        )
    pieces = tokenizer.pieces
    shown: list[Any] = list(ids)
    if body.with_pieces:
        shown = [{"id": i, "piece": pieces[i].decode("utf-8", "replace")} for i in ids]
    return {"tokens": shown, "count": len(ids), "max_model_len": desk.policy.context}


def detokenize(desk: Desk, body: DetokenizeBody) -> dict[str, Any]:
    """The text of ids, under both servers' names."""
    size = desk.policy.tokenizer.size
    for token in body.tokens:
        if token >= size:
            raise bad(f"token {token} is not in the vocabulary of {size}", "tokens")
    text = desk.policy.tokenizer.decode(body.tokens)
    return {"content": text, "prompt": text}


def tokenizer_info(desk: Desk) -> dict[str, Any]:
    """What lm-eval asks before it sends tokens."""
    tokenizer = desk.policy.tokenizer
    return {
        "eos_token": tokenizer.eos,
        "bos_token": tokenizer.bos,
        "pad_token": None,
        "vocab_size": tokenizer.size,
        "chat_template": tokenizer.chat_template,
    }


def template(desk: Desk, body: TemplateBody) -> str:
    """A conversation as the model reads it."""
    return conversation_text(desk.policy, turns(body.messages), variables=body.chat_template_kwargs)
