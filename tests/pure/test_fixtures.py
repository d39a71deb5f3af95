"""Nothing that was ever captured or documented is left without an expectation."""

from __future__ import annotations

from tests.pure.samples import FOLDER, INDEX
from tests.pure.test_motion_requests import WRITTEN
from tests.pure.test_protocol import READ, REQUEST_OF_QUERY

# A route that comes to be spoken moves its files from here to the table of what is read or written.
NOT_SPOKEN_YET = {
    "lora_upload_url.json",
    "v1_create_request.json",
    "v1_status_running.json",
    "v1_outputs_success.json",
    "v1_outputs_running_804.json",
    "v1_outputs_queued_813.json",
    "webhook_detail.json",
    "webhook_detail_none.json",
}
SPOKEN = [*READ, *WRITTEN, REQUEST_OF_QUERY]


def test_every_fixture_is_read_or_written_by_a_test_or_listed_as_not_spoken_yet() -> None:
    files = {path.name for path in FOLDER.glob("*.json")} - {"index.json"}
    assert files == {*SPOKEN, *NOT_SPOKEN_YET}


def test_no_fixture_is_both_spoken_and_not_spoken_yet() -> None:
    assert not NOT_SPOKEN_YET.intersection(SPOKEN)


def test_the_index_names_every_fixture_and_nothing_else() -> None:
    assert set(INDEX) == {path.name for path in FOLDER.glob("*.json")} - {"index.json"}


def test_every_request_fixture_is_written_and_every_other_spoken_one_is_read() -> None:
    requests = {file for file in SPOKEN if INDEX[file]["kind"] == "request"}
    assert requests == {*WRITTEN, REQUEST_OF_QUERY}
    assert {file for file in SPOKEN if INDEX[file]["kind"] != "request"} == set(READ)
