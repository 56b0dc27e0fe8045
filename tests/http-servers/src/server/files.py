"""whitenoise over the folder `root` beside this file, as it comes, but for files that are put there later."""

import pathlib

from whitenoise import WhiteNoise


def nothing(environ, start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no such file"]


application = WhiteNoise(nothing, root=pathlib.Path(__file__).with_name("root"), autorefresh=True)
