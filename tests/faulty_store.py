"""A proxy that makes a store fail: `python faulty_store.py ADDRESS` prints its port.

It hands requests on to the server at ADDRESS until its standard input ends. Each line that it reads
there is a fault and for how long, in seconds:

- `errors 20`: every answer is "503 Service Unavailable";
- `slow 20`: every answer comes half a second later; `late-30 20`: 30 ms later;
- `cut 20`: the connection ends in the middle of what is sent to the store;
- `readonly 20`: what would change the store is forbidden;
- `lag 20`: listings are answered as they were when they were first asked for before.
"""

import contextlib
import http.client
import http.server
import sys
import threading
import time
import urllib.parse

fault, until = "", 0.0
listings: dict[str, tuple] = {}


def is_listing(path: str) -> bool:
    return "list-type=2" in path or "/o?" in path.replace("/o/?", "/o?")


def handler(address: str) -> type:
    upstream = urllib.parse.urlparse(address).netloc

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            now = fault if time.monotonic() < until else ""
            size = int(self.headers.get("Content-Length") or 0)
            changes = self.command != "GET" and self.command != "HEAD"
            if now == "cut" and changes and size:
                self.rfile.read(size // 2)
                self.close_connection = True
                return
            body = self.rfile.read(size)
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self.read_chunks()
            if now == "errors":
                self.send(503, {}, b"")
            elif now == "readonly" and changes:
                self.send(403, {"Content-Type": "application/json"}, b"{}")
            elif now == "lag" and is_listing(self.path) and self.path in listings:
                self.send(*listings[self.path])
            else:
                if now == "slow" or now.startswith("late-"):
                    time.sleep(float(now[5:] or 500) / 1e3)
                given = self.ask(body)
                if is_listing(self.path):
                    listings[self.path] = given
                self.send(*given)

        def read_chunks(self) -> bytes:
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def ask(self, body: bytes) -> tuple:
            connection = http.client.HTTPConnection(upstream, timeout=60)
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("transfer-encoding", "connection", "expect")
            } | {"Content-Length": str(len(body))}
            connection.request(self.command, self.path, body, headers)
            found = connection.getresponse()
            content = found.read()
            connection.close()
            kept = {
                name: value
                for name, value in found.getheaders()
                if name.lower() not in ("transfer-encoding", "connection")
            }
            return found.status, kept, content

        def send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            if self.command != "HEAD" or "Content-Length" not in headers:
                headers = {n: v for n, v in headers.items() if n.lower() != "content-length"}
                headers["Content-Length"] = str(len(content))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = answer

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    return Proxy


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a connection beyond them waits for a second


def main() -> None:
    global fault, until
    server = Server(("127.0.0.1", 0), handler(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for line in sys.stdin:
        fault, seconds = line.split()
        until = time.monotonic() + float(seconds)
        print("now", flush=True)


if __name__ == "__main__":
    main()
