"""Files fetched from the internet, kept only where their checksum is right."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from dlas.errors import UserError

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30


def download(url: str, destination: Path, md5: str, another_way: str = "give another dataset.root") -> None:
    """Fetch `url` into the file `destination`, which appears whole or not at all.

    UserError where there is no network, no room, or the wrong content.
    """
    by_hand = f"put {destination.name} (from {url}) into {destination.parent}, or {another_way}"
    unfinished = destination.with_name(f"{destination.name}.unfinished")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response,
            unfinished.open("wb") as file,
            tqdm(
                total=int(response.headers.get("Content-Length", 0)) or None,
                desc=destination.name,
                unit="B",
                unit_scale=True,
            ) as progress,
        ):
            while chunk := response.read(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
                progress.update(len(chunk))
        if digest.hexdigest() != md5:
            raise UserError(
                f"{url} has the MD5 sum {digest.hexdigest()}, not {md5}", key="dataset.root", remedy=by_hand
            )
        unfinished.rename(destination)
    except (OSError, urllib.error.URLError) as error:
        raise UserError(f"cannot download {url}: {error}", key="dataset.root", remedy=by_hand) from error
    finally:
        unfinished.unlink(missing_ok=True)
