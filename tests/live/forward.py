"""Carries TCP connections from one address to another: `python -m tests.live.forward FROM PORT TO PORT`."""

import asyncio
import sys


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends."""
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(host: str, port: int, to: str, to_port: int) -> None:
    """For ever."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward, to_onward = await asyncio.open_connection(to, to_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, to_onward), carry(onward, writer))

    server = await asyncio.start_server(meet, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
