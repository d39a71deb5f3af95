"""Checks the fields of a request against the catalogue's documentation of its model. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real

from attrs import field, frozen

from rh_async.issues import Issue, display_text
from rh_async.models.base import ModelRequest, Request, short_repr
from rh_async.models.catalog import Model, Param, find_model

_FIELDS_OF_ANY_MODEL = frozenset({"webhookUrl"})


def check_fields(request: Request) -> Iterator[Issue]:
    """Check the fields of a `ModelRequest` against the catalogue; other requests checked theirs when they were made."""
    if not isinstance(request, ModelRequest):
        return
    model = find_model(request.endpoint)
    if model is None:
        message = "is not in the catalogue this plan is made with; its fields go as they are"
        yield Issue(rule="unknown model", subject=request.endpoint, message=message, hint="Try one before sending many",
                      severity="warning")  # fmt: skip
        return
    for name in sorted(request.fields.keys() - model.params.keys() - _FIELDS_OF_ANY_MODEL):
        known = ", ".join(model.params)
        subject, hint = f"{model.endpoint}, {display_text(name)}", f"It takes {known}"
        message = "no such field is known"
        yield Issue(rule="unknown field", subject=subject, message=message, hint=hint, severity="warning")
    for param in model.params.values():
        yield from _FieldCheck(model, param, request.fields.get(param.name)).issues()


@frozen
class _FieldCheck:
    model: Model
    param: Param
    value: object = field()

    def issues(self) -> Iterator[Issue]:
        if self.value is None:
            if self.param.required and self.param.default is None:
                yield self._issue("missing field", "is required, and missing", "Give it")
            return
        most = self.param.max_items
        if isinstance(self.value, list | tuple) and most is not None and len(self.value) > most:
            yield self._issue("too many items", f"has {len(self.value)} items", f"Give {most} at most")
        yield from self._check_choice()
        yield from self._check_length()
        yield from self._check_range()

    def _check_choice(self) -> Iterator[Issue]:
        options = self.param.options
        values = self.value if isinstance(self.value, list | tuple) else (self.value,)
        if options and not all(str(value) in options for value in values):
            yield self._issue(
                "not an option", f"{short_repr(self.value)} is no option", f"Give one of {', '.join(options)}"
            )

    def _check_length(self) -> Iterator[Issue]:
        minimum, maximum = self.param.length
        if not isinstance(self.value, str) or self.param.is_media:
            return
        if len(self.value) < minimum or (maximum is not None and len(self.value) > maximum):
            allowed = f"Give {minimum:,} to {maximum:,}" if maximum is not None else f"Give {minimum:,} at least"
            yield self._issue("length of text", f"has {len(self.value):,} characters", allowed)

    def _check_range(self) -> Iterator[Issue]:
        minimum, maximum = self.param.value_range
        if not isinstance(self.value, Real) or isinstance(self.value, bool):
            return
        value = float(self.value)
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            text = (
                f"Give {'any' if minimum is None else f'{minimum:g}'} to {'any' if maximum is None else f'{maximum:g}'}"
            )
            yield self._issue("out of range", f"{short_repr(self.value)} is out of range", text)

    def _issue(self, rule: str, message: str, hint: str) -> Issue:
        subject, has_extra = f"{self.model.endpoint}, {self.param.name}", not self.model.partial  # contract 11
        return Issue(
            rule=rule, subject=subject, message=message, hint=hint, severity="error" if has_extra else "warning"
        )
