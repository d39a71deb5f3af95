"""Try an installed rh_async, without pytest: one job against the emulator, and every file that the package needs.

``python -m tests.smoke`` from a folder that has no source tree.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import rh_async
from rh_async import KlingMotionControl
from rh_async.emulator import Emulator

DATA = ("py.typed", "_api/CONTRACT.md", "_polling/POLLING.md")


async def main() -> None:
    package = Path(rh_async.__file__).parent
    if "site-packages" not in package.parts:
        sys.exit(f"{package} is no installed package")
    for name in DATA:
        if not files(rh_async).joinpath(name).is_file():
            sys.exit(f"{name} is not in the package")
    with TemporaryDirectory() as folder:
        image, clip = Path(folder, "hero.png"), Path(folder, "dance.mp4")
        image.write_bytes(b"\x89PNG\r\n\x1a\n")
        clip.write_bytes(b"\x00\x00\x00\x18ftypmp42")
        async with Emulator(seed=1, scale=0.01) as server:
            async with rh_async.Session(server.api_key, base_url=server.url) as session:
                result = await session.run(KlingMotionControl(image, clip), output_dir=folder)
            saved, tasks = [path.name for path in result.paths], len(server.ledger.tasks)
    if not saved or tasks != 1:
        sys.exit(f"saved {saved} of {tasks} tasks")
    print(f"rh_async of {package} ran one job and saved {', '.join(saved)}")


if __name__ == "__main__":
    asyncio.run(main())
