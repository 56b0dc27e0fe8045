"""zvfs.aio: files of an event loop."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest
import zvfs
from conftest import WebServer, free_port


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_200_fifos_wait_without_a_thread(tmp_path: Path, registry: zvfs.Registry) -> None:
    paths = [tmp_path / str(number) for number in range(200)]
    for path in paths:
        os.mkfifo(path)

    async def main() -> None:
        files = [await zvfs.aio.open(path, registry=registry) for path in paths]
        before = threads()
        reads = [asyncio.create_task(file.read()) for file in files]
        await asyncio.sleep(0)
        for number, path in enumerate(paths):
            with open(path, "wb", 0) as writer:
                writer.write(b"%d" % number)
            assert await reads[number] == b"%d" % number
            assert await files[number].read() == b""
            assert threads() <= before  # opens leave theirs for a while
            await files[number].close()

    asyncio.run(main())


def test_copies_from_a_file_to_the_web_and_back(tmp_path: Path, registry: zvfs.Registry, web: WebServer) -> None:
    content = os.urandom(1 << 20)
    (tmp_path / "x").write_bytes(content)

    async def copy(source: str, target: str) -> None:
        async with (
            await zvfs.aio.open(source, registry=registry) as reader,
            await zvfs.aio.open(target, "w", registry=registry) as writer,
        ):
            async for data in reader:
                await writer.write(data)

    asyncio.run(copy(str(tmp_path / "x"), f"{web.url}/x"))
    assert web.objects["/x"] == content
    asyncio.run(copy(f"{web.url}/x", str(tmp_path / "y")))
    assert (tmp_path / "y").read_bytes() == content


def test_an_exception_in_the_block_leaves_no_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with await zvfs.aio.open(tmp_path / "x", "w") as file:
            await file.write(b"a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert os.listdir(tmp_path) == []


def test_an_open_raises_what_it_fails_with(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await zvfs.aio.open(tmp_path / "none")
        with pytest.raises(OSError) as raised:
            await zvfs.aio.open("nosuch:x")
        assert raised.value.errno == errno.EPROTONOSUPPORT
        with pytest.raises(ValueError, match="give r, w or x"):
            await zvfs.aio.open(tmp_path / "none", "a")

    asyncio.run(main())


def test_a_task_that_is_cancelled_leaves_its_file_as_it_was(fifo: Path) -> None:
    async def main() -> None:
        async with await zvfs.aio.open(fifo) as file:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(file.read(), 0.02)
            with open(fifo, "wb", 0) as writer:
                writer.write(b"later")
                assert await file.read() == b"later"

    asyncio.run(main())


def test_a_control_ends_all_its_files(tmp_path: Path) -> None:
    """A handle that was opened in the background once forgot its control, and was tried for ever."""
    async def main() -> None:
        control = zvfs.Control()
        files = []
        for number in range(5):
            os.mkfifo(tmp_path / str(number))
            files.append(await zvfs.aio.open(tmp_path / str(number), control=control))
        reads = [asyncio.create_task(file.read()) for file in files]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(control.cancel)
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [getattr(result, "errno", None) for result in results] == [errno.ECANCELED] * 5
        control.lift()
        control.set_timeout(0.02)
        with pytest.raises(TimeoutError):
            await files[0].read()
        for file in files:
            await file.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_two_tasks_do_not_share_a_file(fifo: Path) -> None:
    async def main() -> None:
        async with await zvfs.aio.open(fifo) as file:
            first = asyncio.create_task(file.read())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await file.read()
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    asyncio.run(main())


def test_a_netpipe_joins_two_tasks(registry: zvfs.Registry) -> None:
    pipe = f"tcp://127.0.0.1:{free_port()}"
    content = os.urandom(1 << 20)

    async def write() -> None:
        async with await zvfs.aio.open(pipe, "w", registry=registry) as file:
            await file.write(content)

    async def read() -> bytes:
        async with await zvfs.aio.open(pipe, registry=registry) as file:
            return b"".join([data async for data in file])

    async def main() -> None:
        _, received = await asyncio.gather(write(), read())
        assert received == content

    asyncio.run(main())


def test_a_file_that_is_given_up_warns(fifo: Path) -> None:
    async def main() -> None:
        file = await zvfs.aio.open(fifo)
        with pytest.warns(ResourceWarning, match="unclosed file"):
            del file

    asyncio.run(main())
