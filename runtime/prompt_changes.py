"""What a user changes about the way a model is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from convert.artifact import PromptFormat
from convert.prompt_presets import CHAT


@dataclass(frozen=True, slots=True)
class PromptChanges:
    """A format in place of the model's own, and parts of it; None leaves a part as it is."""

    form: PromptFormat | None = None
    shots: int | None = None
    system: str | None = None
    step_stop: str | None = None
    answer_marker: str | None = None
    variables: tuple[tuple[str, Any], ...] = ()  # of the chat template

    def applied(self, own: PromptFormat | None) -> PromptFormat | None:
        """A model's own format with the changes."""
        if self == PromptChanges():
            return own
        base = self.form or own or PromptFormat()
        parts: dict[str, Any] = {
            "shots": self.shots,
            "system": self.system,
            "step_stop": self.step_stop,
            "answer_marker": self.answer_marker,
        }
        if self.variables:
            stated = json.loads(base.variables) if base.variables else {}
            parts["variables"] = json.dumps(stated | dict(self.variables), ensure_ascii=False)
        return replace(base, **{key: value for key, value in parts.items() if value is not None})


def names_chat(form: PromptFormat | None) -> bool:
    """Whether a format is known to be a model's chat template."""
    return form is not None and form.name == CHAT and form.template is None
