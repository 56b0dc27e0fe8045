"""An FTP server: port, folder, and a file with a private key and its certificate."""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

port, root, pem = sys.argv[1:]
EVERYTHING = "elradfmwMT"


class Handler(TLS_FTPHandler):
    authorizer = DummyAuthorizer()
    certfile = pem
    # Wrong passwords are answered at once.
    auth_failed_timeout = 0


Handler.authorizer.add_user("writer", "swordfish", root, EVERYTHING)
Handler.authorizer.add_user("timeless", "swordfish", root, EVERYTHING.replace("T", ""))
Handler.authorizer.add_anonymous(root, perm=EVERYTHING)
ThreadedFTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
