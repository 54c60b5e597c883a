"""A store that is far away: `python _late_store.py FOLDER MILLISECONDS` prints its port.

It serves the files of a folder as the objects of `gs://bucket`, to read, and answers every request
late. Unlike the emulators it takes next to no processor time, so that the reader is measured.
"""

import asyncio
import json
import os
import pathlib
import sys
import urllib.parse


def described(folder: pathlib.Path, name: str) -> dict[str, object]:
    stat = (folder / name).stat()
    stamp = "2026-01-01T00:00:00.000Z"
    return {
        "kind": "storage#object", "bucket": "bucket", "name": name, "size": str(stat.st_size),
        "generation": "1", "metageneration": "1", "etag": "1", "updated": stamp,
        "timeCreated": stamp, "contentType": "application/octet-stream",
    }  # fmt: skip


def listing(folder: pathlib.Path, query: dict[str, list[str]]) -> dict[str, object]:
    """The answer to a request for the objects whose names begin so."""
    prefix, delimiter = (query.get(key, [""])[0] for key in ("prefix", "delimiter"))
    names = [
        os.path.relpath(os.path.join(at, file), folder)
        for at, _, files in os.walk(folder)
        for file in files
    ]
    found, folders = [], set()
    for name in sorted(name for name in names if name.startswith(prefix)):
        rest = name[len(prefix) :]
        if delimiter and delimiter in rest:
            folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
        else:
            found.append(described(folder, name))
    return {"kind": "storage#objects", "items": found, "prefixes": sorted(folders)}


def answer(folder: pathlib.Path, target: str, headers: dict[str, str]) -> tuple[str, bytes]:
    """The status and the body."""
    url = urllib.parse.urlparse(target)
    query = urllib.parse.parse_qs(url.query)
    path, is_object, name = url.path.rstrip("/").partition("/o/")
    if not is_object:
        found = listing(folder, query) if path.endswith("/o") else {"name": "bucket"}
        return "200 OK", json.dumps(found).encode()
    name = urllib.parse.unquote(name)
    if not (folder / name).is_file():
        return "404 Not Found", b'{"error": {"code": 404, "message": "Not Found"}}'
    if query.get("alt") != ["media"]:
        return "200 OK", json.dumps(described(folder, name)).encode()
    with (folder / name).open("rb") as file:
        if (part := headers.get("range")) is None:
            return "200 OK", file.read()
        start, _, end = part.removeprefix("bytes=").partition("-")
        file.seek(int(start))
        return "206 Partial Content", file.read(int(end) - int(start) + 1 if end else -1)


async def main() -> None:
    folder, latency = pathlib.Path(sys.argv[1]), float(sys.argv[2]) / 1e3

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            headers = {}
            while (header := (await reader.readline()).decode().strip()) != "":
                name, _, value = header.partition(": ")
                headers[name.lower()] = value
            await asyncio.sleep(latency)
            status, body = answer(folder, line.decode().split()[1], headers)
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
