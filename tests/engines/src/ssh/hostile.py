# An SFTP server (version 3, no extension) on standard input and output, for the folder that it is told, which does one thing wrong.
import os
import select
import stat
import struct
import sys

fault, folder = sys.argv[1], sys.argv[2]
OK, END, ABSENT, FAILURE, UNSUPPORTED = 0, 1, 2, 4, 8
files, held = {}, []


def once(most=1):
    """Whether this happens for the first time in the life of the server's folder, or not more than so often."""
    for name in ["once", "twice", "thrice"][:most]:
        try:
            os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            pass
    return False


def receive(count):
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            sys.exit()
        data += piece
    return data


def send(data):
    while data:
        data = data[os.write(1, data):]


def reply(kind, number, body):
    if fault == "stranger":
        number += 1000
    packet = struct.pack(">IBI", len(body) + 5, kind, number) + body
    if fault == "backwards":
        held.insert(0, packet)
    else:
        send(packet)


def status(number, code, text=b""):
    reply(101, number, struct.pack(">II", code, len(text)) + text + struct.pack(">I", 0))


def string(data):
    return struct.pack(">I", len(data)) + data


def attributes(found):
    return struct.pack(">IQII", 1 | 4 | 8, found.st_size, found.st_mode, int(found.st_atime)) + struct.pack(">I", int(found.st_mtime))


class Body:
    def __init__(self, data):
        self.data = data

    def number(self, shape=">I"):
        size = struct.calcsize(shape)
        value, self.data = struct.unpack(shape, self.data[:size])[0], self.data[size:]
        return value

    def string(self):
        size = self.number()
        value, self.data = self.data[:size], self.data[size:]
        return value


def answer(kind, number, body):
    if kind == 3:
        path, wanted = body.string(), body.number()
        if fault == "unheard-of" and path.endswith(b"odd"):
            return status(number, 31, b"an unheard-of status")
        flags = {1: os.O_RDONLY, 2: os.O_WRONLY, 3: os.O_RDWR}[wanted & 3]
        for bit, flag in ((8, os.O_CREAT), (16, os.O_TRUNC), (32, os.O_EXCL)):
            flags |= flag if wanted & bit else 0
        try:
            handle = struct.pack(">I", os.open(path, flags, 0o644))
        except FileExistsError:
            # Whoever had the name ends just now.
            if fault.startswith("leaves"):
                os.unlink(path)
            if fault == "leaves-without-a-word":
                return status(number, FAILURE, b"Failure")
            raise
        return reply(102, number, string(handle))
    if kind == 4:
        os.close(struct.unpack(">I", body.string())[0])
        return status(number, OK)
    if kind == 5:
        file, at, count = struct.unpack(">I", body.string())[0], body.number(">Q"), body.number()
        if fault == "silent":
            return None
        if fault == "another" :
            return reply(105, number, struct.pack(">I", 0))
        if fault == "short":
            count = min(count, 1000)
        data = os.pread(file, count, at)
        if fault == "early" and at >= os.fstat(file).st_size // 2 or not data:
            return status(number, END)
        if fault == "long":
            data += b"x" * (count + 1 - len(data))
        if fault == "empty":
            data = b""
        if fault == "huge":
            return send(struct.pack(">I", 1 << 31))
        return reply(103, number, string(data))
    if kind == 6:
        file, at, data = struct.unpack(">I", body.string())[0], body.number(">Q"), body.string()
        if fault == "mute":
            while True:
                receive(1)
        if fault == "full":
            return status(number, 14)
        if fault == "full-in-words":
            return status(number, FAILURE, b"No space left on device")
        if fault == "quota":
            return status(number, 15)
        if fault == "forgets":
            data = data[:-1]
        os.pwrite(file, data, at)
        return status(number, OK)
    if kind in (7, 17):
        path = body.string()
        return reply(105, number, attributes(os.lstat(path) if kind == 7 else os.stat(path)))
    if kind == 8:
        return reply(105, number, attributes(os.fstat(struct.unpack(">I", body.string())[0])))
    if kind in (9, 10):
        place, flags = body.string(), body.number()
        if kind == 10:
            place = struct.unpack(">I", place)[0]
        if flags & 1:
            os.truncate(place, body.number(">Q"))
        if flags & 2:
            os.chown(place, body.number(), body.number())
        if flags & 4:
            os.chmod(place, stat.S_IMODE(body.number()))
        if flags & 8:
            # The second time is a COMMIT's.
            if fault.startswith("dies-in-second-time") and not once() and once(2):
                sys.exit()
            os.utime(place, (body.number(), body.number()))
        return status(number, OK)
    if kind == 13:
        if fault == "dies-before-remove" and once(2):
            sys.exit()
        os.unlink(body.string())
        if fault == "dies-after-remove" and once():
            sys.exit()
        return status(number, OK)
    if kind == 18:
        old, new = body.string(), body.string()
        if fault == "dies-before" and once() or fault == "dies-twice-before" and once(2):
            sys.exit()
        if fault == "mute-rename":
            return None
        os.link(old, new)
        os.unlink(old)
        if fault == "dies-after" and once() or fault == "dies-in-second-time-and-after" and once(3):
            sys.exit()
        return status(number, OK)
    return status(number, UNSUPPORTED)


if fault == "chatty":
    send(b"Welcome to the machine!\n")
receive(9)
send(struct.pack(">IBI", 5, 2, 2 if fault == "old" else 3))
while True:
    if held and not select.select([0], [], [], 0.02)[0]:
        send(b"".join(held))
        held.clear()
        continue
    size, kind, number = struct.unpack(">IBI", receive(9))
    body = Body(receive(size - 5))
    try:
        answer(kind, number, body)
    except FileNotFoundError:
        status(number, ABSENT)
    except OSError as error:
        status(number, FAILURE, error.strerror.encode())
