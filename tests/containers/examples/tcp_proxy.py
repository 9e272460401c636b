"""A TCP proxy that forwards bytes, FIN and RST in both directions.

``python3 tcp_proxy.py UPSTREAM:PORT [hasty]``; listens on port 9000. A hasty one has
a defect: it closes both sides as soon as one of them has said all it had to say.
"""

import asyncio
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter

HOST, PORT = sys.argv[1].split(":")
UNTIL = asyncio.FIRST_COMPLETED if "hasty" in sys.argv else asyncio.FIRST_EXCEPTION
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: closing resets
# asyncio itself forgets a connection of which one way has ended.
carried: set[object] = set()


async def carry(reader: StreamReader, writer: StreamWriter) -> None:
    """Carry one way, and its end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def serve(reader: StreamReader, writer: StreamWriter) -> None:
    """Carry both ways of a connection; when one is cut, cut the other."""
    beyond, upstream = await asyncio.open_connection(HOST, int(PORT))
    carried.add(asyncio.current_task())
    ways = (carry(reader, upstream), carry(beyond, writer))
    tasks = [asyncio.create_task(way) for way in ways]
    done, pending = await asyncio.wait(tasks, return_when=UNTIL)
    for task in pending:
        task.cancel()
    cut = any(task.exception() for task in done)
    for side in (writer, upstream):
        if cut and not side.is_closing():
            sock = side.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            side.transport.abort()
        side.close()
    carried.discard(asyncio.current_task())


async def main() -> None:
    """Listen until the container is removed."""
    server = await asyncio.start_server(serve, port=9000)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main())
