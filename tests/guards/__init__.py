"""Guards of a move: what users, files and the server see, compared with golden files.

Golden files of today's behaviour are written anew, all in one step, by::

    GOLDEN=write pytest -n0 tests/guards

Then read ``git diff tests/guards/golden``: each changed line is a change that a user or the server will see. The frozen
files of an older version (``golden/frozen``) are never written so: later versions must go on reading them.
"""
