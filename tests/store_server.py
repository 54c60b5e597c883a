"""A real object store on loopback: `python store_server.py gs|s3` prints its port.

It serves until its standard input ends, so that it does not outlive the tests. The emulator of
Google's store ignores preconditions, and does not say of which generation an object is that is
read; both is added here, as Google's documentation has it.
"""

import sys


class PreconditionError(Exception):
    """The object has another generation than the request expects."""


def serve_gs() -> int:
    import contextlib
    import http.server
    import threading
    import urllib.parse

    from gcp_storage_emulator.exceptions import NotFound
    from gcp_storage_emulator.handlers import buckets
    from gcp_storage_emulator.server import RequestHandler
    from gcp_storage_emulator.storage import Storage

    class Checked(Storage):
        expected = None

        def create_file(self, bucket, name, *others):
            if self.expected is not None:
                try:
                    generation = self.get_file_obj(bucket, name)["generation"]
                except NotFound:
                    generation = "0"
                if generation != self.expected:
                    raise PreconditionError(name)
            return super().create_file(bucket, name, *others)

    storage = Checked(use_memory_fs=True)
    buckets.create_bucket("bucket", storage)

    class Handler(RequestHandler):
        def __init__(self, *args):
            super().__init__(storage, *args)

        def checked(self, handle):
            query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
            expected = query.get("ifGenerationMatch", [None])[0]
            storage.expected = self.headers.get("x-goog-if-generation-match", expected)
            try:
                handle()
            except PreconditionError:
                self.send_error(412, "Precondition Failed")
            except (BrokenPipeError, ConnectionResetError):  # the client was killed
                pass

        def end_headers(self):
            url = urllib.parse.urlparse(self.path)
            if self.command == "GET" and "alt=media" in url.query:
                bucket, name = url.path.partition("/b/")[2].split("/o/")
                with contextlib.suppress(NotFound):
                    found = storage.get_file_obj(bucket, urllib.parse.unquote(name))
                    self.send_header("x-goog-generation", found["generation"])
            super().end_headers()

        def do_POST(self):
            self.checked(super().do_POST)

        def do_PUT(self):
            self.checked(super().do_PUT)

    class Server(http.server.HTTPServer):
        request_queue_size = 128  # a connection beyond them waits for a second

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def serve_s3() -> int:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}").create_bucket(Bucket="bucket")
    return port


if __name__ == "__main__":
    print({"gs": serve_gs, "s3": serve_s3}[sys.argv[1]](), flush=True)
    sys.stdin.read()
