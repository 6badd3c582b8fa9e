"""What both sides of a board agree on: the names of the server's functions, and the version of their words.

Imports nothing: a virtual board has no more than the server needs.
"""

from __future__ import annotations

VERSION = 1
"""Version of what the client asks and the board answers, requests of sessions and their results with it. One
more for each change that the side of another version would take wrongly. Boards before 1 tell none."""

ABOUT, RUN = "dlas.board.about", "dlas.board.run"
RUNTIME, MAKE_FOLDER = "dlas.board.runtime", "dlas.board.make_folder"
