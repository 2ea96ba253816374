"""What the scenarios share: the demo, a client on it, tokens from the vault, the acquirer's book, small servers."""

import http.client
import itertools
import json
import os
import random
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import stripe

DEMO = json.loads(os.environ["CARDSEAL_DEMO"])
"""The ``ready`` line of the demo under test."""

_amounts = itertools.count(1_000_000 + random.randrange(80_000) * 10)


def client(base=None, key=None, retries=0):
    """The official client, pointed here by its documented options."""
    return stripe.StripeClient(
        key or DEMO["secret_key"],
        base_addresses={"api": base or DEMO["payments"]},
        max_network_retries=retries,
    )


def token(number="4242424242424242"):
    """A fresh token of a card, from the vault's private listener."""
    card = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    request = urllib.request.Request(
        DEMO["vault_private"] + "/v1/tokens",
        data=json.dumps({"card": card}).encode(),
        headers={"authorization": "Bearer " + DEMO["vault_key"], "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["id"]


def method(number="4242424242424242"):
    """``payment_method_data`` of a card that was just tokenised."""
    return {"type": "card", "card": {"token": token(number)}}


def fresh_amount():
    """An amount that no other payment has: the acquirer's book is searched by it."""
    return next(_amounts)


def booked(amount):
    """The acquirer's own entries with this amount."""
    with urllib.request.urlopen(DEMO["acquirer_admin"] + "/admin/book", timeout=10) as answer:
        return [entry for entry in json.load(answer)["entries"] if entry["amount"] == amount]


class Server:
    """A server on a free port for the length of a ``with``; ``handle(request, body)`` answers POST and GET."""

    def __init__(self, handle):
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                handle(self, body)

            do_POST = do_GET = do_DELETE = answer

            def log_message(self, *_):
                """Results only."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class DroppingProxy(Server):
    """Stands before payments and cuts the connection instead of passing on the next ``drops`` answers to POST, after
    payments has given them whole: the server has committed and the client cannot know."""

    def __init__(self):
        super().__init__(self._pass)
        self.drops = 0
        self.seen = []

    def _pass(self, request, body):
        host = urllib.parse.urlsplit(DEMO["payments"]).netloc
        upstream = http.client.HTTPConnection(host, timeout=30)
        upstream.request(request.command, request.path, body, dict(request.headers))
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        self.seen.append((answer.status, request.headers.get("idempotency-key"), answer.getheader("idempotent-replayed")))
        request.close_connection = True
        if request.command == "POST" and self.drops > 0:
            self.drops -= 1
            return
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date"):
                request.send_header(name, value)
        request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
