"""An HTTP server that says who it is."""
import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = "hello from %s, pid %d\n" % (os.environ.get("SUPERVISOR_PROCESS_NAME", "nobody"), os.getpid())
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


port = int(os.environ.get("WEB_PORT", "8080"))
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
print("listening on http://127.0.0.1:%d/" % port, flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("goodbye", flush=True)
    sys.exit(0)
