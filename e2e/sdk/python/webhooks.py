"""Deliveries as merchants verify them: by ``stripe`` and by ``standardwebhooks``, under one secret."""

import base64
import json
import queue
import unittest

import standardwebhooks
import stripe

from cardseal import Server, client, fresh_amount

api = client().v1


def verified(delivery, secret):
    """Fails unless both libraries take the delivery for genuine."""
    body, headers = delivery
    event = stripe.Webhook.construct_event(body, headers["stripe-signature"], secret)
    standard = standardwebhooks.Webhook(secret).verify(body, headers)
    assert standard == json.loads(body)
    assert headers["webhook-id"] == event.id
    return event


class Webhooks(unittest.TestCase):
    def setUp(self):
        received = queue.Queue()

        def receive(request, body):
            received.put((body, {name.lower(): value for name, value in request.headers.items()}))
            request.send_response(200)
            request.end_headers()

        self.receiver = self.enterContext(Server(receive))
        self.endpoint = api.webhook_endpoints.create(
            {"url": self.receiver.url + "/hooks", "enabled_events": ["payment_intent.created"]}
        )
        self.addCleanup(api.webhook_endpoints.delete, self.endpoint.id)
        self.received = received

    def deliver(self):
        intent = api.payment_intents.create({"amount": fresh_amount(), "currency": "usd"})
        return intent, self.received.get(timeout=15)

    def test_one_delivery_two_libraries(self):
        intent, delivery = self.deliver()
        self.assertEqual(verified(delivery, self.endpoint.secret).data.object.id, intent.id)
        body, headers = delivery
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body + b" ", headers["stripe-signature"], self.endpoint.secret)
        with self.assertRaises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(self.endpoint.secret).verify(body + b" ", headers)
        stranger = "whsec_" + base64.b64encode(b"7" * 32).decode()
        with self.assertRaises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(stranger).verify(body, headers)

    def test_a_rolled_secret_overlaps(self):
        path = f"/v1/webhook_endpoints/{self.endpoint.id}/roll_secret"
        rolled = client().raw_request("post", path).data
        self.assertNotEqual(rolled["secret"], self.endpoint.secret)
        _, delivery = self.deliver()
        verified(delivery, self.endpoint.secret)
        verified(delivery, rolled["secret"])


if __name__ == "__main__":
    unittest.main()
