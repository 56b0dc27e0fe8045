# asyncssh as an SFTP server: passwords and keys, and its own implementation of SFTP. Says its port when it listens.
import asyncio
import os
import sys

import asyncssh

folder, password = sys.argv[1], os.environ["PASSWORD"]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, given):
        return username == "reader" and given == password


async def main():
    listener = await asyncssh.create_server(
        Server,
        "127.0.0.1",
        0,
        server_host_keys=[f"{folder}/host_ed25519", f"{folder}/host_ecdsa"],
        authorized_client_keys=f"{folder}/authorized_keys",
        sftp_factory=True,
    )
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
