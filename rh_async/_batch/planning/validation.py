"""Checks a request against the documented limits of its model. Pure: the caller has probed the files.

A documented limit is an error. A limit that the documents contradict, or do not state, is a warning: an error would
stop jobs that the server may take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rh_async._media.media_info import MediaInfo
from rh_async.issues import Issue
from rh_async.models.base import ModelRequest, Request
from rh_async.models.catalog import find_model
from rh_async.models.media_limits import MediaLimits

from .field_check import check_fields
from .file_check import FileCheck


def check(request: Request, media_info: Mapping[Path, MediaInfo | Issue]) -> tuple[Issue, ...]:
    """Find everything that is wrong with a request and its files.

    :param media_info: what each of its local files is, or the issue of a file that cannot be used.
    """
    return (*check_fields(request), *check_files(request, media_info))


def check_files(request: Request, media_info: Mapping[Path, MediaInfo | Issue]) -> Iterator[Issue]:
    """Find everything that is wrong with a request's files."""
    limits = limits_of(request)
    for media in request.media():
        info = media_info[media.path]
        if isinstance(info, Issue):
            yield info
        else:
            yield from FileCheck(media, info, limits.get(media.field), request.endpoint).issues()


def limits_of(request: Request) -> Mapping[str, MediaLimits]:
    """Return the documented limits of each media field of a request."""
    if not isinstance(request, ModelRequest):
        return request.limits
    model = find_model(request.endpoint)
    return model.limits(request.fields) if model else {}
