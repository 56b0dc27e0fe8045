"""Python's own http.server, as it comes, with and without TLS: folder, certificate and key; prints its two ports."""

import functools
import http.server
import ssl
import sys
import threading

folder, certificate, key = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
# The handshake belongs to the connection's thread: in accept, one silent client would stop all others.
secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
print(plain.server_port, secure.server_port, flush=True)
threading.Thread(target=secure.serve_forever, daemon=True).start()
plain.serve_forever()
