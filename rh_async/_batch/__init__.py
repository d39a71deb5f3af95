"""Batches: planning (what would be submitted, and what is wrong with it), then running, with costs, outputs, progress.

The modules that run a plan reach the session through `session_port` alone. The public names are in
`rh_async.batch`.
"""
